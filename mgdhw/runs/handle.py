"""A handle on a training under way, and how blocking calls meet event loops and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Protocol, TypeVar

from mgdhw.errors import ConfigError
from mgdhw.runs import Recorder, ReplicasRecorder, Run

Answer = TypeVar("Answer")

WRITING_SECONDS = 1.0
"""For so long an end is written whoever is impatient: it takes a moment, unless the disk is slow or locked."""


class Stoppable(Protocol):
    """A trainer, or a set of replicas."""

    def stop(self) -> None:
        """Ask for a clean end."""


class TrainingHandle:
    """A handle on one training or set of replicas: give it to `train`, stop it from a signal handler or a thread.

    Each training takes a new one: a stop that was asked for belongs to one of them, and so does what came of it.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        """Where it is kept; None before training begins, or if nothing is kept."""
        self.result: object = None
        """What came of the training, also where its device could not be closed afterwards; None before its end."""
        self.begun = False
        """Whether there has been a training to stop; it may be over by now, and its device closing."""
        self._trainer: Stoppable | None = None
        self._cancel: Callable[[], object] | None = None
        self._give_up: Callable[[], object] | None = None
        self._requests = 0
        self._used = False

    @property
    def was_asked(self) -> bool:
        """Whether anybody has asked for an end by `stop`, and so hears of it there."""
        return self._requests > 0

    def resume_hint(self) -> str:
        """How to go on with what was begun; empty if nothing is kept."""
        return "" if self.run is None else f"; resume with: {self.run.resume_command()}"

    @property
    def writing(self) -> bool:
        """Whether training is over and its device closed, and nothing but the disk is waited for."""
        return self._give_up is not None

    def stop(self) -> bool:
        """Ask for an end: at first a clean one after the current block, the second time at once.

        Either way the device is left in its safe state and the run can be resumed. If training hasn't begun yet,
        it will end after its first block. If it is over and only the disk is waited for, that is given up.

        Returns:
            False if nobody is there to be asked: training hasn't begun, is over, or was asked twice already.
        """
        self._requests += 1
        if self._give_up is not None:
            self._give_up()
            return True
        trainer, cancel = self._trainer, self._cancel
        if trainer is None or cancel is None or self._requests > 2:
            return False
        if self._requests == 1:
            trainer.stop()
        else:
            cancel()
        return True

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """While this lasts, and for good if training begins meanwhile, no other training can take the handle.

        Raises:
            ConfigError: another one has taken it.
        """
        if self._used:
            raise ConfigError(
                "session: a handle is for one training, and this one has had its own (which may have been stopped);"
                " give each training a new one: session = mgdhw.TrainingHandle()"
            )
        self._used = True
        try:
            yield
        finally:
            if not self.begun:  # nothing came of it: what was asked of it was answered
                self._used, self._requests = False, 0

    @contextlib.contextmanager
    def training(self, trainer: Stoppable) -> Iterator[None]:
        """While this lasts, `stop` reaches the trainer and the task that is running now."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def cancel() -> None:
            if task is not None and self._trainer is trainer:  # not over meanwhile
                task.cancel()

        self._cancel = lambda: loop.call_soon_threadsafe(cancel)
        self._trainer = trainer
        self.begun = True
        if self._requests:
            trainer.stop()
        try:
            yield
        finally:
            self._trainer = self._cancel = None

    @contextlib.asynccontextmanager
    async def keeping(self, recorder: Recorder | ReplicasRecorder) -> AsyncIterator[None]:
        """While this lasts a run is kept. At its end the disk is waited for, until `stop` gives that up."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._waiting_is_over)
            await stack.enter_async_context(recorder)
            stack.callback(self._wait_for_disk)
            self.run = recorder.run
            yield

    def _wait_for_disk(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        earliest = loop.time() + WRITING_SECONDS

        def cancel() -> None:
            if task is not None and self._give_up is give_up:
                task.cancel()

        def give_up() -> None:
            loop.call_soon_threadsafe(loop.call_at, earliest, cancel)

        self._give_up = give_up

    def _waiting_is_over(self) -> None:
        self._give_up = None


def blocking(work: Coroutine[Any, Any, Answer], session: TrainingHandle) -> Answer:
    """Run to the end, in this thread or, where a loop is running already (a notebook), in one of its own.

    Ctrl-C stops the session cleanly and is raised once that is done; a second one cancels it. More of them don't
    interrupt the device's closing.
    """
    if not _in_a_loop():
        with _interrupt_stops(session):
            return asyncio.run(work)
    cancel: list[Callable[[], object]] = []

    async def cancellable() -> Answer:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work

    with ThreadPoolExecutor(1, thread_name_prefix="mgdhw") as pool, _interrupt_stops(session):
        future = pool.submit(asyncio.run, cancellable())
        try:
            return future.result()
        except KeyboardInterrupt:  # there was no training yet that could be stopped
            for end in cancel:
                end()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                future.result()
            raise


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def _interrupt_stops(session: TrainingHandle) -> Iterator[None]:
    """Ctrl-C stops the session first, and is raised when that is done. Leaves handlers of the caller's alone."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not _only_interrupts(before):
        yield
        return
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if not session.stop() and not session.begun:
            raise KeyboardInterrupt
        interrupted = True

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            raise KeyboardInterrupt(f"training was stopped{session.resume_hint()}") from None


def _only_interrupts(handler: Any) -> bool:
    """Whether a handler of SIGINT is Python's, or that of `asyncio.run`, which cancels a task that waits for us."""
    ours = getattr(getattr(handler, "func", None), "__self__", None)
    return handler is signal.default_int_handler or isinstance(ours, asyncio.Runner)
