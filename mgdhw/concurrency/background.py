"""Heavy computations in a background thread, one at a time, while the event loop continues."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from mgdhw.concurrency.threads import in_thread

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class BackgroundWorker:
    """Runs heavy computations while the event loop continues.

    A thread cannot be stopped. A cancelled computation continues to its end and its result is discarded; the next one
    waits for that, so that memory is used by one at a time.
    """

    def __init__(self) -> None:
        self._thread: asyncio.Task[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a thread is running, possibly for a cancelled computation."""
        return self._thread is not None and not self._thread.done()

    async def do(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """The result of a function that shares no mutable state."""
        while self._thread is not None and not self._thread.done():
            await asyncio.wait([self._thread])  # which does not cancel it
        context = contextvars.copy_context()  # includes numpy's error state
        thread = asyncio.create_task(in_thread(partial(context.run, partial(work, *args, **kwargs))))
        thread.add_done_callback(_seen)
        self._thread = thread
        await asyncio.wait([thread])
        return thread.result()


def _seen(thread: asyncio.Task[Any]) -> None:
    """Ignore a discarded result, even an error."""
    if not thread.cancelled():
        thread.exception()
