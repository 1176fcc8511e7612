"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_left: list[threading.Thread] = []
"""Threads that somebody has stopped waiting for."""


async def in_thread(work: Callable[[], Answer]) -> Answer:
    """What `work` returns or raises, without keeping the event loop.

    If this is cancelled, `work` goes on by itself and its answer is lost; neither the loop nor the process waits for it
    (`asyncio.to_thread` would have them wait). So it is for work that may be left at any point.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def run() -> None:
        try:
            settle = _set_result(answer, work())
        except BaseException as error:
            settle = _set_exception(answer, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear
            loop.call_soon_threadsafe(settle)

    thread = threading.Thread(target=run, name="mgdhw works", daemon=True)
    thread.start()
    try:
        return await answer
    except asyncio.CancelledError:
        leave_behind(thread)
        raise


def leave_behind(*threads: threading.Thread) -> None:
    """Stop waiting for threads: the process ends without them."""
    _left[:] = [*threads, *(one for one in _left if one.is_alive())]


def left_behind() -> bool:
    """Whether work goes on that somebody has stopped waiting for."""
    return any(thread.is_alive() for thread in _left)


def _set_result(future: asyncio.Future[Answer], answer: Answer) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(answer)


def _set_exception(future: asyncio.Future[Answer], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
