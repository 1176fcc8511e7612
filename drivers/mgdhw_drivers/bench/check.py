"""Checks of a rack that concern several keys: names, placeholders, channels, limits, buffers, windows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from mgdhw.parsing import did_you_mean
from mgdhw_drivers.bench.check_commands import Problem, check_commands, check_template, steps_of
from mgdhw_drivers.bench.describe import linked_limits
from mgdhw_drivers.bench.groups import LevelGroup
from mgdhw_drivers.bench.lines import Path
from mgdhw_drivers.bench.rack import Place, Rack

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
SWITCHES_ON = re.compile(r"\bOUTP(UT)?\w*(:STAT\w*)?\s+(ON|1)\b", re.IGNORECASE)
TOLERANCE = 0.01
"""Share of an lsb by which a value may differ when it is written in a format."""


def problems_of(rack: Rack) -> list[Problem]:
    """Everything that is wrong with a rack whose keys are valid each by itself."""
    found = list(_names(rack))
    if found:  # the other checks look instruments up
        return found
    for check in (
        _instruments,
        check_commands,
        _channels,
        _parameters,
        _levels,
        _outputs,
        _blocks,
        _sizes,
        _cost,
        _limits,
    ):
        found += check(rack)
    return found


def _names(rack: Rack) -> Iterator[Problem]:
    """Instruments exist, each once."""
    names: dict[str, str] = {}
    for name, instrument in rack.instruments.items():
        key = ("instruments", name)
        if not NAME.fullmatch(name):
            yield Problem(key, "expected a name of letters, digits, - and _")
        if bool(instrument.address) == bool(instrument.addresses):
            yield Problem(key, 'expected address = "TCPIP::…", or for several of a kind addresses = […]')
        for member in rack.members(name):
            if member in names:
                yield Problem(key, f"{member} is also a member of {names[member]}; rename one")
            names[member] = name
    for path, name in _instruments_named(rack):
        if not rack.members(name):
            known = [*rack.instruments, *rack.resources()]
            hint = did_you_mean(name, known) or f"; expected one of {', '.join(rack.instruments)}"
            yield Problem((*path, "instrument"), f"there is no [instruments.{name}]{hint}")


def _instruments_named(rack: Rack) -> Iterator[tuple[Path, str]]:
    for section, index, group in rack.channel_groups():
        yield (section, index), group.instrument
    for index, output in enumerate(rack.outputs):
        yield ("outputs", index), output.instrument
    for path, step in steps_of(rack):
        if step.instrument is not None:
            yield path, step.instrument
    if rack.cost.instrument is not None:
        yield ("cost",), rack.cost.instrument
    if rack.interlock is not None:
        yield ("interlock",), rack.interlock.instrument


def _instruments(rack: Rack) -> Iterator[Problem]:
    moved = {
        place.instrument: group
        for group in rack.parameters
        for place in rack.places(group)
        if group.max_step is not None
    }
    at: dict[str, str] = {}
    for name, instrument in rack.instruments.items():
        key = ("instruments", name)
        for address in instrument.addresses or (instrument.address,):
            if address in at:
                yield Problem((*key, "address"), f"{address} is also that of {at[address]}; an instrument has one name")
            at[address] = name
        for field in ("timeout", "open_timeout"):
            if getattr(instrument, field) == 0:
                yield Problem((*key, field), 'expected more than 0, such as "2 s"')
        if instrument.enabled is not None and not instrument.enable:
            yield Problem((*key, "enabled"), 'asks whether outputs are on; add enable = ["…"], which switches them on')
        if any(one in moved for one in rack.members(name)):
            for message in instrument.initialise:
                if SWITCHES_ON.search(message):
                    yield Problem(
                        (*key, "initialise"),
                        f"{message!r} switches outputs on at whatever level they were set to, but the parameters on it"
                        " have a max_step; put it into enable, which is sent when they are at their safe values",
                    )
                if re.search(r"\*RST\b", message, re.IGNORECASE):
                    yield Problem(
                        (*key, "initialise"),
                        "*RST moves outputs at once, but the parameters on it have a max_step; leave it out: they are"
                        " read and brought to their safe values by ramps",
                    )


def _channels(rack: Rack) -> Iterator[Problem]:
    """A channel is set by one group, and once in it."""
    owners: dict[Place, str] = {}
    for section, index, group in rack.channel_groups():
        for place in rack.places(group):
            owner = f"{section}[{index}]"
            if place in owners:
                where = "twice here" if owners[place] == owner else f"also in {owners[place]}"
                yield Problem(
                    (section, index, "channels"),
                    f"channel {place.channel} of {place.instrument} is used {where}; a channel has one use",
                )
            owners[place] = owner


def _parameters(rack: Rack) -> Iterator[Problem]:
    for index, group in enumerate(rack.parameters):
        key = ("parameters", index)

        def shown(value: float, units: str = group.units) -> str:
            return f"{value:g} {units}".rstrip()

        if not group.min < group.max:
            yield Problem((*key, "max"), f"expected more than min, {shown(group.min)} (got {shown(group.max)})")
            continue
        if not 0 < group.lsb <= (group.max - group.min) / 2:
            yield Problem(
                (*key, "lsb"),
                f"expected more than 0, and at most half of the range {shown(group.min)} ... {shown(group.max)}"
                f" (got {shown(group.lsb)})",
            )
            continue
        if not group.min <= group.safe <= group.max:
            yield Problem(
                (*key, "safe"),
                f"expected a value within {shown(group.min)} ... {shown(group.max)} (got {shown(group.safe)})",
            )
        for value in (group.lsb, group.min + group.lsb, group.max - group.lsb):
            if abs(float(format(value, group.format)) - value) > TOLERANCE * group.lsb:
                yield Problem(
                    (*key, "format"),
                    f"{shown(value)} would be sent as {format(value, group.format)}, which loses the lsb of"
                    f' {shown(group.lsb)}; use more digits, such as ".9g"',
                )
                break
        if group.max_step is None:
            if group.step_time:
                yield Problem(
                    (*key, "step_time"), 'without max_step there is no ramp; add max_step = "…", or remove step_time'
                )
        elif group.max_step < group.lsb:
            yield Problem(
                (*key, "max_step"), f"expected the lsb, {shown(group.lsb)}, or more (got {shown(group.max_step)})"
            )
        elif group.read is None:
            yield Problem(
                (*key, "max_step"),
                'a ramp starts at what the hardware holds; add read = "…?", the query for it',
            )


def _levels(rack: Rack) -> Iterator[Problem]:
    for section, index, group in rack.channel_groups():
        if isinstance(group, LevelGroup):
            low, high = group.limits
            for name in ("low", "high", "rest"):
                value = getattr(group, name)
                if not low <= value <= high:
                    key = "safe" if name == "rest" else name
                    yield Problem(
                        (section, index, key),
                        f"expected a level within {low:g} ... {high:g} {group.units} (got {value:g}); see min and max",
                    )
            if group.low == group.high:
                yield Problem((section, index, "high"), "expected another level than low")


def _outputs(rack: Rack) -> Iterator[Problem]:
    for index, output in enumerate(rack.outputs):
        for first, end in output.parts:
            if not 0 <= first < end <= output.points:
                yield Problem(
                    ("outputs", index, "windows"),
                    f"[{first}, {end}] is outside of the {output.points} points; expected [first, end) with"
                    f" 0 <= first < end <= {output.points} (or set points)",
                )


def _sizes(rack: Rack) -> Iterator[Problem]:
    """The network is that of the channels."""
    layers = rack.network.layers
    if not layers:
        return
    expected = rack.network.topology(0).n_parameters
    sizes = {"parameters": (expected, rack.n_parameters), "outputs": (layers[-1], rack.n_outputs)}
    sizes["inputs"] = (layers[0], rack.n_inputs)
    for name, (wanted, got) in sizes.items():
        if wanted != got:
            yield Problem(
                ("network", "layers"),
                f"a network of {'-'.join(map(str, layers))} has {wanted} {name}, but [[{name}]] has channels for {got}",
            )


def _cost(rack: Rack) -> Iterator[Problem]:
    cost = rack.cost
    if (cost.query is None) != (cost.instrument is None):
        yield Problem(("cost", "query"), "instrument and query belong together; give both, or none")
    if rack.targets and cost.query is None:
        yield Problem(("targets",), "targets are applied only where an instrument measures the cost; add cost.query")
    if cost.query is not None:
        yield from check_template(("cost", "query"), cost.query, ())
        if cost.instrument is not None and len(rack.members(cost.instrument)) > 1:
            yield Problem(
                ("cost", "instrument"), f"{cost.instrument} are several; expected one, such as {cost.instrument}1"
            )
    targets = sum(len(rack.places(group)) for group in rack.targets)
    if rack.targets and targets != rack.n_outputs:
        yield Problem(("targets",), f"has {targets} channels for {rack.n_outputs} outputs; expected one for each")


def _blocks(rack: Rack) -> Iterator[Problem]:
    blocks = rack.blocks
    if blocks is None:
        return
    if rack.cost.query is not None:
        yield Problem(("blocks",), "records have outputs, not costs; remove cost.query, or this section")
    lacking: list[tuple[Path, str, bool]] = [
        ((section, index), "waveform", group.waveform is None) for section, index, group in rack.channel_groups()
    ]
    lacking += [(("outputs", index), "record", output.record is None) for index, output in enumerate(rack.outputs)]
    for key, field, lacks in lacking:
        if lacks:
            yield Problem(key, f"{field}: missing; [blocks] needs it for every channel; add it, or remove [blocks]")
    for index, output in enumerate(rack.outputs):
        if len(output.windows) > 1:
            yield Problem(
                ("outputs", index, "windows"),
                f"{len(output.windows)} windows: a measurement of [blocks] has one, blocks.window; leave one, or remove"
                " [blocks]",
            )
    first, end = blocks.window
    if not 0 <= first < end <= blocks.points:
        yield Problem(
            ("blocks", "window"),
            f"[{first}, {end}] is outside of the {blocks.points} points of a measurement; expected [first, end)",
        )
    if blocks.sample_time == 0:
        yield Problem(("blocks", "sample_time"), 'expected more than 0, such as "10 us"')
        return
    settle = max(group.settle for _, _, group in rack.channel_groups())
    if first * blocks.sample_time < settle * (1 - 1e-9):
        yield Problem(
            ("blocks", "window"),
            f"begins {first * blocks.sample_time:g} s after a change, but channels settle in {settle:g} s; expected"
            f" {int(-(-settle // blocks.sample_time))} points or more before it",
        )
    if blocks.max_points < 3 * blocks.points:
        yield Problem(("blocks", "max_points"), f"expected 3 times points or more, {3 * blocks.points:,}")


def _limits(rack: Rack) -> Iterator[Problem]:
    names = [group.name for group in rack.parameters if group.name]
    for index, limit in enumerate(rack.limits):
        key = ("limits", index)
        for name in limit.parameters:
            if name not in names:
                yield Problem(
                    (*key, "parameters"), f"no [[parameters]] has the name {name!r}{did_you_mean(name, names)}"
                )
        if (limit.kind == "power") != (limit.resistance is not None):
            yield Problem((*key, "resistance"), 'needed for kind = "power", such as "1 kohm", and only there')
        elif not limit.max > 0 or (limit.resistance is not None and not limit.resistance > 0):
            yield Problem((*key, "max"), "expected more than 0")
    safe = np.array([group.safe for group in rack.parameters for _ in rack.places(group)])
    room = np.array([0.5 * group.lsb for group in rack.parameters for _ in rack.places(group)])
    for index, declared in enumerate(linked_limits(rack)):
        wrong = declared.problem(safe.size) or declared.violation(safe, room)
        if wrong:
            yield Problem(
                ("limits", index), f"at the safe values of the parameters: {wrong}; raise max, or change safe"
            )
    lock = rack.interlock
    if lock is not None:
        if lock.expect is None and lock.min is None and lock.max is None:
            yield Problem(("interlock", "expect"), 'missing; expected the answer if it holds, such as expect = "1"')
        yield from check_template(("interlock", "query"), lock.query, ())
