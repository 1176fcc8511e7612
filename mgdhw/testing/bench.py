"""A device on the bench: open, loaded, with parameters that are known."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Costs
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConformanceError
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand
from mgdhw.testing.fitted import dataset_for, theta_for

Probe = Callable[[Block], Awaitable[Costs]]


@dataclass(frozen=True, slots=True)
class Bench:
    """An open device and what it was given.

    Args:
        device: open.
        dataset: loaded.
        theta: (P,) what it holds.
        cells: what its cells remembered then; empty for all but simulated chips with cells.
    """

    device: Device
    dataset: Dataset
    theta: FloatArray
    cells: Mapping[str, NDArray[Any]]

    @property
    def info(self) -> DeviceInfo:
        """The device's."""
        return self.device.info

    @property
    def levels(self) -> dict[str, Probe]:
        """Who can make the codes of a block here: "host-codes", "device-codes", or both.

        Host codes are left out where they are another experiment, because a write is not exact, and not the only one.
        """
        found: dict[str, Probe] = {}
        has_codes = Capability.PROBE in self.info.capabilities
        can_measure = isinstance(self.device, HostCodes) and Capability.MEASURE in self.info.capabilities
        if isinstance(self.device, HostCodes) and can_measure and (self.info.exact_writes or not has_codes):
            found["host-codes"] = self.device.probe_with_host_codes
        if has_codes:
            found["device-codes"] = self.device.probe
        return found

    @property
    def is_deterministic(self) -> bool:
        """Whether the same request gets the same answer; not where its probes are made of writes that are not exact."""
        can = self.info.capabilities
        return Capability.DETERMINISTIC in can and (self.info.exact_writes or Capability.PROBE in can)

    def needs_determinism(self) -> None:
        """Raise NotApplicable if the device may answer the same request differently."""
        if not self.is_deterministic:
            raise NotApplicable("the device is not deterministic: equal requests may get different answers")

    def needs_exact_writes(self) -> None:
        """Raise NotApplicable if what the device holds after a write is not decided by the write alone."""
        if not self.info.exact_writes:
            raise NotApplicable("the device's writes are not exact: it may hold something else each time")

    def needs_learning(self) -> None:
        """Raise NotApplicable if the device cannot learn by itself."""
        if Capability.LEARN not in self.info.capabilities:
            raise NotApplicable("the device cannot learn by itself")

    async def demand_theta(self, what: str, *, probed: bool = False) -> None:
        """Raise ConformanceError unless the device holds what it was given.

        Cells that age or wear hold something else once they were `probed`: time has passed there.
        """
        if probed and not self.info.exact_writes:
            return
        demand_theta(self.info, self.theta, await self.device.read(), what)


def demand_theta(info: DeviceInfo, expected: FloatArray, held: FloatArray, what: str) -> None:
    """Raise ConformanceError unless two readings of θ are the same; of a noisy device, within a step of each other."""
    demand(held.shape == expected.shape, f"{what}: θ has the shape {held.shape}, expected {expected.shape}")
    noise = 0.0 if Capability.DETERMINISTIC in info.capabilities else (1 + 1e-6) * np.asarray(info.theta_lsb)
    far = ~(np.abs(held - expected) <= noise)
    index = int(np.argmax(far))
    demand(not far.any(), f"{what}: parameter {index} is {float(held[index])!r}, expected {float(expected[index])!r}")


@contextlib.asynccontextmanager
async def on_bench(opener: Opener) -> AsyncIterator[Bench]:
    """A new device, open, loaded with a dataset of its sizes, with parameters about the middle of their range."""
    async with opener() as device:
        dataset = dataset_for(device.info)
        await device.load(dataset)
        await device.write(theta_for(device.info))
        yield Bench(device, dataset, np.array(await device.read()), await device.snapshot())


@contextlib.contextmanager
def watched(device: Device, hook: str, tell: Callable[..., object]) -> Iterator[None]:
    """While this lasts, somebody is told of every call of one of a device's hooks, before it is done."""
    original = getattr(device, hook)

    async def call(*given: Any) -> Any:
        tell(*given)
        return await original(*given)

    setattr(device, hook, call)
    try:
        yield
    finally:
        delattr(device, hook)


async def answer(request: Awaitable[Any], what: str) -> Any:
    """What a request is answered with. Raises ConformanceError, which says what was asked, for any error."""
    try:
        return await request
    except Exception as error:
        raise ConformanceError(f"{what} is refused: {type(error).__name__}: {error}") from error
