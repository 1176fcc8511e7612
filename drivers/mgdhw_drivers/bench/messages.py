"""The messages that set channels: as few as the instruments allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mgdhw_drivers.bench.channels import format_channels
from mgdhw_drivers.bench.groups import ChannelGroup
from mgdhw_drivers.bench.rack import Place, Rack
from mgdhw_drivers.bench.templates import fill


class Message(NamedTuple):
    """What is sent to one instrument.

    Args:
        instrument: its name.
        text: the message, or what precedes the block.
        block: content of an IEEE 488.2 block at its end.
        confirmed: whether the message ends with a query whose answer says that it has been carried out.
    """

    instrument: str
    text: str
    block: bytes | None = None
    confirmed: bool = False


class Setting(NamedTuple):
    """A value, as text, for a channel of a group."""

    group: ChannelGroup
    place: Place
    text: str


def messages_for(rack: Rack, settings: Iterable[Setting]) -> list[Message]:
    """Messages that set channels, those of an instrument in the order of the settings."""
    resources = rack.resources()
    by_instrument: dict[str, list[Setting]] = {}
    for setting in settings:
        by_instrument.setdefault(setting.place.instrument, []).append(setting)
    found: list[Message] = []
    for instrument, own in by_instrument.items():
        confirm = next((setting.group.confirm for setting in own if setting.group.confirm is not None), None)
        ending = "" if confirm is None else f";{confirm}"
        buffer = resources[instrument][1].buffer - len(ending)
        joined, glue = "", ""
        for separator, command in _commands(own, buffer):
            if joined and glue and len(joined) + len(glue) + len(command) <= buffer:
                joined += glue + command
            else:
                if joined:
                    found.append(Message(instrument, joined))
                joined = command
            glue = separator
        found.append(Message(instrument, joined + ending, confirmed=confirm is not None))
    return found


def _commands(settings: Sequence[Setting], buffer: int) -> Iterator[tuple[str, str]]:
    """The commands for one instrument, each with the separator that may follow it."""
    for _, run in groupby(settings, key=lambda setting: id(setting.group)):
        own = list(run)
        group = own[0].group
        if "{values}" not in group.write:
            for setting in own:
                channel = setting.place.channel
                yield group.separator, fill(group.write, channel=channel, value=setting.text)
            continue
        room = buffer - len(fill(group.write, channels="", values=""))
        for part in _parts(own, room):
            values = ",".join(setting.text for setting in part)
            channels = format_channels([setting.place.channel for setting in part])
            yield group.separator, fill(group.write, channels=channels, values=values)


def _parts(settings: Sequence[Setting], room: int) -> Iterator[Sequence[Setting]]:
    """As many at once as fit, by the length of their values and channels."""
    first = used = 0
    for index, setting in enumerate(settings):
        size = len(setting.text) + len(setting.place.channel) + 2
        if index > first and used + size > room:
            yield settings[first:index]
            first, used = index, 0
        used += size
    yield settings[first:]


def queries_for(template: str, channels: Sequence[str]) -> list[tuple[str, int]]:
    """Queries that read channels of one instrument, each with the number of channels that it reads."""
    if "{channels}" in template:
        return [(fill(template, channels=format_channels(channels)), len(channels))]
    return [(fill(template, channel=channel), 1) for channel in channels]
