"""The thread that writes what is kept of a run, so that nobody who feeds a device ever waits for a file.

A disk may sleep for seconds, and a program that looks at the curves may lock them for minutes. Whoever has something to
keep puts it by and goes on; the thread writes what has gathered since it wrote last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from mgdhw.runs.folder import Run

Answer = TypeVar("Answer")
Job = Callable[[], None]

TELL_SECONDS = 1.0
"""How long somebody waits before hearing why."""
TELL_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.05
"""How often a locked database is tried again."""
CANCELLED_SECONDS = 2.0
"""How long somebody who has cancelled a training waits for what was not written yet."""
LEAVE_SECONDS = 1.0
"""How long a thread that is given up may take to end what the system does not let it leave."""

log = logging.getLogger("mgdhw.runs")


class GivenUp(Exception):
    """Nobody waits any more for what was to be written."""


class Writer:
    """Writes what somebody keeps of a run, in a thread. Use it as an asynchronous context manager.

    After a failure nothing more is written: what is kept must have no gaps. The thread is a daemon: a process that has
    given up waiting for a disk can end.

    Args:
        run: what is written; errors and notices name it.
        begin, write, end: what is done in the thread on entering, whenever something waits, and on leaving. They may
            raise OSError and sqlite3.Error.

    Raises (on entering and leaving, by `kept`, and by `check` after something could not be written):
        RunError: names the folder, the reason, and how to go on.
    """

    def __init__(self, run: Run, *, begin: Job, write: Job, end: Job) -> None:
        self._run = run
        self._begin, self._write, self._end = begin, write, end
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._submitted = threading.Event()
        self._error: BaseException | None = None
        self._given_up = threading.Event()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # from now on nobody who stops waiting can cancel it
        self._waits_for = "the disk"
        self._thread = threading.Thread(target=self._work, name=f"mgdhw keeps {run.folder}", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        try:
            await self._wait(self._submit(self._begin))
        except BaseException:
            with contextlib.suppress(Exception):
                await self._close(0.0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and end. What ended the training is more worth raising than what is wrong here.

        If this is cancelled the thread is given up: it begins nothing further, and ends when the system lets it.
        """
        self.soon()
        try:
            await self._close(CANCELLED_SECONDS if isinstance(error, asyncio.CancelledError) else None)
        except Exception as problem:
            if error is None:
                raise
            if problem is not error:
                error.add_note(str(problem))

    def soon(self) -> None:
        """Have what waits written: at most one time ahead."""
        if not self._submitted.is_set():
            self._submitted.set()
            self._submit(self._write_all)

    async def kept(self) -> None:
        """Wait until all that waits is on disk."""
        await self._wait(self._submit(self._write))

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._error is not None:
            raise self._error

    def unlocked(self, write: Callable[[], Answer], meanwhile: str) -> Answer:
        """In the thread: what `write` returns once no other program locks the database. Says so after a second.

        Args:
            write: writes all or nothing; raises sqlite3.OperationalError while the database is locked.
            meanwhile: what becomes of the training, for the notice.

        Raises:
            GivenUp: it was locked for longer than anybody wanted to wait.
        """
        began, noticed, name = time.monotonic(), False, self._run.metrics.name
        while True:
            try:
                answer = write()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            else:
                self._waits_for = "the disk"
                return answer
            self._waits_for = f"{name}, which another program has locked"
            if not noticed and time.monotonic() - began >= TELL_SECONDS:
                log.warning("%s is locked by another program; %s", name, meanwhile)
                noticed = True
            if self._given_up.wait(RETRY_SECONDS):
                raise GivenUp(f"{self._run.metrics} is locked by another program")

    # --- in the event loop ---------------------------------------------------------------------------------------

    def _submit(self, job: Job) -> Future[None]:
        future: Future[None] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                self.check()
                if self._given_up.is_set():
                    raise GivenUp(f"nobody waits for {self._run.folder} any more")
                job()
            except BaseException as error:
                self._error = self._explained(error)
                future.set_exception(self._error)
            else:
                future.set_result(None)

        self._jobs.put(work)
        return future

    async def _wait(self, future: Future[None]) -> None:
        """Wait for a job; says what for where it takes long. Raises what the job raised."""
        waiting, began, patience = asyncio.wrap_future(future), time.monotonic(), TELL_SECONDS
        try:
            while not (await asyncio.wait([waiting], timeout=patience))[0]:
                log.info("waiting for %s (%.0f s)", self._waits_for, time.monotonic() - began)
                patience = TELL_AGAIN_SECONDS
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        waiting.result()

    async def _close(self, patience: float | None) -> None:
        """End the thread when it has done what was submitted; give it up if that takes longer, in seconds."""
        self._jobs.put(None)
        try:
            async with asyncio.timeout(patience):
                await self._wait(self._ended)
        except (asyncio.CancelledError, TimeoutError) as error:
            self._given_up.set()
            ended = asyncio.wrap_future(self._ended)
            await asyncio.wait([ended], timeout=LEAVE_SECONDS)
            ended.cancel()  # nobody is to be told any more
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        self.check()

    # --- in the thread -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        for work in iter(self._jobs.get, None):
            work()
        try:
            self._end()
        except BaseException as error:
            self._error = self._error or self._explained(error)
        self._ended.set_result(None)

    def _write_all(self) -> None:
        self._submitted.clear()  # first: what is put by from now on is written by the next
        self._write()

    def _explained(self, error: BaseException) -> BaseException:
        if not isinstance(error, OSError | sqlite3.Error):
            return error
        explained = self._run.cannot_write(error, self._run.metrics if isinstance(error, sqlite3.Error) else None)
        explained.__cause__ = error
        return explained
