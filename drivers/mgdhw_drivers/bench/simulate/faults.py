"""What goes wrong with instruments on purpose, seeded and reproducible: `--faults late=0.01,overload=0.005`."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import Self, TypeVar

from mgdhw_drivers.server.fault_injection import parse_faults

Kind = TypeVar("Kind", bound=Enum)

OPEN_QUERIES = 3
"""How often in a row an interlock that has opened says so before it is closed again."""
GARBAGE = bytes(range(0xA0, 0x100)) + b"!?$&=<>"


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, how often.

    Args:
        late: share of replies that come `delay` too late.
        garbage: share of replies that are replaced by what is none.
        half: share of replies of which only the first half comes.
        close: share of messages at which the connection is closed, before they are executed.
        reboot: share of messages at which the instrument is switched off and on.
        error: share of messages after which an error is in the queue (-310).
        overload: share of readings that are 9.9e37.
        spike: share of readings that are far off.
        interlock: share of queries at which an interlock opens, for a few of them.
        delay: seconds by which late replies are late.
    """

    late: float = 0.0
    garbage: float = 0.0
    half: float = 0.0
    close: float = 0.0
    reboot: float = 0.0
    error: float = 0.0
    overload: float = 0.0
    spike: float = 0.0
    interlock: float = 0.0
    delay: float = 3.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `late=0.01,delay=500ms`. Raises ConfigError."""
        return cls(**parse_faults(text, [field.name for field in fields(cls)], ("delay",)))


class MessageFault(Enum):
    """What happens instead of, or before, the execution of a message."""

    CLOSE = auto()
    REBOOT = auto()
    ERROR = auto()


class ReplyFault(Enum):
    """What becomes of a reply."""

    LATE = auto()
    GARBAGE = auto()
    HALF = auto()


class ReadingFault(Enum):
    """What becomes of a reading."""

    OVERLOAD = auto()
    SPIKE = auto()


class FaultInjector:
    """Decides for one instrument. The same seed and messages give the same faults.

    Args:
        faults: what goes wrong, how often.
        seed: of the draws.
        name: of the instrument; each has draws of its own.
    """

    def __init__(self, faults: Faults, seed: int, name: str) -> None:
        self.faults = faults
        self._messages = random.Random(f"{seed} {name} messages")
        self._replies = random.Random(f"{seed} {name} replies")
        self._readings = random.Random(f"{seed} {name} readings")
        self._interlock = random.Random(f"{seed} {name} interlock")
        self._open_for = 0
        self.counts: dict[str, int] = {}
        """Faults so far, by their names."""

    def message(self) -> MessageFault | None:
        """What happens to the next message."""
        faults = self.faults
        found = _drawn(
            self._messages,
            {MessageFault.CLOSE: faults.close, MessageFault.REBOOT: faults.reboot, MessageFault.ERROR: faults.error},
        )
        return self._counted(found)

    def reply(self) -> ReplyFault | None:
        """What becomes of the next reply."""
        faults = self.faults
        found = _drawn(
            self._replies,
            {ReplyFault.LATE: faults.late, ReplyFault.GARBAGE: faults.garbage, ReplyFault.HALF: faults.half},
        )
        return self._counted(found)

    def reading(self) -> ReadingFault | None:
        """What becomes of the next reading."""
        faults = self.faults
        found = _drawn(self._readings, {ReadingFault.OVERLOAD: faults.overload, ReadingFault.SPIKE: faults.spike})
        return self._counted(found)

    def interlock_is_open(self) -> bool:
        """Whether the interlock is open, as it is asked."""
        if self._open_for == 0 and self._interlock.random() < self.faults.interlock:
            self._open_for = OPEN_QUERIES
            self.counts["interlock"] = self.counts.get("interlock", 0) + 1
        is_open = self._open_for > 0
        self._open_for -= is_open
        return is_open

    def garbage(self, length: int) -> bytes:
        """Bytes that are neither a number nor a block, with an end."""
        return bytes(self._replies.choices(GARBAGE, k=max(1, min(length, 40)))) + b"\n"

    def _counted(self, found: Kind | None) -> Kind | None:
        if found is not None:
            name = found.name.lower()
            self.counts[name] = self.counts.get(name, 0) + 1
        return found


def _drawn(source: random.Random, shares: dict[Kind, float]) -> Kind | None:
    """At most one of several; each is drawn every time, so that one share changes nothing about the others."""
    drawn = [what for what, share in shares.items() if source.random() < share]
    return drawn[0] if drawn else None
