"""An instrument's status: event registers, their masks, and the status byte (IEEE 488.2, 11; SCPI-99, volume 1, 9)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final

from mgdhw_drivers.scpi.errors import STANDARD_TEXTS, ScpiError, event_bit

LONGEST_QUEUE: Final = 32
"""Errors that are kept; of more, the last is -350."""


class Event(IntFlag):
    """Bits of the standard event status register."""

    OPERATION_COMPLETE = 1 << 0
    REQUEST_CONTROL = 1 << 1
    QUERY_ERROR = 1 << 2
    DEVICE_ERROR = 1 << 3
    EXECUTION_ERROR = 1 << 4
    COMMAND_ERROR = 1 << 5
    USER_REQUEST = 1 << 6
    POWER_ON = 1 << 7


class StatusByte(IntFlag):
    """Bits of the status byte."""

    ERROR_AVAILABLE = 1 << 2
    QUESTIONABLE = 1 << 3
    MESSAGE_AVAILABLE = 1 << 4
    EVENT = 1 << 5
    SUMMARY = 1 << 6
    OPERATION = 1 << 7


@dataclass(slots=True)
class Register:
    """`STATus:OPERation` or `STATus:QUEStionable`: conditions, what became true since it was read, and what counts."""

    condition: int = 0
    event: int = 0
    enable: int = 0

    def set(self, bit: int, on: bool) -> None:
        """Change a condition; what becomes true is an event."""
        before = self.condition
        self.condition = before | 1 << bit if on else before & ~(1 << bit)
        self.event |= self.condition & ~before

    def take_event(self) -> int:
        """The events since the last reading."""
        event, self.event = self.event, 0
        return event


@dataclass(slots=True)
class Status:
    """All of it, with the error queue."""

    events: Event = Event.POWER_ON
    event_enable: int = 0
    service_enable: int = 0
    operation: Register = field(default_factory=Register)
    questionable: Register = field(default_factory=Register)
    message_available: bool = False
    """Whether answers wait to be sent."""
    errors: deque[tuple[int, str]] = field(default_factory=deque)

    def report(self, error: ScpiError) -> None:
        """Queue an error and set its event."""
        self.events |= Event(event_bit(error.code))
        if len(self.errors) < LONGEST_QUEUE:
            self.errors.append((error.code, error.text))
        else:
            self.errors[-1] = (-350, STANDARD_TEXTS[-350])
            self.events |= Event.DEVICE_ERROR

    def take_error(self) -> tuple[int, str]:
        """The oldest error; 0 where there is none."""
        return self.errors.popleft() if self.errors else (0, STANDARD_TEXTS[0])

    def take_events(self) -> int:
        """The standard events since the last reading."""
        events, self.events = self.events, Event(0)
        return int(events)

    def clear(self) -> None:
        """`*CLS`: events and errors, not the masks."""
        self.events = Event(0)
        self.operation.event = self.questionable.event = 0
        self.errors.clear()

    def preset(self) -> None:
        """`STATus:PRESet`."""
        self.operation.enable = self.questionable.enable = 0

    def byte(self) -> int:
        """The status byte, with its summary (`*STB?`)."""
        found = StatusByte(0)
        if self.errors:
            found |= StatusByte.ERROR_AVAILABLE
        if self.questionable.event & self.questionable.enable:
            found |= StatusByte.QUESTIONABLE
        if self.message_available:
            found |= StatusByte.MESSAGE_AVAILABLE
        if self.events & self.event_enable:
            found |= StatusByte.EVENT
        if self.operation.event & self.operation.enable:
            found |= StatusByte.OPERATION
        if found & self.service_enable:
            found |= StatusByte.SUMMARY
        return int(found)
