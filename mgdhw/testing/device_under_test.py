"""The device under test: open, with data loaded and known parameters."""

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
from mgdhw.testing.requirements import require
from mgdhw.testing.stimuli import dataset_for, theta_for

Probe = Callable[[Block], Awaitable[Costs]]


@dataclass(frozen=True, slots=True)
class DeviceUnderTest:
    """An open device with its data and parameters.

    Args:
        device: open.
        dataset: loaded.
        theta: (P,) actual parameters.
        cells: state of its cells; empty except for simulated chips whose cells have a history.
    """

    device: Device
    dataset: Dataset
    theta: FloatArray
    cells: Mapping[str, NDArray[Any]]

    @property
    def info(self) -> DeviceInfo:
        """Description of the device."""
        return self.device.info

    @property
    def levels(self) -> dict[str, Probe]:
        """Levels at which the device can run a block: "host-codes", "device-codes", or both.

        Host codes are left out where writes are not exact, which makes them a different experiment, unless they are all
        that the device offers.
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
        """Whether equal requests give equal results; not if probes consist of writes that are not exact."""
        can = self.info.capabilities
        return Capability.DETERMINISTIC in can and (self.info.exact_writes or Capability.PROBE in can)

    def needs_determinism(self) -> None:
        """Raise NotApplicable if equal requests may give different results."""
        if not self.is_deterministic:
            raise NotApplicable("the device is not deterministic: equal requests may give different results")

    @property
    def is_repeatable(self) -> bool:
        """Whether a request that is made again here gives the same result: deterministic, or but for rounding."""
        return self.is_deterministic or Capability.REPEATABLE in self.info.capabilities

    def needs_repeatability(self) -> None:
        """Raise NotApplicable if a request that is made again may give another result."""
        if not self.is_repeatable:
            raise NotApplicable("the device is not deterministic: equal requests may give different results")

    def needs_exact_writes(self) -> None:
        """Raise NotApplicable if the parameters after a write depend on more than the write."""
        if not self.info.exact_writes:
            raise NotApplicable("the device's writes are not exact: the actual parameters may differ each time")

    def needs_learning(self) -> None:
        """Raise NotApplicable if the device cannot learn on its own."""
        if Capability.LEARN not in self.info.capabilities:
            raise NotApplicable("the device cannot learn on its own")

    async def require_theta(self, what: str, *, probed: bool = False) -> None:
        """Raise ConformanceError unless the device still has its parameters.

        Not checked after `probed` if cells age or wear: time has passed for them.
        """
        if probed and not self.info.exact_writes:
            return
        require_theta(self.info, self.theta, await self.device.read(), what)


def require_theta(info: DeviceInfo, expected: FloatArray, actual: FloatArray, what: str) -> None:
    """Raise ConformanceError unless two readings of θ are the same; of a noisy device, within a step of each other."""
    require(actual.shape == expected.shape, f"{what}: θ has the shape {actual.shape}, expected {expected.shape}")
    noise = 0.0 if Capability.DETERMINISTIC in info.capabilities else (1 + 1e-6) * np.asarray(info.theta_lsb)
    far = ~(np.abs(actual - expected) <= noise)
    index = int(np.argmax(far))
    require(
        not far.any(), f"{what}: parameter {index} is {float(actual[index])!r}, expected {float(expected[index])!r}"
    )


@contextlib.asynccontextmanager
async def opened_dut(opener: Opener) -> AsyncIterator[DeviceUnderTest]:
    """A new device, open, with a dataset of its sizes loaded and parameters near the middle of their range."""
    async with opener() as device:
        dataset = dataset_for(device.info)
        await device.load(dataset)
        await device.write(theta_for(device.info))
        yield DeviceUnderTest(device, dataset, np.array(await device.read()), await device.snapshot())


@contextlib.contextmanager
def intercepted(device: Device, hook: str, tell: Callable[..., object]) -> Iterator[None]:
    """In this context, `tell` is called before every call of one of the device's hooks."""
    original = getattr(device, hook)

    async def call(*given: Any) -> Any:
        tell(*given)
        return await original(*given)

    setattr(device, hook, call)
    try:
        yield
    finally:
        delattr(device, hook)


async def require_success(request: Awaitable[Any], what: str) -> Any:
    """The result of a request. Raises ConformanceError, naming the request, for any error."""
    try:
        return await request
    except Exception as error:
        raise ConformanceError(f"{what} is refused: {type(error).__name__}: {error}") from error
