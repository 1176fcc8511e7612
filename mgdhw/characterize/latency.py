"""Latency of requests: a fixed time, a time per probe, and a time per sample."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.budgeted_device import BudgetedDevice

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Probes of the blocks that are timed."""
REPEATS = {1: 8, 2: 8, 4: 4, 8: 4}
"""Tries of each size; two of all others."""
BATCH_PROBES = 32


@dataclass(frozen=True)
class Latency:
    """Wall times, in seconds.

    Args:
        fixed: per request.
        per_probe: per probe, on one sample.
        per_sample: per additional sample of a probe; None if only one batch size was tried.
        blocks: (probes, seconds) of the blocks that were timed.
    """

    fixed: float
    per_probe: float
    per_sample: float | None
    blocks: tuple[tuple[int, float], ...]

    @property
    def probes_per_second(self) -> float:
        """In long blocks, on one sample."""
        return 1.0 / self.per_probe if self.per_probe > 0 else float("inf")


async def measure_latency(device: BudgetedDevice, batch: int) -> Latency:
    """Time blocks of growing length on one sample, and some on `batch` samples. Takes 681 evaluations.

    Args:
        device: the device.
        batch: a large batch, for the time of a sample.
    """
    device.begin_stage("timing blocks")
    await device.measure_pairs(1, Baseline.NONE)  # a simulated chip is compiled at the first one
    blocks = tuple([(size, await _seconds(device, size, 1, REPEATS.get(size, 2))) for size in SIZES])
    fixed, per_probe = fit_line(blocks)
    per_sample = None
    if batch > 1:
        large = await _seconds(device, BATCH_PROBES, batch, 2)
        small = await _seconds(device, BATCH_PROBES, 1, 2)
        per_sample = max(0.0, (large - small) / (BATCH_PROBES * (batch - 1)))
    return Latency(fixed, per_probe, per_sample, blocks)


def fit_line(blocks: tuple[tuple[int, float], ...]) -> tuple[float, float]:
    """Seconds of a request and of each probe: least squares of the relative error, neither below zero."""
    sizes, seconds = np.array(blocks, dtype=np.float64).T
    seconds = np.maximum(seconds, 1e-9)
    columns = np.stack([1.0 / seconds, sizes / seconds], axis=1)
    fixed, per_probe = np.linalg.lstsq(columns, np.ones(sizes.size), rcond=None)[0]
    if per_probe < 0:
        return float(seconds.mean()), 0.0
    return max(0.0, float(fixed)), float(per_probe)


async def _seconds(device: BudgetedDevice, size: int, batch: int, repeats: int) -> float:
    """The shortest of several attempts: other load only makes them longer."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        await device.measure_pairs(size, Baseline.NONE, batch=batch)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
