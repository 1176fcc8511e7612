"""Work that completes even if its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def run_to_completion(
    work: Coroutine[Any, Any, Answer] | asyncio.Future[Answer],
    on_error: Callable[[BaseException], object] | None = None,
) -> Answer:
    """The result of work. If cancelled, the work still completes before the cancellation is raised.

    Args:
        work: the work.
        on_error: called with an exception of the work if the cancellation is raised instead.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    problem = None if task.cancelled() else task.exception()  # retrieved; the cancellation takes precedence
    if problem is not None and on_error is not None:
        on_error(problem)
    raise cancelled


async def run_unless(asked: asyncio.Event, work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """The result of work, or None if an event is set first: then the work has been cancelled and has ended."""
    if asked.is_set():
        work.close()
        return None
    return await run_unless_first(asked.wait(), work)


async def run_unless_first(other: Coroutine[Any, Any, object], work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """The result of work, or None if something else is done first: then the work has been cancelled and has ended."""
    task, asking = asyncio.ensure_future(work), asyncio.ensure_future(other)
    try:
        await asyncio.wait({task, asking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
        if not task.done():
            task.cancel()
            await run_to_completion(_ended(task))
    return None if task.cancelled() else task.result()


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})
