"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PREFIX = "mgdhw works: "


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

    threading.Thread(target=run, name=PREFIX + getattr(work, "__qualname__", "thread"), daemon=True).start()
    return await answer


def left_behind() -> bool:
    """Whether work goes on that somebody has stopped waiting for."""
    return any(thread.name.startswith(PREFIX) for thread in threading.enumerate())


def _set_result(future: asyncio.Future[Answer], answer: Answer) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(answer)


def _set_exception(future: asyncio.Future[Answer], error: BaseException) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_exception(error)
