"""Numbers on the wire, and what they stand for: types of messages, areas, reasons, codes, flags. See docs/link.md."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from mgdhw.codes import FAMILIES as CODE_FAMILIES
from mgdhw.costs import COSTS as COST_FUNCTIONS
from mgdhw.optimizers import OPTIMIZERS as METHODS

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


class MismatchedItem(IntEnum):
    """What a MISMATCH is about."""

    PARAMETERS = 1
    DATASET = 2
    SAMPLES = 3
    STATE = 4
    ETA = 5
    GUARD = 6
    CELLS = 7


class CapabilityBits(IntFlag):
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

FAMILY_NUMBERS = {name: kind.link_number for name, kind in CODE_FAMILIES.items() if kind.link_number is not None}
FAMILIES = {number: name for name, number in FAMILY_NUMBERS.items()}
GROUPS = ("all", "layer")
BASELINES = ("held", "every", "antithetic", "none")
COSTS = tuple(COST_FUNCTIONS)


def family_bit(family: str) -> int:
    """The bit of Description.features that says that a board has a family of codes; 0 if the link does not know it."""
    number = FAMILY_NUMBERS.get(family)
    return 0 if number is None else 1 << number


OPTIMIZER_NUMBERS = {name: kind.link_number for name, kind in METHODS.items() if kind.link_number is not None}
OPTIMIZERS = {number: name for name, number in OPTIMIZER_NUMBERS.items()}


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


class LearnFlag(IntFlag):
    """Bits of Learn.flags."""

    CONTINUOUS = 1
    ORIPOV = 2
    STOCHASTIC = 4
    WINDOW_EMPTY = 8
    ANALOG_COST = 16
    WEIGHTED = 32


class LearnResultFlag(IntFlag):
    """Bits of Learnt.flags."""

    HELD = 1
    UPDATED = 2
    WINDOW_EMPTY = 4
    ANALOG_COST = 8
