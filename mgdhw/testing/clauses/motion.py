"""Clauses about how fast parameters may move."""

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
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import require_theta
from mgdhw.testing.requirements import expect_refusal, require
from mgdhw.testing.stimuli import SEED, block_for, dataset_for, theta_for


class Recorder:
    """Wraps a device's `apply` and records where and when each write moves a parameter."""

    def __init__(self, device: Device) -> None:
        self.faults: list[str] = []
        self._device = device
        self._apply: Callable[..., object] = device.apply
        self._at: FloatArray | None = None
        self._moved: FloatArray | None = None
        device.apply = self.apply  # type: ignore[method-assign]

    def begin(self, theta: FloatArray) -> None:
        """The parameters are at θ, (P,)."""
        self._at, self._moved = theta, np.full(theta.size, time.monotonic())

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        """One write."""
        began = time.monotonic()
        actual: FloatArray = await self._apply(theta, step)  # type: ignore[misc]
        if self._at is None or self._moved is None:
            self.faults.append("parameters are written while connecting")
            return actual
        info, motion = self._device.info, _motion(self._device)
        change = np.abs(actual - self._at)
        slack = ROUNDING * np.asarray(info.theta_lsb) * (1 if info.exact_writes else np.inf)
        far = change > motion.max_step + slack
        early = (change > slack) & (began - self._moved < motion.step_seconds)
        for wrong, what in ((far, f"moves by {change.max():g} in one write"), (early, "moves again too soon")):
            if wrong.any():
                self.faults.append(f"parameter {int(np.argmax(wrong))} {what}")
        self._moved[change > 0] = time.monotonic()
        self._at = np.array(actual)
        return actual

    def require(self, what: str) -> None:
        """Raise ConformanceError if a move was too large or too early."""
        require(not self.faults, f"{what}: {self.faults[0] if self.faults else ''}")


async def parameters_move_no_faster_than_declared(opener: Opener) -> None:
    """No write, including the first and the last, moves a parameter further or sooner than `info.motion` allows."""
    device = opener()
    recorder = Recorder(device)
    async with device:
        _motion(device)  # raises NotApplicable if there is none
        info = device.info
        recorder.require("opening")
        recorder.begin(await device.read())
        await device.load(dataset_for(info))
        there, back = (theta_for(info, number) for number in (1, 0))
        await device.write(there)
        recorder.require("the first write")
        await device.write(back)
        await device.write(there)
        recorder.require("writes back and forth")
        await device.probe(block_for(info))
        recorder.require("a block")
        await _cancelled(device.write(back))
        await device.write(there)
        recorder.require("a write after one that was cancelled")
        task = asyncio.ensure_future(device.probe(block_for(info)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        recorder.require("a block that was cancelled")
    recorder.require("closing")


async def the_safe_state_is_reached_and_read(opener: Opener) -> None:
    """A device that declares a safe state is in it when it is reopened after closing."""
    device = opener()
    for _ in range(2):
        async with device:
            motion, info = _motion(device), device.info
            if motion.safe is None:
                raise NotApplicable("the device declares no safe state")
            await device.write(theta_for(info, 1))
        async with device:
            safe = np.array(np.broadcast_to(motion.safe, info.n_parameters), dtype=np.float64)
            far = np.abs(await device.read() - safe) > (1 + ROUNDING) * np.asarray(info.theta_lsb)
            if info.exact_writes:
                require(not far.any(), f"after reopening, parameter {int(np.argmax(far))} is not in the safe state")
            await device.write(theta_read := await device.read())
            require_theta(info, theta_read, await device.read(), "writing the current parameters")


async def perturbations_that_are_moves_too_far_are_refused(opener: Opener) -> None:
    """Device codes that would move a parameter further than one write may are refused."""
    device = opener()
    async with device:
        motion, info = _motion(device), device.info
        if Capability.PROBE not in info.capabilities:
            raise NotApplicable("the device has no code generator, and host writes are ramped")
        most = int(steps_at_once(motion.max_step, info.theta_lsb).min())
        await device.load(dataset_for(info))
        await device.write(theta_for(info, 0))
        for amplitude in (most // 2 + 1, most // 2 + 5):
            block = block_for(info, codes=CodeSpec("random", SEED, amplitude), n_probes=2)
            what = f"perturbing by ± {amplitude} steps, where one write may move a parameter by {most} steps,"
            await expect_refusal(device.probe(block), LimitExceeded, what)


def _motion(device: Device) -> Motion:
    """Limits that `write` enforces. Raises NotApplicable if there are none."""
    if device.info.motion is None:
        raise NotApplicable("the device declares no limits on how parameters move")
    if device.motion is None:
        raise NotApplicable("the device makes ramps itself")
    return device.info.motion


async def _cancelled(request: object) -> None:
    """Make a request, and cancel it once it has begun."""
    task = asyncio.ensure_future(request)  # type: ignore[call-overload]
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
