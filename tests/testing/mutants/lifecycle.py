"""Devices that close, reopen or cancel badly."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Costs
from mgdhw.errors import DeviceUnavailable

from .mark import LEFT, caught_by
from .sound import Slow, Sound


@caught_by("closing-is-allowed-in-any-state")
class ClosesOnce(Sound):
    """Fails to close what is not open."""

    async def disconnect(self) -> None:
        if self._chip is None:
            raise DeviceUnavailable("it is not open", uri=self.uri)
        await super().disconnect()


@caught_by("devices-can-be-reopened")
class OpensOnce(Sound):
    """Cannot be opened a second time."""

    opened = False

    async def connect(self) -> None:
        if self.opened:
            raise DeviceUnavailable("it was opened before", uri=self.uri)
        self.opened = True
        await super().connect()


@caught_by("closed-devices-refuse")
class TrueColours(Sound):
    """Shows its insides once it is closed."""

    async def read(self) -> FloatArray:
        if self._chip is None:
            raise AttributeError("'NoneType' object has no attribute 'codes'")
        return await super().read()


@caught_by("closed-devices-refuse")
class AnswersFromMemory(Sound):
    """Goes on answering `read` once it is closed."""

    async def read(self) -> FloatArray:
        if self._chip is None and self.theta_actual is not None:
            return self.theta_actual
        return await super().read()


@caught_by("closed-devices-refuse")
class ComesBack(Sound):
    """Connects again if it is asked for something once it is closed."""

    def check_open(self) -> None:
        return

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if self._chip is None:
            await self.connect()
        return await super().apply(theta, step)


@caught_by("errors-end-in-a-closed-device")
class HidesErrors(Sound):
    """Swallows what is raised inside `async with`."""

    async def __aexit__(self, *raised: Any) -> bool:  # type: ignore[override]
        await super().__aexit__(*raised)
        return raised[0] is not None and issubclass(raised[0], Exception) and "Interruption" in raised[0].__name__


@caught_by("cancelled-blocks-leave-theta")
class LeavesPerturbed(Sound):
    """Works in turns of the event loop, and leaves θ perturbed if it is cancelled between them."""

    async def probe(self, block: Block) -> Costs:
        before = self.chip.codes
        for _ in range(4):
            self.chip.codes = before + np.int16(1)
            await asyncio.sleep(0)
        self.chip.codes = before
        return await super().probe(block)


@caught_by("cancelled-blocks-leave-theta")
class CannotBeCancelled(Slow):
    """Answers although it was cancelled."""

    async def probe(self, block: Block) -> Costs:
        try:
            return await super().probe(block)
        except asyncio.CancelledError:
            return await super().probe(block)


@caught_by("cancelled-requests-leave-a-usable-device")
class AnswersLate(Sound):
    """The answer to a `read` that was cancelled comes with the next one."""

    late: FloatArray | None = None

    async def read(self) -> FloatArray:
        held = await super().read()
        if self.late is not None:
            held, self.late = self.late, None
            return held
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.late = held
            raise
        return held


@caught_by("cancelled-closing-closes", *LEFT)
class ClosesHalf(Sound):
    """If it is cancelled while it closes, the port stays busy."""

    busy: ClassVar[set[str]] = set()

    async def connect(self) -> None:
        if self.uri in self.busy:
            raise DeviceUnavailable("the port is busy", uri=self.uri)
        self.busy.add(self.uri)
        await super().connect()

    async def __aexit__(self, *raised: Any) -> None:
        self.entered = self.is_open = False
        await self.disconnect()

    async def disconnect(self) -> None:
        if self._chip is not None:
            await asyncio.sleep(0)
            self.busy.discard(self.uri)
        await super().disconnect()
