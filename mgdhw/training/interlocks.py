"""Interlocks during training: checked before each block, segment and evaluation; what happens while one is open."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.concurrency.completion import run_unless
from mgdhw.concurrency.reminders import reminding
from mgdhw.device import Device
from mgdhw.device.driver_results import checked_parameters
from mgdhw.device.interlock import Interlock, OpenInterlock, as_interlocks, open_interlocks
from mgdhw.errors import InterlockOpen, LinkError, LinkLost
from mgdhw.learning.state import TrainState
from mgdhw.training.events import Checkpoint, InterlockClosed, InterlockOpened
from mgdhw.training.retry import Retries

Answer = TypeVar("Answer")

SEVERITY = {"wait": 0, "end": 1, "safe": 2}

log = logging.getLogger("mgdhw.training")

InterlockEvent = InterlockOpened | InterlockClosed | Checkpoint


@dataclass(frozen=True)
class Suspended:
    """What the hardware held when training was suspended: θ, (P,), and the state of simulated cells."""

    theta_actual: FloatArray
    cells: dict[str, Any]


class InterlockGuard:
    """Lets training go on only while all interlocks are closed.

    Args:
        device: open; its own interlocks come first.
        given: further ones, of the user.
        retries: makes requests of the device.
        stop_asked: set when somebody asks for a stop, which ends any wait.

    Raises:
        ConfigError: two have the same name.
    """

    def __init__(
        self, device: Device, given: tuple[Interlock, ...], retries: Retries, stop_asked: asyncio.Event
    ) -> None:
        self._interlocks = as_interlocks((*device.interlocks, *given))
        self._device = device
        self._retries = retries
        self._stop_asked = stop_asked
        self.ended = ""
        """Why training has to end without another request: "interlock", or "stopped" meanwhile; "" while it goes on."""
        self.problem = ""
        """Which interlock is open and why, if one has ended training or was open when it was stopped."""
        self.error: InterlockOpen | None = None
        """What has to be raised."""
        self.suspended: Suspended | None = None

    def ends_training(self) -> bool:
        """Whether training has to end without another request."""
        return self.ended != ""

    async def before_training(self) -> AsyncGenerator[InterlockEvent, None]:
        """Check before anything was written: there is nothing to suspend, and no state to keep.

        Raises:
            InterlockOpen: one is open, and training is not to wait for it, or was stopped meanwhile.
        """
        if not self._interlocks:
            return
        async for event in self._events(0, None):
            yield event
        if self.ended == "interlock":
            raise InterlockOpen(f"{self.problem}; nothing was written", uri=self._device.uri)
        if self.ended:
            waiting = self.problem or "an interlock did not answer yet"
            raise InterlockOpen(f"{waiting}; stopped before anything was written", uri=self._device.uri)

    async def check(
        self, state: TrainState, write: Callable[[TrainState], Awaitable[object]]
    ) -> AsyncGenerator[InterlockEvent, None]:
        """Check at some state of training; returns when all are closed, or training has to end (`ended`, `error`).

        Args:
            state: of training; the hardware holds its θ.
            write: writes a state's θ, by a ramp where one is needed.
        """
        if not self._interlocks or self.ended:
            return
        left = False
        async for event in self._events(state.step, state):
            left = True
            yield event
        if left and not self.ended and self.suspended is not None:
            if self.suspended.cells:
                await self._retries.restore(self.suspended.cells, state.step)
            await write(state)
            self.suspended = None

    async def _events(self, step: int, state: TrainState | None) -> AsyncGenerator[InterlockEvent, None]:
        found = await self._ask(step)
        since: dict[str, float] = {}
        while found:
            for one in found:
                if one.interlock.name not in since:
                    since[one.interlock.name] = time.monotonic()
                    yield InterlockOpened(step, one.interlock.name, one.problem, one.interlock.when_open)
            if state is not None and self.suspended is None:
                self.suspended = await self._suspend(step)
                yield Checkpoint(replace(state, cells=state.cells or self.suspended.cells))
            worst = max(found, key=lambda one: SEVERITY[one.interlock.when_open])
            self.problem = str(worst)
            if worst.interlock.when_open != "wait":
                self.ended = "interlock"
                if worst.interlock.when_open == "safe" and state is not None:
                    self.error = await self._made_safe(step)
                return
            if state is not None:
                await self._go_safe(step)  # again and again: nothing moves that is there
            found = await self._poll(step, found)
            if self.ended:
                return
            still = {one.interlock.name for one in found}
            for name in [name for name in since if name not in still]:
                yield InterlockClosed(step, name, time.monotonic() - since.pop(name))
        self.problem = ""

    async def _poll(self, step: int, found: list[OpenInterlock]) -> list[OpenInterlock]:
        """Wait until something changes, or a stop is asked for."""
        problems = [str(one) for one in found]

        def remind(waited: float) -> None:
            log.info("%s; waiting until it is closed (%.0f s)", "; ".join(problems), waited)

        pause = min(one.interlock.poll_seconds for one in found)
        names = {one.interlock.name for one in found}
        with reminding(remind):
            while True:
                await run_unless(self._stop_asked, asyncio.sleep(pause))
                if self._stop_asked.is_set():
                    self.ended = "stopped"
                    return found
                found = await self._ask(step)
                if self.ended or {one.interlock.name for one in found} != names:
                    return found
                problems[:] = [str(one) for one in found]

    async def _ask(self, step: int) -> list[OpenInterlock]:
        """Those that are open; a query that takes long is given up where a stop is asked for."""

        async def ask() -> tuple[list[OpenInterlock]]:
            for attempt in count(1):
                try:
                    return (await open_interlocks(self._interlocks, self._device.uri),)
                except LinkError as error:
                    await self._retries.reopen(error, step, attempt)
            raise AssertionError("attempts have no end")

        # A stop that was asked for before leaves training its next block, as ever: that has to be safe, too.
        answer = await ask() if self._stop_asked.is_set() else await run_unless(self._stop_asked, ask())
        if answer is None:
            self.ended = "stopped"
            return []
        return answer[0]

    async def _suspend(self, step: int) -> Suspended:
        answer = await self._unwritten(self._device.read, step)
        theta_actual = checked_parameters(answer, self._device.info.n_parameters, "read", self._device.uri)
        return Suspended(np.array(theta_actual), await self._unwritten(self._device.snapshot, step))

    async def _go_safe(self, step: int) -> bool:
        """Move to the declared safe state, if there is one."""
        return await self._unwritten(lambda: self._device.go_safe(step), step)

    async def _unwritten(self, request: Callable[[], Awaitable[Answer]], step: int) -> Answer:
        """The answer to a request, repeated after a link fault. A device that was reopened is not given θ again."""
        for attempt in count(1):
            try:
                return await request()
            except (LinkError, OSError) as error:
                lost = error if isinstance(error, LinkError) else LinkLost(str(error), uri=self._device.uri)
                await self._retries.reopen(lost, step, attempt)
        raise AssertionError("attempts have no end")

    async def _made_safe(self, step: int) -> InterlockOpen:
        there = await self._go_safe(step)
        where = "the parameters went to the safe state" if there else "its driver declares no safe state: nothing moved"
        return InterlockOpen(f"{self.problem}; {where}", uri=self._device.uri)
