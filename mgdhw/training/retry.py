"""Repeating what a link lost, at hardware that may have to be opened again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.errors import DeviceFault, LinkError, LinkLost
from mgdhw.training.events import Faulted

Answer = TypeVar("Answer")
Requested = tuple[NDArray[np.float64], int]
"""Parameters that were requested, (P,), and the step before whose probe they were written."""


class Retries:
    """Makes idempotent requests of a device, and makes them again where a link has lost them.

    Between two attempts the device recovers; if that has opened it anew, it is given again what it had. What went wrong
    is remembered until somebody asks.

    Args:
        device: open.
        at_most: repetitions of one request.
        dataset: what is loaded already.
    """

    def __init__(self, device: Device, at_most: int, dataset: Dataset | None = None) -> None:
        self._device = device
        self._at_most = at_most
        self._dataset = dataset
        self._requested: Callable[[], Requested] | None = None
        self._cells: Mapping[str, NDArray[Any]] = {}
        self._aged = False
        """Whether the cells have gone through something since they were remembered."""
        self._faults: list[Faulted] = []
        self._anew = False
        """Whether it was reopened, and not yet given again what it had."""
        self.recovering = False
        """Whether the device is being reopened, or given again what it had: not to be interrupted without need."""

    async def load(self, dataset: Dataset) -> None:
        """`Device.load`."""
        await self.repeat(lambda: self._device.load(dataset), 0)
        self._dataset = dataset

    async def restore(self, cells: Mapping[str, NDArray[Any]], step: int) -> None:
        """`Device.restore`."""
        await self.repeat(lambda: self._device.restore(cells), step)
        self._remember(cells)

    async def snapshot(self, step: int) -> dict[str, NDArray[Any]]:
        """`Device.snapshot`."""
        cells = await self.repeat(self._device.snapshot, step)
        self._remember(cells)
        return cells

    async def write(self, theta: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        """`Device.write`."""
        theta_actual = await self.repeat(lambda: self._device.write(theta, step), step)
        self._requested, self._aged = (lambda: (theta, step)), True
        return theta_actual

    def learnt(self, cells: Mapping[str, NDArray[Any]], requested: Callable[[], Requested]) -> None:
        """The device has moved by itself; what its cells remember now, and where the parameters are."""
        self._requested = requested
        self._remember(cells)

    async def repeat(self, request: Callable[[], Awaitable[Answer]], step: int, *, perturbs: bool = False) -> Answer:
        """The answer to a request.

        Args:
            request: what is asked; made again where a link lost it.
            step: of the training.
            perturbs: whether a fault may leave the parameters perturbed, so that they are written again.

        Raises:
            LinkError: it stays lost.
            DeviceUnavailable: another device came back than the one that went.
            DeviceFault: it came back, but its cells have forgotten what they went through.
        """
        attempt = 1
        while True:
            try:
                if attempt > 1 or self._anew:
                    await self._recovering(self._renew(self._anew, perturbs))
                    self._anew = False
                answer = await request()
            except (LinkError, OSError) as error:
                fault = error if isinstance(error, LinkError) else LinkLost(str(error), uri=self._device.uri)
                await self.reopen(fault, step, attempt)
                attempt += 1
            else:
                self._aged = self._aged or perturbs
                return answer

    async def reopen(self, fault: LinkError, step: int, attempt: int) -> None:
        """Recover the device after a fault; the next request gives it again what it had, and writes nothing before.

        Args:
            fault: raised after too many attempts.
            step: of the training.
            attempt: number of consecutive attempts.
        """
        if attempt > self._at_most:
            raise fault
        self._faults.append(Faulted(step, fault, attempt))
        self._anew = await self._recovering(self._device.recover(attempt)) or self._anew

    async def _recovering(self, work: Awaitable[Answer]) -> Answer:
        self.recovering = True
        try:
            return await work
        finally:
            self.recovering = False

    def take_faults(self) -> list[Faulted]:
        """What went wrong since this was last asked."""
        faults, self._faults = self._faults, []
        return faults

    def _remember(self, cells: Mapping[str, NDArray[Any]]) -> None:
        self._cells, self._aged = cells, False

    async def _renew(self, opened_anew: bool, perturbs: bool) -> None:
        """Give the device again what it may have forgotten."""
        device = self._device
        if opened_anew:
            if self._cells and self._aged:
                raise DeviceFault(
                    "it was opened anew, and its cells have forgotten what they went through; resume from the last"
                    " checkpoint",
                    uri=device.uri,
                )
            if self._dataset is not None:
                await device.load(self._dataset)
            if self._cells:
                await device.restore(self._cells)
        if self._requested is not None and (opened_anew or perturbs):
            await device.write(*self._requested())
