"""How parameters may move, where a device says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import CodeSpec
from mgdhw.device import Capability, Device, Motion
from mgdhw.device.motion import ROUNDING, steps_at_once
from mgdhw.errors import LimitExceeded
from mgdhw.testing.bench import demand_theta
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand, refusal
from mgdhw.testing.fitted import SEED, block_for, dataset_for, theta_for


class Recorder:
    """Stands between a device and its hardware, and notes where and when each write moves a parameter."""

    def __init__(self, device: Device) -> None:
        self.faults: list[str] = []
        self._device = device
        self._apply: Callable[..., object] = device.apply
        self._at: FloatArray | None = None
        self._moved: FloatArray | None = None
        device.apply = self.apply  # type: ignore[method-assign]

    def begin(self, theta: FloatArray) -> None:
        """The parameters are at θ, (P,); nobody knows since when."""
        self._at, self._moved = theta, np.full(theta.size, time.monotonic())

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        """One write."""
        began = time.monotonic()
        stored: FloatArray = await self._apply(theta, step)  # type: ignore[misc]
        if self._at is None or self._moved is None:
            self.faults.append("parameters are written while it connects")
            return stored
        info, motion = self._device.info, _motion(self._device)
        change = np.abs(stored - self._at)
        slack = ROUNDING * np.asarray(info.theta_lsb) * (1 if info.exact_writes else np.inf)
        far = change > motion.max_step + slack
        early = (change > slack) & (began - self._moved < motion.step_seconds)
        for wrong, what in ((far, f"moves by {change.max():g} in one write"), (early, "moves again too soon")):
            if wrong.any():
                self.faults.append(f"parameter {int(np.argmax(wrong))} {what}")
        self._moved[change > 0] = time.monotonic()
        self._at = np.array(stored)
        return stored

    def demand(self, what: str) -> None:
        """Raise ConformanceError if anything was too far or too soon."""
        demand(not self.faults, f"{what}: {self.faults[0] if self.faults else ''}")


async def parameters_move_no_faster_than_declared(opener: Opener) -> None:
    """No write moves a parameter further or sooner than `info.motion` says: the first, the last, and all between."""
    device = opener()
    recorder = Recorder(device)
    async with device:
        _motion(device)  # says where there is none
        info = device.info
        recorder.demand("opening")
        recorder.begin(await device.read())
        await device.load(dataset_for(info))
        there, back = (theta_for(info, number) for number in (1, 0))
        await device.write(there)
        recorder.demand("the first write")
        await device.write(back)
        await device.write(there)
        recorder.demand("writes back and forth")
        await device.probe(block_for(info))
        recorder.demand("a block")
        await _cancelled(device.write(back))
        await device.write(there)
        recorder.demand("a write after one that was cancelled")
        task = asyncio.ensure_future(device.probe(block_for(info)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        recorder.demand("a block that was cancelled")
    recorder.demand("closing")


async def the_safe_state_is_reached_and_read(opener: Opener) -> None:
    """A device that declares its safe state is in it once it was closed, and says so when it is opened again."""
    device = opener()
    for _ in range(2):
        async with device:
            motion, info = _motion(device), device.info
            if motion.safe is None:
                raise NotApplicable("the device does not say which state is safe")
            await device.write(theta_for(info, 1))
        async with device:
            safe = np.array(np.broadcast_to(motion.safe, info.n_parameters), dtype=np.float64)
            far = np.abs(await device.read() - safe) > (1 + ROUNDING) * np.asarray(info.theta_lsb)
            if info.exact_writes:
                demand(
                    not far.any(), f"closed and opened again: parameter {int(np.argmax(far))} is not where it is safe"
                )
            await device.write(held := await device.read())
            demand_theta(info, held, await device.read(), "writing what is held")


async def perturbations_that_are_moves_too_far_are_refused(opener: Opener) -> None:
    """Codes of the device's own that swing by more than one write may move a parameter are refused, others taken."""
    device = opener()
    async with device:
        motion, info = _motion(device), device.info
        if Capability.PROBE not in info.capabilities:
            raise NotApplicable("the device has no code generator: what the host writes is moved slowly")
        most = int(steps_at_once(motion.max_step, info.theta_lsb).min())
        await device.load(dataset_for(info))
        await device.write(theta_for(info, 0))
        for amplitude in (most // 2 + 1, most // 2 + 5):
            block = block_for(info, codes=CodeSpec("random", SEED, amplitude), n_probes=2)
            what = f"perturbing by ± {amplitude} steps, where one write may move a parameter by {most},"
            await refusal(device.probe(block), LimitExceeded, what)


def _motion(device: Device) -> Motion:
    """What `write` keeps to. Raises NotApplicable where that is nothing."""
    if device.info.motion is None:
        raise NotApplicable("the device's parameters may move as fast as they like")
    if device.motion is None:
        raise NotApplicable("the device moves slowly by itself; what its writes say is where to")
    return device.info.motion


async def _cancelled(request: object) -> None:
    """Make a request, and cancel it once it has begun."""
    task = asyncio.ensure_future(request)  # type: ignore[call-overload]
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
