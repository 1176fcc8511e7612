"""Work that would keep an event loop waiting: it is done in a thread, one piece at a time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from mgdhw.concurrency.threads import in_thread

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Heavy:
    """Does heavy work while the event loop goes on.

    A thread cannot be ended. What was cancelled goes on to its end, and its result is dropped; the next piece waits for
    that, so that no more than one piece's memory is ever taken.
    """

    def __init__(self) -> None:
        self._thread: asyncio.Task[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a thread is at work, perhaps one whose result nobody waits for any more."""
        return self._thread is not None and not self._thread.done()

    async def do(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """The result of a function that touches nothing which others change meanwhile."""
        while self._thread is not None and not self._thread.done():
            await asyncio.wait([self._thread])  # which does not cancel it
        context = contextvars.copy_context()  # how numpy treats overflows lies in there
        thread = asyncio.create_task(in_thread(partial(context.run, partial(work, *args, **kwargs))))
        thread.add_done_callback(_seen)
        self._thread = thread
        await asyncio.wait([thread])
        return thread.result()


def _seen(thread: asyncio.Task[Any]) -> None:
    """What a dropped result was, even an error, is of no interest."""
    if not thread.cancelled():
        thread.exception()
