"""Checks of the commands of a rack: placeholders, and lengths of messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mgdhw_drivers.bench.groups import ChannelGroup, LevelGroup, ParameterGroup, Step
from mgdhw_drivers.bench.lines import Path
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.templates import check_placeholders, fill


class Problem(NamedTuple):
    """Something wrong with a key."""

    key: Path
    message: str


def check_commands(rack: Rack) -> Iterator[Problem]:
    """Placeholders, and the lengths of messages."""
    one, many = ("channel", "value"), ("channels", "values")
    needed: list[tuple[str, ...]]
    for section, index, group in rack.channel_groups():
        key = (section, index)
        several = len(group.channels) > 1
        needed = [("value",), one, many] if not several else [one, many]
        yield from check_template((*key, "write"), group.write, (*one, *many), needed)
        if "{value}" in group.write and "{values}" in group.write:
            yield Problem((*key, "write"), "has both {value} and {values}; expected one of them")
        if group.confirm is not None:
            yield from check_template((*key, "confirm"), group.confirm, ())
            if "?" not in group.confirm:
                yield Problem((*key, "confirm"), 'expected a query, such as "*OPC?"')
        if group.waveform is not None:
            yield from check_template((*key, "waveform"), group.waveform, ("channel", "block"), (), "block")
        if isinstance(group, ParameterGroup) and group.read is not None:
            needed = [("channel",), ("channels",)] if several else []
            yield from check_template((*key, "read"), group.read, ("channel", "channels"), needed)
        if isinstance(group, LevelGroup):
            if (group.upload is None) != (group.select is None):
                lacks = "select" if group.select is None else "upload"
                yield Problem(key, f"{lacks}: missing; waveforms are uploaded by one command and selected by the other")
            if group.upload is not None:
                yield from check_template(
                    (*key, "upload"), group.upload, ("channel", "name", "block"), [("name", "block")], "block"
                )
            if group.select is not None:
                yield from check_template((*key, "select"), group.select, ("channel", "channels", "name"), [("name",)])
    for index, output in enumerate(rack.outputs):
        needed = [("channel",), ("channels",)] if len(output.channels) > 1 else []
        for field in ("query", "record"):
            text = getattr(output, field)
            if text is not None:
                yield from check_template(("outputs", index, field), text, ("channel", "channels"), needed)
    for path, step in steps_of(rack):
        allowed = ("points", "rate") if path[:2] == ("blocks", "start") else ()
        for field in ("write", "query"):
            text = getattr(step, field)
            if text is not None:
                yield from check_template((*path, field), text, allowed)
    yield from _lengths(rack)


def steps_of(rack: Rack) -> Iterator[tuple[Path, Step]]:
    """Every step of a rack, with its key."""
    for section, steps in (("trigger", rack.trigger), ("safe", rack.safe)):
        for index, step in enumerate(steps):
            yield (section, index), step
    if rack.blocks is not None:
        for section, steps in (("start", rack.blocks.start), ("stop", rack.blocks.stop)):
            for index, step in enumerate(steps):
                yield ("blocks", section, index), step


def check_template(key: Path, template: str, *expected: object) -> Iterator[Problem]:
    """What is wrong with the placeholders of a command; see `check_placeholders`."""
    try:
        check_placeholders(template, *expected)  # type: ignore[arg-type]
    except ValueError as error:
        yield Problem(key, str(error))


def _lengths(rack: Rack) -> Iterator[Problem]:
    """A command for one channel has to fit into a message."""
    resources = rack.resources()
    for section, index, group in rack.channel_groups():
        for place in rack.places(group)[:1]:
            values = [format(value, group.format) for value in _extremes(group)]
            value = max(values, key=len)
            try:
                message = fill(group.write, channel=place.channel, channels=place.channel, value=value, values=value)
            except (KeyError, ValueError):
                continue  # reported already
            buffer = resources[place.instrument][1].buffer
            message += "" if group.confirm is None else f";{group.confirm}"
            if len(message) > buffer:
                yield Problem(
                    (section, index, "write"),
                    f"a message for one channel has {len(message)} bytes, {group.instrument} takes {buffer}; shorten it"
                    f" (format, short forms of commands), or set buffer to what the instrument takes",
                )
    for name, instrument in rack.instruments.items():
        for message in (*instrument.initialise, *instrument.enable):
            if len(message) > instrument.buffer:
                yield Problem(
                    ("instruments", name, "initialise"),
                    f"a message has {len(message)} bytes, buffer is {instrument.buffer}; split it into several",
                )


def _extremes(group: ChannelGroup) -> tuple[float, ...]:
    if isinstance(group, ParameterGroup):
        return group.min, group.max, group.min + group.lsb
    return group.limits if isinstance(group, LevelGroup) else ()
