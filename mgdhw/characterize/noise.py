"""Noise and drift of the cost, from repeated measurements with the same parameters and samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.learning.outliers import RECENT, usual
from mgdhw.training.amplitude import default_amplitude

REPEATS = 512
REPEATS_SINGLE = 128
SIGNIFICANT = 5.0
"""Standard errors above which a slope is a drift."""
WANDERS = 4.0
"""Ratio of the Allan variance of the longest averages to that of white noise above which the cost drifts."""
LEAST_CARRIED = 0.005
"""Smallest residual of the previous measurement that is reported."""
OUTLIER_LIMIT = 8.0
"""Standard deviations beyond which a repeated measurement is an outlier."""
LEAST_OUTLIERS = 2
MORE = 3.0
"""Ratio of the variance on a batch to that on one sample above which settling is suspected."""


@dataclass(frozen=True)
class Noise:
    """Fluctuations of C₀ per sample while nothing changes.

    Args:
        batch: samples of a measurement.
        cost: mean C₀.
        sigma: white noise of one measurement on `batch` samples: the Allan deviation of neighbors.
        sigma_single: the same on one sample.
        quantum: step of the cost converter, per sample; 0 where costs are floats and there is none.
        drift_rate, drift_rate_error: drift of C₀ per probe, and its standard error.
        allan: (m, deviation) of the means of m consecutive measurements.
        series: (n,) all measurements.
        outliers: measurements of `series` that are far outside those before.
        carried, carried_error: how much C₀ follows the perturbed cost that was measured just before it, and the
            standard error of that.
    """

    batch: int
    cost: float
    sigma: float
    sigma_single: float
    quantum: float
    drift_rate: float
    drift_rate_error: float
    allan: tuple[tuple[int, float], ...]
    series: FloatArray
    carried: float = 0.0
    carried_error: float = 0.0
    outliers: int = 0

    @property
    def has_outliers(self) -> bool:
        """Whether there are more outliers than chance explains."""
        return self.outliers >= LEAST_OUTLIERS

    @property
    def carries(self) -> bool:
        """Whether a measurement contains a part of the one before it, as outputs do that have not settled."""
        return self.carried > max(LEAST_CARRIED, SIGNIFICANT * self.carried_error)

    @property
    def unsettled(self) -> bool:
        """Whether settling is to be suspected: by what is carried over, or by more noise on many samples than on one.

        What is left of the measurement before differs between samples, and need not be the smaller on their mean.
        """
        return self.carries or (self.batch > 1 and self.sigma**2 > MORE * self.sigma_single**2)

    @property
    def drifts(self) -> bool:
        """Whether C₀ changes steadily, or wanders more slowly than white noise does."""
        if abs(self.drift_rate) > SIGNIFICANT * self.drift_rate_error:
            return True
        m, deviation = self.allan[-1]
        return deviation**2 * m > WANDERS * self.sigma**2 > 0

    def variance(self, batch: int) -> float:
        """Of one measurement on `batch` samples: what they share, each one's own, and rounding by the converter."""
        shared, each = self._components()
        return shared + (each + self.quantum**2 / 12) / batch

    def _components(self) -> tuple[float, float]:
        """Variance common to all samples of a probe, and variance of each sample."""
        if self.batch == 1:
            return 0.0, self.sigma**2
        each = max(0.0, (self.sigma_single**2 - self.sigma**2) / (1 - 1 / self.batch))
        return max(0.0, self.sigma**2 - each / self.batch), each


async def measure_noise(device: BudgetedDevice, batch: int) -> Noise:
    """Repeat C₀ on the same samples over many steps, after a perturbed cost each time. Takes 1,280 evaluations."""
    device.begin_stage("measuring noise and drift")
    amplitude = default_amplitude("random", device.info)  # large enough that one sees what is left of it
    pairs = await device.measure_pairs(REPEATS, Baseline.EVERY, amplitude=amplitude, batch=batch)
    series = pairs.reference
    single = (
        series
        if batch == 1
        else (await device.measure_pairs(REPEATS_SINGLE, Baseline.EVERY, amplitude=amplitude)).reference
    )
    drift_rate, drift_rate_error = drift(series)
    carried, carried_error = carried_over(series, pairs.perturbed)
    return Noise(
        batch=batch,
        cost=float(series.mean()),
        sigma=float(np.sqrt(allan_variance(series, 1))),
        sigma_single=float(np.sqrt(allan_variance(single, 1))),
        quantum=device.info.cost_lsb if device.integer_costs else 0.0,
        drift_rate=drift_rate,
        drift_rate_error=drift_rate_error,
        allan=tuple((m, float(np.sqrt(allan_variance(series, m)))) for m in _octaves(series.size // 8)),
        series=series,
        carried=carried,
        carried_error=carried_error,
        outliers=count_outliers(series, device.info.cost_lsb / batch if device.integer_costs else None),
    )


def count_outliers(series: FloatArray, quantum: float | None) -> int:
    """How many of a series a training would take for outliers, with a wider limit.

    Args:
        series: (n,) repeated measurements.
        quantum: the unit of integer costs; None where costs are floats.
    """
    values = (series if quantum is None else series / quantum).tolist()
    integer = quantum is not None
    return sum(
        value not in usual(values[max(0, n - RECENT) : n], OUTLIER_LIMIT, integer=integer)
        for n, value in enumerate(values)
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


def carried_over(reference: FloatArray, perturbed: FloatArray) -> tuple[float, float]:
    """How much each baseline, (n,), follows the perturbed cost, (n,), of the probe before it, and its standard error.

    By regression of their changes, which what drifts slowly leaves alone. Nothing else that a baseline and an earlier
    probe share could come from a random code.
    """
    change, before = np.diff(reference)[1:], np.diff(perturbed)[:-1]
    change, before = change - change.mean(), before - before.mean()  # a steady drift is in both
    power = float(np.square(before).sum())
    if power == 0:
        return 0.0, 0.0
    share = float((change * before).sum()) / power
    rest = float(np.square(change - share * before).mean())
    return share, float(np.sqrt(2 * rest / power))  # 2: neighbouring changes have a measurement in common


def _octaves(largest: int) -> list[int]:
    return [1 << power for power in range(largest.bit_length())]
