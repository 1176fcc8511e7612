"""The messages: their types, numbers and layouts. `docs/link.md` says what each of them means."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar

from mgdhw_drivers.link.layout import Layout

ANSWER = 0x80


class Type(IntEnum):
    """Requests, and what a board sends by itself. The answer to a request has bit 7 set."""

    IDENTIFY = 0x01
    PING = 0x02
    SAFE = 0x03
    STATISTICS = 0x04
    READ = 0x05
    WRITE = 0x06
    LOAD = 0x07
    SET = 0x08
    MEASURE = 0x09
    INFER = 0x0A
    PROBE = 0x0B
    LEARN = 0x0C
    SNAPSHOT = 0x0D
    RESTORE = 0x0E
    FAULT = 0xFE
    ERROR = 0xFF


OPERATIONS = frozenset(
    (Type.LOAD, Type.SET, Type.MEASURE, Type.INFER, Type.PROBE, Type.LEARN, Type.SNAPSHOT, Type.RESTORE)
)
ALWAYS = frozenset((Type.IDENTIFY, Type.PING, Type.SAFE, Type.STATISTICS, Type.READ))
"""What is answered in the safe state (READ only of areas that describe)."""


class Area(IntEnum):
    """Stretches of a board's memory."""

    DESCRIPTION = 0
    REQUESTED = 1
    HELD = 2
    SAMPLES = 3
    INPUTS = 4
    TARGETS = 5
    ETA = 6
    THETA = 7
    SLOT1 = 8
    SLOT2 = 9
    CROSS = 10
    ENERGY = 11
    GRADIENT = 12
    GUARD = 13
    LIMITS = 14
    CELLS = 15


class State(IntEnum):
    """A board's states, as far as a host sees them."""

    SAFE = 0
    READY = 1
    FAULTY = 2


class Reason(IntEnum):
    """Why a board is in its safe state."""

    STARTED = 0
    ASKED = 1
    DEAD_MAN = 2
    LINK_LOST = 3
    CRASHED = 4
    FAULT = 5
    LIMIT = 6


class Code(IntEnum):
    """What an ERROR says."""

    UNKNOWN = 1
    BAD = 2
    MISMATCH = 3
    LIMIT = 4
    UNSUPPORTED = 5
    SAFE = 6
    FAULT = 7
    VERSION = 8


class Thing(IntEnum):
    """What a MISMATCH is about."""

    PARAMETERS = 1
    DATASET = 2
    SAMPLES = 3
    STATE = 4
    ETA = 5
    GUARD = 6
    CELLS = 7


class Can(IntFlag):
    """Bits of Description.capabilities."""

    PROBE = 1
    MEASURE = 2
    LEARN = 4
    DETERMINISTIC = 8
    EXACT_WRITES = 16
    SNAPSHOT = 32


class Feature(IntFlag):
    """Bits of Description.features; families count from bit 0, optimizers from bit 16."""

    GROUPS = 1 << 8
    CONTINUOUS = 1 << 24
    ORIPOV = 1 << 25
    STOCHASTIC = 1 << 26
    WEIGHTED = 1 << 27


FIRST_OPTIMIZER = 16

FAMILIES = ("random", "sequential", "sparse", "walsh", "sinusoidal", "rank1")
GROUPS = ("all", "layer")
BASELINES = ("held", "every", "antithetic", "none")
COSTS = ("mse", "xent")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")


class InputKind(IntEnum):
    """What lies in area INPUTS."""

    U8 = 0
    U16 = 1
    I16 = 2
    VALUES = 3
    """In a description: bytes with a scale, or f64, as the dataset has them. In LOAD: bytes with a scale."""
    FLOATS = 4
    """Only in LOAD."""


class ParameterKind(IntEnum):
    """What lies in areas REQUESTED and HELD."""

    CODES = 0
    VALUES = 1


@dataclass(frozen=True, slots=True)
class Identify(Layout):
    """Who are you? Begins a session."""

    form: ClassVar[struct.Struct] = struct.Struct("<IIHBx")
    session: int
    dead_man_ms: int
    max_payload: int
    take: int


@dataclass(frozen=True, slots=True)
class Identity(Layout):
    """The answer to it."""

    form: ClassVar[struct.Struct] = struct.Struct("<IHBBB3xIIIIIII")
    boot: int
    max_payload: int
    window: int
    state: int
    reason: int
    description_size: int
    description_crc: int
    dataset_crc: int
    theta_crc: int
    state_crc: int
    ticket: int
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Pong(Layout):
    """The answer to a PING."""

    form: ClassVar[struct.Struct] = struct.Struct("<IIBBxx")
    running: int
    done: int
    state: int
    reason: int


@dataclass(frozen=True, slots=True)
class Statistics(Layout):
    """A board's counters since it started."""

    form: ClassVar[struct.Struct] = struct.Struct("<6IQQ")
    frames_in: int
    frames_out: int
    bad_crc: int
    bad_frames: int
    dead_man_trips: int
    uptime_ms: int
    evaluations: int
    sets: int


@dataclass(frozen=True, slots=True)
class Read(Layout):
    """Bytes of an area, please."""

    form: ClassVar[struct.Struct] = struct.Struct("<B3xII")
    area: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Chunk(Layout):
    """What stands before bytes of an area, in WRITE and in the answer to READ."""

    form: ClassVar[struct.Struct] = struct.Struct("<B3xI")
    area: int
    offset: int


@dataclass(frozen=True, slots=True)
class Load(Layout):
    """Areas INPUTS and TARGETS are the dataset. The checksum takes in everything of this before it."""

    form: ClassVar[struct.Struct] = struct.Struct("<IIdB3xI")
    n_samples: int
    n_train: int
    scale: float
    input_kind: int
    crc: int


@dataclass(frozen=True, slots=True)
class Set(Layout):
    """Area REQUESTED goes to the parameters."""

    form: ClassVar[struct.Struct] = struct.Struct("<QI4x")
    step: int
    crc: int


@dataclass(frozen=True, slots=True)
class Stored(Layout):
    """The answer to SET: checksums of what was requested and of what is held."""

    form: ClassVar[struct.Struct] = struct.Struct("<II")
    theta_crc: int
    held_crc: int


@dataclass(frozen=True, slots=True)
class Measure(Layout):
    """One evaluation of the first `count` of SAMPLES."""

    form: ClassVar[struct.Struct] = struct.Struct("<QB3xIIII4x")
    step: int
    part: int
    count: int
    samples_crc: int
    theta_crc: int
    dataset_crc: int


@dataclass(frozen=True, slots=True)
class Infer(Layout):
    """Outputs for the first `count` of SAMPLES, at a step."""

    form: ClassVar[struct.Struct] = struct.Struct("<QIIII")
    step: int
    count: int
    samples_crc: int
    theta_crc: int
    dataset_crc: int


@dataclass(slots=True)
class Probe(Layout):
    """A block by reference. It is also how LEARN begins.

    Not frozen: each of its fields would take three times as long to set, at both ends of every block.
    """

    form: ClassVar[struct.Struct] = struct.Struct("<QQQd8sQIIIIIIHBBBBxx")
    first_step: int
    code_seed: int
    order_seed: int
    density: float
    held_value: bytes
    held_step: int
    n_probes: int
    order_n: int
    batch: int
    tau_x: int
    theta_crc: int
    dataset_crc: int
    amplitude: int
    family: int
    groups: int
    baseline: int
    flags: int


HELD_VALID = 1


class LearnFlag(IntFlag):
    """Bits of Learn.flags."""

    CONTINUOUS = 1
    ORIPOV = 2
    STOCHASTIC = 4
    WINDOW_EMPTY = 8
    ANALOG_COST = 16
    WEIGHTED = 32


@dataclass(frozen=True, slots=True)
class Learn(Layout):
    """What follows the first part of LEARN, which is a Probe."""

    form: ClassVar[struct.Struct] = struct.Struct("<QQddddd5d2dddIIIIIIBBxxI")
    tuples: ClassVar[dict[str, int]] = {"constants": 5, "powers": 2}
    update: int
    rounding_seed: int
    eta: float
    scale: float
    low: float
    high: float
    tau_hp: float
    constants: tuple[float, ...]
    powers: tuple[float, ...]
    analog_cost: float
    high_passed: float
    ticket: int
    state_crc: int
    update_period: int
    tau_theta: int
    eta_count: int
    eta_crc: int
    optimizer: int
    flags: int
    guard_crc: int


class LearntFlag(IntFlag):
    """Bits of Learnt.flags."""

    HELD = 1
    UPDATED = 2
    WINDOW_EMPTY = 4
    ANALOG_COST = 8


@dataclass(frozen=True, slots=True)
class Learnt(Layout):
    """The answer to LEARN."""

    form: ClassVar[struct.Struct] = struct.Struct("<QQQ8sQddd2dddIIIIB7x")
    tuples: ClassVar[dict[str, int]] = {"powers": 2}
    step: int
    update: int
    evaluations: int
    held_value: bytes
    held_step: int
    cost: float
    eta: float
    gradient_norm: float
    powers: tuple[float, ...]
    analog_cost: float
    high_passed: float
    ticket: int
    state_crc: int
    theta_crc: int
    held_crc: int
    flags: int


@dataclass(frozen=True, slots=True)
class Snapshot(Layout):
    """What lies in CELLS: the answer to SNAPSHOT, and RESTORE."""

    form: ClassVar[struct.Struct] = struct.Struct("<II")
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Trouble(Layout):
    """What stands before the text of an ERROR or a FAULT."""

    form: ClassVar[struct.Struct] = struct.Struct("<Hxxi")
    code: int
    value: int


LONGEST_TEXT = 120
