"""Ctrl-C and SIGTERM during a training."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from mgdhw.session import Session


class Received:
    """The last signal that asked for an end, if any did."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def exit_code(self) -> int:
        """What shells expect of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.number or 0)


@contextlib.contextmanager
def stopping(session: Session) -> Iterator[Received]:
    """While this lasts, the first signal stops the session cleanly and the second at once.

    Raises:
        KeyboardInterrupt: a signal came when there was no training that could be stopped.
    """
    received = Received()

    def handle(number: int, frame: FrameType | None) -> None:
        received.number = number
        if not session.stop():
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
