"""Ctrl-C, SIGTERM, and a terminal that goes away."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgdhw.runs.handle import TrainingHandle


ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask for an end. One that is ignored when the process begins (nohup, a background job) stays ignored."""


IMPATIENT = 3
"""So many signals, and one more while nothing but the outcome is left to print: it is not printed."""


class Received:
    """The last signal that asked for an end, if any did, and how many did."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.times = 0
        self.over = False
        """Whether training is over and its device closed: how to go on is being printed, and is not to be cut off."""

    @property
    def exit_code(self) -> int:
        """What shells expect of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.number or 0)


@contextlib.contextmanager
def stopping(session: TrainingHandle, say: Callable[[str], None]) -> Iterator[Received]:
    """While this lasts, the first signal stops the session cleanly and the second at once.

    More of them change nothing: the device is on its way to its safe state, and nothing must come between. Only where
    that has lasted long enough to be told, the fourth leaves at once, and the hardware as it is.

    Args:
        session: what is stopped.
        say: tells the user what a signal does; called inside of signal handlers.

    Raises:
        KeyboardInterrupt: a signal came when there was no training that could be stopped, or the fourth when it was
            over.
    """
    from mgdhw.device.closing import slow_to_close, unconfirmed

    received = Received()

    def handle(number: int, frame: FrameType | None) -> None:
        received.times += 1
        if received.over:
            if received.times > IMPATIENT:  # whoever reads the output may have stopped reading
                raise KeyboardInterrupt
            return
        received.number = number
        writing = session.writing
        if session.stop():
            if writing:
                say("giving up what is not on disk yet")
            elif received.times == 1:
                say("stopping after this block; Ctrl-C again to stop at once")
        elif received.times > IMPATIENT and (devices := slow_to_close()):
            for uri in devices:
                say(unconfirmed(uri))
            if session.run is not None:
                say(f"resume with: {session.run.resume_command()}")
            os._exit(received.exit_code)  # nothing else could end what the driver waits for
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
    """Make signals that would kill the process raise SystemExit: leaving by an exception closes devices safely."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
