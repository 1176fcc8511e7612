"""Commands of a rack that the simulated instruments do not have: derived from its templates.

A template is lexed like any message, with numbers in place of what is filled in that nothing else contains; where they
are found again is where a channel, a value or a waveform stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mgdhw_drivers.bench.groups import ChannelGroup, LevelGroup, OutputGroup, ParameterGroup, Step
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.simulate.digitizer import Digitizer
from mgdhw_drivers.bench.simulate.generator import WaveformGenerator
from mgdhw_drivers.bench.simulate.instrument import MOST_CHANNELS, SimulatedInstrument
from mgdhw_drivers.bench.simulate.meter import Multimeter
from mgdhw_drivers.bench.simulate.sources import MultichannelSource, SourceMeasureUnit
from mgdhw_drivers.bench.templates import fill
from mgdhw_drivers.scpi import Call, Reply, ScpiError
from mgdhw_drivers.scpi.arguments import Argument, Block, Expression, Number, String, Word
from mgdhw_drivers.scpi.channels import parse_channels
from mgdhw_drivers.scpi.lexing import Unit, absolute, units
from mgdhw_drivers.scpi.tree import Handler

CHANNEL = "918273645"
VALUE = 0.918273645
NAME = "Z918273645Z"
FILLED_IN = {
    "channel": CHANNEL,
    "channels": CHANNEL,
    "value": str(VALUE),
    "values": str(VALUE),
    "name": NAME,
    "block": "#10",
    "points": "1",
    "rate": "1",
}


class Role(Enum):
    """What an argument is."""

    CHANNELS = auto()
    VALUES = auto()
    NAME = auto()
    BLOCK = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Filled:
    """What a message that fits a template has in its places."""

    channels: tuple[int, ...]
    values: tuple[float, ...]
    name: str
    block: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A template's command."""

    nodes: tuple[str, ...]
    query: bool
    roles: tuple[Role, ...]

    @property
    def pattern(self) -> str:
        """For a tree of commands."""
        return ":".join(node.replace(CHANNEL, "#") for node in self.nodes) + "?" * self.query

    @property
    def known_as(self) -> tuple[str, ...]:
        """A header of it."""
        return tuple(node.replace(CHANNEL, "1") for node in self.nodes)

    def filled(self, call: Call) -> Filled:
        """Channels, values, name and block of a message.

        Raises:
            ScpiError: it has other arguments than the template.
        """
        more = len(call.arguments) - len(self.roles)
        roles: list[Role] = []
        for role in self.roles:
            roles += [role] * (1 + max(0, more) * (role is Role.VALUES))
        if more < 0 or len(roles) != len(call.arguments):
            raise ScpiError(-109 if more < 0 else -108, call.header)
        found = list(zip(roles, call.arguments, strict=True))
        channels = next((_channels(argument) for role, argument in found if role is Role.CHANNELS), None)
        if channels is None:
            channels = call.suffixes[-1:] or (1,)
        values = tuple(
            argument.value for role, argument in found if role is Role.VALUES and isinstance(argument, Number)
        )
        if len(values) != roles.count(Role.VALUES):
            raise ScpiError(-104, call.header)
        names = [a.text for role, a in found if role is Role.NAME and isinstance(a, String | Word)]
        blocks = [a.data for role, a in found if role is Role.BLOCK and isinstance(a, Block)]
        return Filled(channels, values, "".join(names), b"".join(blocks))


def forms(template: str) -> Iterator[Form]:
    """The commands of a template; nothing from where it cannot be understood on."""
    path: tuple[str, ...] = ()
    try:
        for unit in units(fill(template, **FILLED_IN).encode()):
            nodes, path = absolute(unit.header, path)
            yield Form(nodes, unit.header.query, _roles(unit))
    except (ScpiError, KeyError):
        return


def teach(instrument: SimulatedInstrument, rack: Rack) -> None:
    """Add the commands of a rack that an instrument does not have."""

    def addressed(name: str | None) -> bool:
        return name is not None and instrument.name in rack.members(name)

    for _, _, group in rack.channel_groups():
        if addressed(group.instrument) and isinstance(instrument, MultichannelSource):
            _teach_channels(instrument, group)
    for output in rack.outputs:
        if addressed(output.instrument):
            _teach_output(instrument, output)
    steps: list[Step] = [*rack.trigger, *rack.safe]
    if rack.blocks is not None:
        steps += [*rack.blocks.start, *rack.blocks.stop]
    messages = [(step.write or step.query or "", step.expect) for step in steps if addressed(step.instrument)]
    messages += [(text, None) for text in rack.resources()[instrument.name][1].initialise]
    lock = rack.interlock
    if lock is not None and addressed(lock.instrument):
        _teach_interlock(instrument, lock.query, lock.expect or f"{lock.min if lock.min is not None else lock.max:g}")
    for text, answer in messages:
        for form in forms(text):
            _add(instrument, form, _constant(answer or "1"))


def _teach_channels(source: MultichannelSource, group: ChannelGroup) -> None:
    def use(template: str | None, what: Callable[[Filled], Reply]) -> None:
        for form in forms(template or ""):
            if form.query or Role.VALUES in form.roles or Role.BLOCK in form.roles or Role.NAME in form.roles:
                _add(source, form, lambda call, form=form: what(form.filled(call)))  # type: ignore[misc]

    use(group.write, lambda filled: source.set_levels(filled.channels, filled.values))
    if isinstance(group, ParameterGroup):
        use(group.read, lambda filled: source.levels_of(filled.channels))
    if isinstance(source, WaveformGenerator):
        use(group.waveform, lambda filled: source.upload(filled.channels[0], filled.block))
        if isinstance(group, LevelGroup):
            use(group.upload, lambda filled: source.store(filled.channels[0], filled.name, filled.block))
            use(group.select, lambda filled: source.select(filled.channels, filled.name))


def _teach_output(instrument: SimulatedInstrument, output: OutputGroup) -> None:
    for template in (output.query, output.record):
        for form in forms(template or ""):
            if not form.query:
                _add(instrument, form, _constant(""))
            elif isinstance(instrument, Digitizer):
                fetch = instrument.fetch
                _add(instrument, form, lambda call, form=form, fetch=fetch: fetch(form.filled(call).channels))  # type: ignore[misc]
            elif isinstance(instrument, Multimeter | SourceMeasureUnit):
                read = instrument.readings.now
                _add(instrument, form, lambda call, form=form, read=read: read(form.filled(call).channels))  # type: ignore[misc]


def _teach_interlock(instrument: SimulatedInstrument, query: str, closed: str) -> None:
    def answer(call: Call) -> str:
        return "OPEN" if instrument.faults.interlock_is_open() else closed

    for form in forms(query):
        _add(instrument, form, answer)


def _constant(answer: str) -> Handler:
    return lambda call: answer


def _add(instrument: SimulatedInstrument, form: Form, handler: Handler) -> None:
    if not instrument.tree.knows(form.known_as, form.query):
        instrument.tree.add(form.pattern, handler, (0, None))


def _roles(unit: Unit) -> tuple[Role, ...]:
    return tuple(_role(argument) for argument in unit.arguments)


def _role(argument: Argument) -> Role:
    match argument:
        case Number(value) if value == VALUE:
            return Role.VALUES
        case Number(value) if value == float(CHANNEL):
            return Role.CHANNELS
        case Expression(text) | Word(text) | String(text) if NAME not in text and CHANNEL in text:
            return Role.CHANNELS
        case Word(text) | String(text) if NAME in text:
            return Role.NAME
        case Block():
            return Role.BLOCK
    return Role.OTHER


def _channels(argument: Argument) -> tuple[int, ...]:
    """Channels from `(@1:3)`, `CH2` or `2`."""
    match argument:
        case Expression(text):
            return parse_channels(text, MOST_CHANNELS)
        case Number(value) if 1 <= value <= MOST_CHANNELS and value.is_integer():
            return (int(value),)
        case Word(text) | String(text):
            digits = text[len(text.rstrip("0123456789")) :]
            if digits:
                return parse_channels(digits, MOST_CHANNELS)
    raise ScpiError(-224, "expected a channel")
