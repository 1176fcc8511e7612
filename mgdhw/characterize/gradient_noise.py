"""Noise of the gradient due to samples, and the batch size that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.noise import Noise

PROBES = 96
FULL = 16
"""Datasets up to this size are used as a single batch."""
LARGEST = 64
"""Of a recommendation: on hardware the samples of a batch take turns, so that more of them take as much longer, while a
batch beyond tr Σ / |g|² makes a probe at most twice as good."""
CLIPPED = 0.1
"""Share of different samples with exactly the largest cost from which on the cost's range is too small."""


@dataclass(frozen=True)
class GradientNoise:
    """Power of the slope along random directions against the number of samples, B.

    The model is power(B) = |g|² + tr Σ · (1/B - 1/N): g is the gradient over all N samples, Σ the covariance of single
    samples' gradients. tr Σ / |g|², the gradient noise scale, is the batch at which samples add as much power as there
    is signal.
    Source: McCandlish et al., "An empirical model of large-batch training" (2018), equation 2.9.

    Args:
        sizes: (K,) batches that were tried.
        power: (K,) mean squared slope, noise of the cost taken off.
        gradient: |g|².
        spread: tr Σ.
        n_train: N.
        clipped: share of single samples that had exactly the largest cost.
    """

    sizes: tuple[int, ...]
    power: FloatArray
    gradient: float
    spread: float
    n_train: int
    clipped: float

    @property
    def noise_scale(self) -> float:
        """tr Σ / |g|²; infinite where no gradient is left."""
        return self.spread / self.gradient if self.gradient > 0 else float("inf")

    @property
    def best(self) -> int:
        """The power of two nearest to the noise scale, or the whole of a small dataset."""
        largest = min(self.n_train, LARGEST)
        if self.n_train <= FULL:
            return self.n_train
        if self.noise_scale >= largest:
            return largest
        return min(largest, 1 << max(0, round(float(np.log2(max(self.noise_scale, 1.0))))))


def batch_sizes(largest: int) -> tuple[int, ...]:
    """1, 4, 16, ... and the largest."""
    return tuple(sorted({size for size in (1, 4, 16, 64) if size < largest} | {largest}))


async def measure_gradient_noise(device: BudgetedDevice, amplitude: int, noise: Noise) -> GradientNoise:
    """Pairs of probes on other samples each time, with batches of growing size, where the parameters stand.

    Takes 192 evaluations for each of up to five sizes.
    """
    device.begin_stage("measuring the gradient noise")
    delta = amplitude * float(np.max(device.info.theta_lsb))
    sizes, power, clipped = batch_sizes(noise.batch), [], 0.0
    n_train = device.dataset.n_train
    for size in sizes:
        pair = await device.measure_pairs(PROBES, Baseline.ANTITHETIC, amplitude=amplitude, batch=size, tau_x=1)
        odd = (pair.perturbed - pair.reference) / 2
        power.append((float(np.square(odd).mean()) - noise.variance(size) / 2) / delta**2)
        if size == 1 and n_train > FULL:
            costs = np.stack([pair.perturbed, pair.reference])
            clipped = float((costs == costs.max()).all(axis=0).mean())
    gradient, spread = fit_spread(sizes, np.array(power), n_train)
    return GradientNoise(sizes, np.array(power), gradient, spread, n_train, clipped)


def fit_spread(sizes: tuple[int, ...], power: FloatArray, n_train: int) -> tuple[float, float]:
    """|g|² and tr Σ, neither below zero: least squares of the relative error, which is the same for all sizes."""
    rest = 1 / np.array(sizes, dtype=np.float64) - 1 / n_train
    weight = 1 / np.maximum(power, 1e-3 * float(power.max()) + 1e-300)
    columns = np.stack([weight, rest * weight], axis=1)
    gradient, spread = np.linalg.lstsq(columns, power * weight, rcond=None)[0]
    if spread < 0:
        return max(0.0, float(power.mean())), 0.0
    if gradient < 0:
        return 0.0, float((power * rest).sum() / np.square(rest).sum())
    return float(gradient), float(spread)
