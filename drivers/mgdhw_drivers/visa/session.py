"""An open resource of pyvisa as bytes, in whole messages. All of it blocks, and belongs to one thread at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from mgdhw_drivers.visa.framing import Incomplete
from mgdhw_drivers.visa.settings import ResourceSettings

Answer = TypeVar("Answer")
Take = Callable[[bytearray, bytes, bool], Answer]
"""Takes an answer from what has arrived: see `framing`."""

CHUNK = 1 << 16
"""Bytes read at once, at most."""


class Session(ABC):
    """A connection to an instrument.

    Args:
        settings: timeout and terminations.
        interrupted: whether nobody waits any more for what is awaited.
    """

    is_stream = True
    """Whether what was sent before can still arrive, even after a device clear."""

    def __init__(self, settings: ResourceSettings, interrupted: Callable[[], bool]) -> None:
        self.timeout = settings.timeout
        self.write_interrupted = False
        """Whether the instrument may have got only a part of a message."""
        self._end = settings.read_termination.encode()
        self._interrupted = interrupted
        self._buffer = bytearray()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send a whole message. Raises TimeoutError, OSError, VisaIOError."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _fill(self, wanted: int | None) -> bool:
        """Append at least one byte to the buffer; whether the instrument says that its message ends there.

        Args:
            wanted: bytes that are missing; None: a message of unknown length.

        Raises:
            TimeoutError, OSError, VisaIOError, Interrupted.
        """

    def clear(self) -> None:
        """Drop what has arrived, and clear the instrument's buffers where that is possible."""
        self._buffer.clear()

    @abstractmethod
    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing arrives for so long; what does is kept, and is read next."""

    def take_stray(self) -> bytes:
        """What has arrived without being asked for, as far as that can be seen without waiting."""
        stray = bytes(self._buffer)
        self._buffer.clear()
        return stray

    def read(self, take: Take[Answer]) -> Answer:
        """The next answer.

        Args:
            take: one of `framing`.

        Raises:
            TimeoutError, OSError, VisaIOError, Interrupted: the connection.
            ValueError, OverflowError: it is no such answer.
        """
        ended = False
        while True:
            try:
                return take(self._buffer, self._end, ended)
            except Incomplete as incomplete:
                if ended:
                    raise ValueError from None
                ended = self._fill(incomplete.wanted)
