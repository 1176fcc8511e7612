"""Saying that something lasts: after a second, and then now and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

AFTER_SECONDS, EVERY_SECONDS = 1.0, 5.0
"""Until it is said first, and from one time to the next."""


@contextlib.contextmanager
def reminding(say: Callable[[float], object]) -> Iterator[None]:
    """While this lasts, `say` is called with the seconds that have passed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    timer: asyncio.TimerHandle

    def remind() -> None:
        nonlocal timer
        say(loop.time() - began)
        timer = loop.call_later(EVERY_SECONDS, remind)

    timer = loop.call_later(AFTER_SECONDS, remind)
    try:
        yield
    finally:
        timer.cancel()
