"""What a rack is: its instruments, and how parameters, inputs and outputs are mapped to their channels.

`docs/bench.md` has every key with an example; `examples/benches/` has three complete racks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from mgdhw.costs import COSTS
from mgdhw.parsing import did_you_mean
from mgdhw.report.units import parse_quantity
from mgdhw.topology import Topology
from mgdhw_drivers.bench.groups import (
    ByteOrder,
    ChannelGroup,
    LevelGroup,
    NumberType,
    OutputGroup,
    ParameterGroup,
    Seconds,
    Section,
    Steps,
    Strings,
    Window,
)

MOST_PARAMETERS = 1 << 20


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Network(Section):
    """What the hardware is.

    Attributes:
        layers: numbers of neurons, inputs first, if parameters are those of a dense network: for each layer its
            weights, (n_out, n_in) row by row, then its biases. Empty: unknown, which restricts codes by layer.
    """

    layers: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)] = ()

    @field_validator("layers")
    @classmethod
    def _layers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value and (len(value) < 2 or min(value) < 1 or max(value) > MOST_PARAMETERS):
            raise ValueError("expected numbers of neurons, inputs first, such as [2, 3, 1]")
        return value

    def topology(self, n_parameters: int) -> Topology:
        """The topology of so many parameters."""
        return Topology.dense(self.layers) if self.layers else Topology(n_parameters)


class Instrument(Section):
    """How to reach an instrument, or several of the same kind.

    Attributes:
        address: VISA resource name. Its place in `addresses` for a set.
        addresses: VISA resource names of a set: NAME stands for all of them, NAME1, NAME2, … for each.
        backend: of pyvisa: "@py", "@ivi", "@sim", or "FILE.yaml@sim".
        read_termination, write_termination: what ends a message.
        open_timeout, timeout: seconds to open it, and to wait for an answer.
        min_interval: seconds between two messages.
        baud_rate: of a serial port.
        identity: text that the answer to *IDN? must contain.
        initialise: messages sent after opening and after a power cycle. They must not move parameters.
        enable: messages that switch outputs on: sent when its parameters are at their safe values.
        enabled: query whether they are on: if all answers are 1, nothing is moved, and `enable` is not sent.
        check_errors: whether SYST:ERR? is asked after each block and each evaluation.
        buffer: longest message that it takes, in bytes.
    """

    address: str = ""
    addresses: Strings = ()
    backend: str = "@py"
    read_termination: str = "\n"
    write_termination: str = "\n"
    open_timeout: Seconds = 5.0
    timeout: Seconds = 2.0
    min_interval: Seconds = 0.0
    baud_rate: int | None = Field(default=None, ge=50, le=10_000_000)
    identity: str = ""
    initialise: Strings = ()
    enable: Strings = ()
    enabled: str | None = None
    check_errors: bool = True
    buffer: int = Field(default=1024, ge=16, le=1 << 24)


class Measurement(Section):
    """Averaging: each measurement is the mean of `readings`, with `dead_time` seconds between them."""

    readings: int = Field(default=1, ge=1, le=1_000_000)
    dead_time: Seconds = 0.0


class Cost(Section):
    """The cost: computed by the host from outputs and targets, or measured by an instrument.

    Attributes:
        kind: name of a cost. If an instrument measures it: what it measures, for evaluations.
        instrument, query: query for the cost of the sample that is applied, if an instrument measures it.
        scale, offset: cost = scale · reading + offset.
    """

    kind: str = "mse"
    instrument: str | None = None
    query: str | None = None
    scale: float = 1.0
    offset: float = 0.0

    @field_validator("kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        if value not in COSTS:
            raise ValueError(f"expected one of {', '.join(COSTS)}{did_you_mean(value, COSTS)}")
        return value


class Blocks(Section):
    """Hardware-timed blocks: many probes as one waveform for each channel, played once and recorded.

    Every parameter and input has a `waveform` command, every output a `record` query. In messages of `start`,
    {points} stands for the length of the waveforms and {rate} for points per second.

    Attributes:
        sample_time: seconds of one point, of waveforms and records.
        points: points of one measurement: one probe on one sample.
        window: the part of them, [first, end), whose mean is the reading; before it, the hardware settles.
        max_points: longest waveform. More probes are played one part after another.
        dtype, byte_order: of numbers in waveforms.
        unit: level of one count, for integers: a number in the units of its channel.
        start: steps after the waveforms have been uploaded, up to and including the trigger.
        stop: steps after the record has been read: channels are again set by `write`. Also sent after a crash.
    """

    sample_time: Seconds
    points: int = Field(ge=1, le=1 << 20)
    window: Window
    max_points: int = Field(default=65_536, ge=2, le=1 << 28)
    dtype: NumberType = "float32"
    byte_order: ByteOrder = "little"
    unit: float = Field(default=1.0, gt=0)
    start: Steps
    stop: Steps = ()


class LinkedLimit(Section):
    """A limit that several parameters have together, on θ + θ̃.

    Attributes:
        name: for messages.
        kind: "power" (sum of squares of voltages by `resistance`), or "difference" of each parameter and the next.
        parameters: names of groups; by default all.
        max: in W for "power", in the units of the parameters for "difference".
        resistance: in ohm, for "power".
    """

    name: str = ""
    kind: Literal["power", "difference"]
    parameters: Strings = ()
    units: str = "V"
    resistance: float | None = None
    max: float

    @field_validator("max", mode="before")
    @classmethod
    def _max(cls, value: Any, info: ValidationInfo) -> float:
        power = info.data.get("kind") == "power"
        return parse_quantity(value, "W" if power else info.data.get("units", "V"))

    @field_validator("resistance", mode="before")
    @classmethod
    def _resistance(cls, value: Any) -> Any:
        return None if value is None else parse_quantity(value, "ohm")


class Interlock(Section):
    """A condition that must hold before each block.

    Attributes:
        instrument, query: whose answer decides.
        expect: answer if it holds; numbers are compared as numbers.
        min, max: or the range of a number in which it holds.
        when_open: "safe": go to the safe state, with an error; "wait" there until it holds; "end" the training, as
            if it was stopped.
        name: for messages.
        poll: seconds between queries while it is open.
    """

    name: str = ""
    poll: Annotated[Seconds, Field(gt=0)] = 1.0
    instrument: str
    query: str
    expect: str | None = None
    min: float | None = None
    max: float | None = None
    when_open: Literal["safe", "wait", "end"] = "safe"


class Place(NamedTuple):
    """A channel of an instrument."""

    instrument: str
    channel: str


class Rack(Section):
    """A rack file."""

    name: str = ""
    network: Network = Network()
    instruments: Annotated[dict[str, Instrument], Field(min_length=1)]
    parameters: Annotated[tuple[ParameterGroup, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    inputs: Annotated[tuple[LevelGroup, ...], BeforeValidator(_as_tuple)] = ()
    targets: Annotated[tuple[LevelGroup, ...], BeforeValidator(_as_tuple)] = ()
    trigger: Steps = ()
    outputs: Annotated[tuple[OutputGroup, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    measurement: Measurement = Measurement()
    cost: Cost = Cost()
    blocks: Blocks | None = None
    limits: Annotated[tuple[LinkedLimit, ...], BeforeValidator(_as_tuple)] = ()
    interlock: Interlock | None = None
    safe: Steps

    def members(self, name: str) -> tuple[str, ...]:
        """Names of the instruments that a name stands for: itself, or the members of a set; empty if unknown."""
        if name in self.instruments:
            addresses = self.instruments[name].addresses
            return tuple(f"{name}{number}" for number in range(1, len(addresses) + 1)) if addresses else (name,)
        return (name,) if name in self.resources() else ()

    def resources(self) -> dict[str, tuple[str, Instrument]]:
        """Address and settings of every single instrument, by name, in the order of the file."""
        found: dict[str, tuple[str, Instrument]] = {}
        for name, instrument in self.instruments.items():
            if instrument.addresses:
                found |= {f"{name}{n}": (one, instrument) for n, one in enumerate(instrument.addresses, 1)}
            else:
                found[name] = (instrument.address, instrument)
        return found

    def places(self, group: ChannelGroup | OutputGroup) -> tuple[Place, ...]:
        """The channels of a group, in order: all of the first instrument, all of the second, …"""
        return tuple(Place(one, channel) for one in self.members(group.instrument) for channel in group.channels)

    @property
    def n_parameters(self) -> int:
        """P."""
        return sum(len(self.places(group)) for group in self.parameters)

    @property
    def n_inputs(self) -> int:
        """Inputs of one sample."""
        return sum(len(self.places(group)) for group in self.inputs)

    @property
    def n_outputs(self) -> int:
        """Outputs of one sample."""
        return sum(len(self.places(group)) * len(group.parts) for group in self.outputs)

    def channel_groups(self) -> Iterator[tuple[str, int, ChannelGroup]]:
        """Section, index in it, and group, of all whose channels are set."""
        sections: dict[str, tuple[ChannelGroup, ...]] = {
            "parameters": self.parameters,
            "inputs": self.inputs,
            "targets": self.targets,
        }
        for section, groups in sections.items():
            for index, group in enumerate(groups):
                yield section, index, group
