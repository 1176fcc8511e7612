"""How a board is waited for: with limits that nothing which it sends can move, and not in silence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

FIRST_WORD_SECONDS = 1.0
NEXT_WORD_SECONDS = 5.0
"""When it is said that something is waited for, and how often from then on."""

log = logging.getLogger("mgdhw.link")


class Patience:
    """Time spent listening to a board since anything came of it.

    Time in which this program was too busy to listen is not the board's silence, so whoever waits says how much of it
    counts.
    """

    def __init__(self) -> None:
        self.silent = 0.0
        """Seconds without an answer to anything, be it that it is still at it."""
        self.stuck = 0.0
        """Seconds in which nothing was got done, whatever was answered."""

    def listened(self, seconds: float) -> None:
        """So much longer."""
        self.silent += seconds
        self.stuck += seconds

    def answered(self) -> None:
        """The board is there."""
        self.silent = 0.0

    def progressed(self) -> None:
        """And something was got done."""
        self.silent = self.stuck = 0.0


@contextlib.contextmanager
def telling(what: str, limit: float) -> Iterator[None]:
    """Says, after a second and then again and again, what is waited for.

    Args:
        what: is waited for.
        limit: seconds after which it will be given up.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()

    timer: asyncio.TimerHandle

    def tell_in(seconds: float) -> None:
        nonlocal timer
        timer = loop.call_later(seconds, tell)

    def tell() -> None:
        log.info("waiting for %s (%.0f s of %.0f s)", what, loop.time() - began, limit)
        tell_in(NEXT_WORD_SECONDS)

    tell_in(FIRST_WORD_SECONDS)
    try:
        yield
    finally:
        timer.cancel()
