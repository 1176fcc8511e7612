"""Threads that can be abandoned."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_left: list[threading.Thread] = []
"""Abandoned threads."""


async def in_thread(work: Callable[[], Answer]) -> Answer:
    """What `work` returns or raises, without blocking the event loop.

    If cancelled, `work` continues on its own and its result is lost; neither the loop nor the process waits for it
    (with `asyncio.to_thread` they would). Only for work that may be abandoned at any point.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def run() -> None:
        try:
            settle = _set_result(answer, work())
        except BaseException as error:
            settle = _set_exception(answer, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle)

    thread = threading.Thread(target=run, name="mgdhw works", daemon=True)
    thread.start()
    try:
        return await answer
    except asyncio.CancelledError:
        leave_behind(thread)
        raise


def leave_behind(*threads: threading.Thread) -> None:
    """Abandon threads: the process exits without waiting for them."""
    _left[:] = [*threads, *(one for one in _left if one.is_alive())]


def left_behind() -> bool:
    """Whether abandoned work is still running."""
    return any(thread.is_alive() for thread in _left)


def _set_result(future: asyncio.Future[Answer], answer: Answer) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(answer)


def _set_exception(future: asyncio.Future[Answer], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
