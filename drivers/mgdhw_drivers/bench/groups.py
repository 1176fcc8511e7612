"""The sections of a rack file that are mapped to channels of instruments, and the steps that address them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from mgdhw.arrays import FloatArray
from mgdhw.report.units import parse_quantity
from mgdhw_drivers.bench.channels import parse_channels


def _seconds(value: object) -> float:
    return parse_quantity(value, "s")


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=3600)]
Channels = Annotated[tuple[str, ...], BeforeValidator(parse_channels)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_as_tuple)]
Window = Annotated[tuple[int, int], BeforeValidator(_as_tuple)]
Windows = Annotated[tuple[Window, ...], BeforeValidator(_as_tuple)]
NumberType = Literal["float32", "float64", "int16", "int32", "uint8", "uint16"]
ByteOrder = Literal["little", "big"]


class Section(BaseModel):
    """A section of a rack file: immutable, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, validate_default=True)


class Step(Section):
    """One thing to do: send a message, ask for an answer, or wait.

    Attributes:
        instrument: name of an instrument, or of a set of them, which are then addressed in parallel.
        write: message to send.
        query: message whose answer is waited for.
        expect: answer that `query` must have; numbers are compared as numbers. Any other answer is a DeviceFault.
        delay: seconds to wait; after the message, if there is one.
    """

    instrument: str | None = None
    write: str | None = None
    query: str | None = None
    expect: str | None = None
    delay: Seconds = 0.0

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        messages = [text for text in (self.write, self.query) if text is not None]
        if len(messages) > 1 or not (messages or self.delay):
            raise ValueError("expected one of write, query and delay")
        if bool(messages) != (self.instrument is not None):
            raise ValueError("instrument: needed for write and query, and only there")
        if self.expect is not None and self.query is None:
            raise ValueError("expect: only with query")
        return self


Steps = Annotated[tuple[Step, ...], BeforeValidator(_as_tuple)]


class ChannelGroup(Section):
    """Channels that are set by the same command.

    Attributes:
        name: for messages.
        instrument: name of an instrument, or of a set of them: each then has these channels.
        channels: in the order of parameters or inputs.
        write: command that sets channels: one with {channel} and {value}, or many with {channels} and {values}.
        separator: between commands that are joined to one message, up to the instrument's `buffer`; "": not joined.
        format: of a value, as Python's format() has it.
        units: of levels in this section.
        settle: seconds from a write until a measurement may begin.
        confirm: query in the same message, such as "*OPC?", which is answered when values have been set.
        waveform: command that uploads what a channel does during a hardware-timed block: {channel}, ends with {block}.
    """

    name: str = ""
    instrument: str
    channels: Channels = ("1",)
    write: str
    separator: str = ";:"
    format: str = ".6g"
    units: str = "V"
    settle: Seconds = 0.0
    waveform: str | None = None
    confirm: str | None = None

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        try:
            float(format(-0.5, value))
        except ValueError:
            raise ValueError('expected the format of a number, such as ".4f" or ".6e"') from None
        return value


class ParameterGroup(ChannelGroup):
    """Channels that hold parameters.

    Attributes:
        min, max: limits of each, in `units`.
        lsb: smallest step, in which perturbations are counted.
        safe: value at rest, to which parameters are brought on every exit.
        max_step: largest change in one write; larger ones become ramps. None: no limit.
        step_time: seconds between two steps of a ramp.
        read: query for what channels hold: {channel} or {channels}; needed where `max_step` is given.
    """

    min: float
    max: float
    lsb: float
    safe: float
    max_step: float | None = None
    step_time: Seconds = 0.0
    read: str | None = None

    @field_validator("min", "max", "lsb", "safe", "max_step", mode="before")
    @classmethod
    def _level(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None else parse_quantity(value, info.data.get("units", "V"))


class LevelGroup(ChannelGroup):
    """Channels that apply inputs, or targets.

    With `upload` and `select`, each sample's waveform (`shape` times its level) is uploaded once, under a name, and
    selected by it: `write` then only sets the level at rest.

    Attributes:
        low, high: levels for the values 0 and 1; values between and beyond are on the line through them.
        min, max: limits of the level; by default `low` and `high`.
        safe: level at rest; by default `low`.
        upload: command that stores a waveform: {channel}, {name}, ends with {block}.
        select: command that selects one: {name}, and {channel} or {channels}.
        shape: points of a waveform in units of the level.
        dtype, byte_order: of the points in a block.
    """

    low: float
    high: float
    min: float | None = None
    max: float | None = None
    safe: float | None = None
    upload: str | None = None
    select: str | None = None
    shape: Numbers = (1.0,)
    dtype: NumberType = "float32"
    byte_order: ByteOrder = "little"

    @field_validator("low", "high", "min", "max", "safe", mode="before")
    @classmethod
    def _level(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None else parse_quantity(value, info.data.get("units", "V"))

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest level."""
        low, high = sorted((self.low, self.high))
        return low if self.min is None else self.min, high if self.max is None else self.max

    @property
    def rest(self) -> float:
        """Level at rest."""
        return self.low if self.safe is None else self.safe

    def levels(self, values: FloatArray) -> FloatArray:
        """Levels for values of any shape."""
        return self.low + values * (self.high - self.low)


class OutputGroup(Section):
    """Outputs that are read by one query, or one for each channel.

    Attributes:
        name: for messages.
        instrument: name of an instrument, or of a set of them.
        channels: in the order of outputs.
        query: with {channel}: one for each channel; with {channels}: one for all; or with none, for one channel.
        format: "ascii" for numbers with commas between them, "block" for an IEEE 488.2 block.
        dtype, byte_order: of the numbers in a block.
        points: numbers for each channel in the answer.
        windows: each a part of them, [first, end), whose mean is one output; by default one of all.
        scale, offset: output = scale · reading + offset.
        overload: readings that mean an overload, beside 9.9e37, 9.91e37 and what is not finite.
        record: query for what was read in a hardware-timed block: answers as many points as it had.
    """

    name: str = ""
    instrument: str
    channels: Channels = ("1",)
    query: str
    format: Literal["ascii", "block"] = "ascii"
    dtype: NumberType = "float32"
    byte_order: ByteOrder = "little"
    points: int = Field(default=1, ge=1, le=1 << 24)
    windows: Windows = ()
    scale: float = 1.0
    offset: float = 0.0
    overload: Numbers = ()
    record: str | None = None

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """The windows, [first, end) each."""
        return self.windows or ((0, self.points),)


def number_type(dtype: NumberType, byte_order: ByteOrder) -> np.dtype[Any]:
    """The numpy type of numbers in a block."""
    return np.dtype(dtype).newbyteorder("<" if byte_order == "little" else ">")


def numbers_of(data: bytes, dtype: NumberType, byte_order: ByteOrder) -> NDArray[np.float64]:
    """Numbers in a block. Raises ValueError if its size is not a multiple of theirs."""
    return np.frombuffer(data, number_type(dtype, byte_order)).astype(np.float64)
