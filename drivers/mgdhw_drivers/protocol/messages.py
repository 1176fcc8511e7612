"""The messages and their layouts; what their fields stand for is in `numbers`, what they mean in `docs/link.md`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from mgdhw_drivers.protocol.layout import Layout


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
    code_parameter: float
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


@dataclass(frozen=True, slots=True)
class Learn(Layout):
    """What follows the first part of LEARN, which is a Probe."""

    form: ClassVar[struct.Struct] = struct.Struct("<QQddddd5d2dddIIIIIIBBxxI")
    tuples: ClassVar[dict[str, int]] = {"constants": 5, "scalars": 2}
    update: int
    rounding_seed: int
    eta: float
    scale: float
    low: float
    high: float
    tau_hp: float
    constants: tuple[float, ...]
    scalars: tuple[float, ...]
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


@dataclass(frozen=True, slots=True)
class LearnResult(Layout):
    """The answer to LEARN."""

    form: ClassVar[struct.Struct] = struct.Struct("<QQQ8sQddd2dddIIIIB7x")
    tuples: ClassVar[dict[str, int]] = {"scalars": 2}
    step: int
    update: int
    evaluations: int
    held_value: bytes
    held_step: int
    cost: float
    eta: float
    gradient_norm: float
    scalars: tuple[float, ...]
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
class ErrorPayload(Layout):
    """What stands before the text of an ERROR or a FAULT."""

    form: ClassVar[struct.Struct] = struct.Struct("<Hxxi")
    code: int
    value: int


LONGEST_TEXT = 120
