"""Work that is done to its end, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def completed(
    work: Coroutine[Any, Any, Answer] | asyncio.Future[Answer], tell: Callable[[BaseException], object] | None = None
) -> Answer:
    """What work answers. Cancelled meanwhile it goes on to its end all the same; the cancellation comes after it.

    Args:
        work: that is done.
        tell: told what the work has raised, where the cancellation is raised instead.
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
    problem = None if task.cancelled() else task.exception()  # seen; the cancellation goes first
    if problem is not None and tell is not None:
        tell(problem)
    raise cancelled


async def unless(asked: asyncio.Event, work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """What work answers, or None where something is asked for before: then it is cancelled, and has ended."""
    if asked.is_set():
        work.close()
        return None
    task, asking = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({task, asking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
        if not task.done():
            task.cancel()
            await completed(_ended(task))
    return None if task.cancelled() else task.result()


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})
