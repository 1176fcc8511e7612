"""Noise and drift of the cost: the same parameters and samples, measured again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline
from mgdhw.check.bench import Bench

FloatArray = NDArray[np.float64]

REPEATS = 512
REPEATS_SINGLE = 128
SIGNIFICANT = 5.0
"""Standard errors from which on a slope is a drift."""
WANDERS = 4.0
"""How many times white noise's Allan variance the longest averages must have."""


@dataclass(frozen=True)
class Noise:
    """What C₀ per sample does while nothing changes.

    Args:
        batch: samples of a measurement.
        cost: mean C₀.
        sigma: white noise of one measurement on `batch` samples: the Allan deviation of neighbours.
        sigma_single: the same on one sample.
        quantum: step of the cost converter, per sample; 0 where costs are floats and there is none.
        slope, slope_error: drift of C₀ per probe, and its standard error.
        allan: (m, deviation) of the means of m neighbouring measurements.
        series: (n,) all measurements.
    """

    batch: int
    cost: float
    sigma: float
    sigma_single: float
    quantum: float
    slope: float
    slope_error: float
    allan: tuple[tuple[int, float], ...]
    series: FloatArray

    @property
    def drifts(self) -> bool:
        """Whether C₀ changes steadily, or wanders more slowly than white noise does."""
        if abs(self.slope) > SIGNIFICANT * self.slope_error:
            return True
        m, deviation = self.allan[-1]
        return deviation**2 * m > WANDERS * self.sigma**2 > 0

    def variance(self, batch: int) -> float:
        """Of one measurement on `batch` samples: what they share, each one's own, and rounding by the converter."""
        shared, each = self._parts()
        return shared + (each + self.quantum**2 / 12) / batch

    def _parts(self) -> tuple[float, float]:
        """Variance that all samples of a probe share, and that of each sample."""
        if self.batch == 1:
            return 0.0, self.sigma**2
        each = max(0.0, (self.sigma_single**2 - self.sigma**2) / (1 - 1 / self.batch))
        return max(0.0, self.sigma**2 - each / self.batch), each


async def measure_noise(bench: Bench, batch: int) -> Noise:
    """Repeat C₀ on the same samples over many steps. Takes 1,280 evaluations."""
    bench.begin("repeating one measurement")
    series = (await bench.pairs(REPEATS, Baseline.EVERY, batch=batch)).reference
    single = series if batch == 1 else (await bench.pairs(REPEATS_SINGLE, Baseline.EVERY, batch=1)).reference
    slope, slope_error = drift(series)
    return Noise(
        batch=batch,
        cost=float(series.mean()),
        sigma=float(np.sqrt(allan_variance(series, 1))),
        sigma_single=float(np.sqrt(allan_variance(single, 1))),
        quantum=bench.info.cost_lsb if bench.whole else 0.0,
        slope=slope,
        slope_error=slope_error,
        allan=tuple((m, float(np.sqrt(allan_variance(series, m)))) for m in _octaves(series.size // 8)),
        series=series,
    )


def allan_variance(series: FloatArray, m: int) -> float:
    """Half the mean squared difference of neighbouring means of m: σ²/m for white noise, whatever drifts slowly.

    Source: Allan, "Statistics of atomic frequency standards" (1966).
    """
    means = series[: series.size // m * m].reshape(-1, m).mean(axis=1)
    return float(np.square(np.diff(means)).mean() / 2)


def drift(series: FloatArray) -> tuple[float, float]:
    """Slope per step and its standard error under white noise, by regression."""
    steps = np.arange(series.size) - (series.size - 1) / 2
    spread = float(np.square(steps).sum())
    slope = float((steps * series).sum() / spread)
    return slope, float(np.sqrt(allan_variance(series, 1) / spread))


def _octaves(largest: int) -> list[int]:
    return [1 << power for power in range(largest.bit_length())]
