"""A board's worker: one request after the other, whatever becomes of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from mgdhw_drivers.protocol.frames import Frame

log = logging.getLogger("mgdhw.serve")

QUEUE = 64
"""Requests that wait at most; more than a host may have under way."""
ENDING_SECONDS = 5.0
"""How long a driver may take to return from what was cancelled, before the board goes on without it."""


class Worker:
    """Handles requests in a task of its own, which ends only when it is stopped.

    Args:
        name: of the task.
        handle: does what a request asks.
        ended: called when the request under way was ended.
        failed: awaited with what escaped from `handle`; brings the hardware to its safe state.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Frame], Awaitable[None]],
        ended: Callable[[], None],
        failed: Callable[[Frame, BaseException], Awaitable[None]],
    ) -> None:
        self.queue: deque[Frame] = deque()
        self.running: Frame | None = None
        """The request under way, or the latest repetition of it."""
        self._name = name
        self._handle, self._ended, self._failed = handle, ended, failed
        self._ending = False
        self._stopped = False
        self._waiting: asyncio.Future[None] | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._abandoned: set[asyncio.Task[None]] = set()
        self._task = self._begin(None)

    @property
    def may_answer(self) -> bool:
        """Whether the task that now runs may send answers: it has not been ended."""
        return not self._ending and asyncio.current_task() is self._task

    @property
    def has_abandoned(self) -> bool:
        """Whether a driver has still not returned from an operation that was ended long ago."""
        return bool(self._abandoned)

    def put(self, request: Frame) -> None:
        """Handle a request when those before it are done. Where the queue is full it is lost, as on a line."""
        if len(self.queue) < QUEUE:
            self.queue.append(request)
            self._wake()

    def put_surely(self, request: Frame) -> None:
        """The same for one that must not be lost: a full queue loses its last one."""
        if len(self.queue) >= QUEUE:
            self.queue.pop()
        self.put(request)

    def end(self) -> None:
        """End the request under way: no answer to it is sent any more."""
        if self.running is None or self._ending:
            return
        self._ending = True
        self._task.cancel()
        self._end_timer = asyncio.get_running_loop().call_later(ENDING_SECONDS, self._abandon)

    async def stop(self) -> None:
        """End for good."""
        self._stopped = True
        self._stop_timer()
        tasks = {self._task, *self._abandoned}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=ENDING_SECONDS)

    # --- the task ------------------------------------------------------------------------------------------------

    def _begin(self, failure: tuple[Frame, BaseException] | None) -> asyncio.Task[None]:
        task = asyncio.create_task(self._work(failure), name=self._name)
        task.add_done_callback(self._task_ended)
        return task

    async def _work(self, failure: tuple[Frame, BaseException] | None) -> None:
        if failure is not None:
            await self._failed(*failure)
        while True:
            while not self.queue:
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
            request = self.running = self.queue.popleft()
            failed = await self._one(request)
            task = asyncio.current_task()
            if task is None or task is not self._task:
                return  # abandoned: another one has taken over
            while task.cancelling():
                task.uncancel()
            self.running = None
            self._stop_timer()
            if failed is not None:
                await self._failed(request, failed)

    async def _one(self, request: Frame) -> BaseException | None:
        """Handle a request; what escaped from that."""
        try:
            await self._handle(request)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._stopped:
                raise
            if task is self._task and not self._ending:
                return error  # the driver's own doing
            if task is self._task:
                self._ended()
        except Exception as error:
            return error
        return None

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _stop_timer(self) -> None:
        self._ending = False
        patience, self._end_timer = self._end_timer, None
        if patience is not None:
            patience.cancel()

    def _abandon(self) -> None:
        """The driver does not return from what was ended: another task goes on, and closes the hardware."""
        task, request = self._task, self.running
        assert request is not None, "ended"
        self._abandoned.add(task)
        self.running = None
        self._stop_timer()
        self._ended()
        error = TimeoutError(f"the driver has not returned from what was ended {ENDING_SECONDS:g} s ago")
        self._task = self._begin((request, error))

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._abandoned.discard(task)
        if self._stopped or task is not self._task:
            if not task.cancelled() and task.exception() is not None:
                log.error("%s: an abandoned task ended with an error", self._name, exc_info=task.exception())
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        log.critical("%s ended; another one begins", self._name, exc_info=error)
        self.running = None
        self._stop_timer()
        self._task = self._begin(None)
