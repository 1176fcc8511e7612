"""A device whose cost, gradient and curvature are known everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Part
from mgdhw.characterize import MAX_EVALUATIONS, Characterization, check
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.datasets import load
from mgdhw.device import Capability
from mgdhw.errors import LinkTimeout
from mgdhw.testing.function_device import FunctionDevice

Cost = Callable[[FloatArray], float]
TARGET = np.array([0.4, -0.3, 0.2])
BEND = np.array([1.0, 2.0, 0.5])


def bowl(theta: FloatArray) -> float:
    """½ Σ BEND (θ - TARGET)²: gradient and Hessian are known everywhere."""
    return float((BEND * (theta - TARGET) ** 2).sum() / 2) + 0.1


class Toy(FunctionDevice):
    """A device whose cost is a function of θ, which may drift, settle slowly, stop obeying, and fail.

    Args:
        drift: of the cost, from one measurement to the next.
        settling: share of the cost before that is still in a measurement.
    """

    def __init__(
        self, cost: Cost = bowl, *, p: int = 3, noise: float = 0.0, drift: float = 0.0, settling: float = 0.0
    ) -> None:
        super().__init__(cost, p, uri="toy:1", lsb=2.0**-8, noise=noise, seed=7)
        self.info = replace(self.info, capabilities=Capability.MEASURE)
        self.drift, self.settling = drift, settling
        self.output = 0.0
        self.measured = 0
        self.frozen = False
        self.failures: set[int] = set()

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await self.read() if self.frozen else await super().apply(theta, step)

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.measured += 1
        return await super().infer(samples, step)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.measured += 1
        if self.measured in self.failures:
            raise LinkTimeout("no answer", uri=self.uri)
        cost = await super().measure(samples, step, part) / samples.size
        self.output += (1 - self.settling) * (cost - self.output)
        return samples.size * (self.output + self.drift * self.measured)


def checked(device: Toy, **options: Any) -> Characterization:
    async def run() -> Characterization:
        async with device:
            return await check(device, load("xor"), **options)

    return asyncio.run(run())


async def bench_of(device: Toy, limit: int = MAX_EVALUATIONS) -> BudgetedDevice:
    await device.open()
    return BudgetedDevice(device, load("xor"), 3, limit, lambda activity, used: None)
