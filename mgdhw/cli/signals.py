"""Ctrl-C, SIGTERM, and a terminal that is closed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from mgdhw.runs.handle import TrainingHandle

if TYPE_CHECKING:
    pass


ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that request a stop. One that is ignored at the start of the process (nohup, background jobs) stays so."""


IMPATIENT = 3
"""After this many signals, one more skips printing the result."""


class ReceivedSignals:
    """The last signal received, if any, and the number of signals."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.times = 0
        self.over = False
        """Whether training is over and the device closed: the result is being printed and must not be cut off."""

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells expect: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.number or 0)


@contextlib.contextmanager
def stop_on_signal(session: TrainingHandle, say: Callable[[str], None]) -> Iterator[ReceivedSignals]:
    """In this context, the first signal stops the session cleanly and the second immediately.

    Further signals have no effect: the device is going to its safe state, which must not be interrupted. Only if that
    takes long does the fourth signal end the process, leaving the hardware as it is.

    Args:
        session: what is stopped.
        say: prints what a signal does; called inside signal handlers.

    Raises:
        KeyboardInterrupt: there was no training to stop, or a fourth signal came when it was over.
    """
    from mgdhw.device.closing import slow_to_close, unconfirmed

    received = ReceivedSignals()

    def handle(number: int, frame: FrameType | None) -> None:
        received.times += 1
        if received.over:
            if received.times > IMPATIENT:  # the reader of the output may have stopped reading
                raise KeyboardInterrupt
            return
        received.number = number
        writing = session.writing
        if session.stop():
            if writing:
                say("discarding what is not on disk yet")
            elif received.times == 1:
                say("stopping after this block; press Ctrl-C again to stop immediately")
        elif received.times > IMPATIENT and (devices := slow_to_close()):
            for uri in devices:
                say(unconfirmed(uri))
            if session.run is not None:
                say(f"resume with: {session.run.resume_command()}")
            os._exit(received.exit_code)  # nothing else can interrupt the driver
        elif session.begun or received.times > 2:
            say("closing the device…")
        else:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_by_exception() -> None:
    """Make signals that would kill the process raise SystemExit, so that devices are closed safely."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
