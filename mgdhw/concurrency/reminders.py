"""Periodic messages while something takes long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

AFTER_SECONDS, EVERY_SECONDS = 1.0, 5.0
"""Delay of the first message, and interval of the next ones."""


@contextlib.contextmanager
def reminding(say: Callable[[float], object]) -> Iterator[None]:
    """In this context, `say` is called periodically with the elapsed seconds."""
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
