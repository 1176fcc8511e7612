"""Work that is done to its end, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def completed(work: Coroutine[Any, Any, Answer] | asyncio.Future[Answer]) -> Answer:
    """What work answers. Cancelled meanwhile it goes on to its end all the same; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # seen; the cancellation goes first
    raise cancelled
