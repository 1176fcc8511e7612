"""A thread that alone uses something that blocks, and that can be abandoned."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from mgdhw.concurrency.threads import leave_behind

Answer = TypeVar("Answer")


class Stuck(Exception):
    """A call does not return; its thread was abandoned."""


class Interrupted(Exception):
    """Raised by a call that ends early because nobody waits for it any more."""


class _Call(Generic[Answer]):
    """What is to be called, and who waits for it."""

    __slots__ = ("answer", "began", "cancelled", "limit", "loop", "work")

    def __init__(self, work: Callable[[], Answer], limit: float) -> None:
        self.work = work
        self.limit = limit
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = self.loop.create_future()
        self.began: float | None = None
        self.cancelled = False

    def succeed(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class OwnerThread:
    """Runs calls one after the other in a thread of its own.

    The thread is a daemon: the process ends without waiting for it, wherever it is stuck.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self.stuck = False
        """Whether a call has not returned in time. Then no more calls are taken."""
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._pending: set[_Call[Any]] = set()
        self._unfinished = 0
        self._current: _Call[Any] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no call is queued or running, not even a cancelled one. For the event loop's thread."""
        return self._unfinished == 0

    def interrupted(self) -> bool:
        """Whether nobody waits any more for the call that is running. For the call itself."""
        current = self._current
        return current is not None and current.cancelled

    async def run(self, work: Callable[[], Answer], limit: float) -> Answer:
        """What a call returns or raises. A cancelled one that has begun goes on, and delays the next one.

        Args:
            work: the call.
            limit: seconds from its beginning after which the thread is abandoned.

        Raises:
            Stuck: it was abandoned.
        """
        if self.stuck:
            raise Stuck
        call = _Call(work, limit)
        self._pending.add(call)
        self._unfinished += 1
        self._calls.put(call)
        timer = call.loop.call_later(limit, self._check, call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            timer.cancel()
            self._pending.discard(call)

    def close_later(self, work: Callable[[], None]) -> None:
        """Call something once what is under way returns, if it ever does; nobody waits for that."""
        self._unfinished += 1
        self._calls.put(_Call(work, 0.0))

    def end(self) -> None:
        """Let the thread end when what is queued has been called; nobody waits for that."""
        self._calls.put(None)
        if self.stuck:
            leave_behind(self._thread)

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def _check(self, call: _Call[Any]) -> None:
        """The time of a call is over, if it has begun."""
        if call.answer.done():
            return
        left = call.limit if call.began is None else call.began + call.limit - time.monotonic()
        if left > 0:
            call.loop.call_later(left, self._check, call)
            return
        self.stuck = True
        for one in tuple(self._pending):
            one.cancelled = True
            one.fail(Stuck())

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            if call.cancelled:
                self._finish(call, _nothing)
                continue
            call.began = time.monotonic()
            self._current = call
            try:
                answer = call.work()
            except BaseException as error:
                self._finish(call, _failing(call, error))
            else:
                self._finish(call, _succeeding(call, answer))
            del call  # keeps nothing alive while it waits

    def _finish(self, call: _Call[Any], settle: Callable[[], None]) -> None:
        """Have the event loop settle a call that is over."""

        def finish() -> None:
            self._unfinished -= 1
            settle()

        self._current = None
        with contextlib.suppress(RuntimeError):  # the loop is closed
            call.loop.call_soon_threadsafe(finish)


def _nothing() -> None:
    """Nobody waits."""


def _succeeding(call: _Call[Answer], answer: Answer) -> Callable[[], None]:
    return lambda: call.succeed(answer)


def _failing(call: _Call[Any], error: BaseException) -> Callable[[], None]:
    return lambda: call.fail(error)
