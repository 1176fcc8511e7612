"""Response of the cost to perturbations of increasing size: signal, then curvature and saturation.

A pair of probes splits the response to a perturbation Δ·s into its odd part, o = (C(θ + Δs) - C(θ - Δs)) / 2, which
carries the gradient, and its even part, e = (C(θ + Δs) + C(θ - Δs)) / 2 - C₀, which is curvature. A probe with a
baseline measures both, o + e; an antithetic pair measures o alone, with twice the evaluations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.noise import Noise
from mgdhw.device import Capability, DeviceInfo
from mgdhw.device.motion import swings_too_far
from mgdhw.training.initial import allowed, has_room, linked_constraint

DIRECTIONS = 64
MOST_AMPLITUDES = 11
LARGEST_AMPLITUDE = 1 << 14
ROOM = 8
"""The parameter range over the largest perturbation tried."""
SEEN = 1 + 3 * (2 / DIRECTIONS) ** 0.5
"""Odd power over that of the noise above which there is a signal: three standard errors."""
USABLE = 0.5
"""Share of the best quality that a usable Δ has."""
SMOOTHED = 3
"""Amplitudes over which the curvature is averaged."""


@dataclass(frozen=True)
class PerturbationResponse:
    """Responses in the same random directions at increasing amplitudes, on a fixed batch.

    Args:
        amplitudes: (A,) in steps of a parameter.
        deltas: (A,) the same in parameter units.
        batch: samples of a probe.
        odd, even: (A, directions) parts of the responses, per sample.
        noise: variance of one measurement, rounding included.
    """

    amplitudes: IntArray
    deltas: FloatArray
    batch: int
    odd: FloatArray
    even: FloatArray
    noise: float

    @property
    def odd_power(self) -> FloatArray:
        """(A,) mean o², noise included."""
        return np.asarray(np.square(self.odd).mean(axis=1))

    @property
    def even_power(self) -> FloatArray:
        """(A,) mean e², noise included."""
        return np.asarray(np.square(self.even).mean(axis=1))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(A,) whether the odd part exceeds the noise, which adds half of its variance to it."""
        return np.asarray(self.odd_power > np.maximum(SEEN * self.noise / 2, 1e-300))

    @property
    def reference(self) -> int:
        """Index of the amplitude whose odd part is nearest to the true slope: the best by noise and curvature alone."""
        signal = np.maximum(self.odd_power - self.noise / 2, 0.0)
        return int(np.argmax(np.where(self.seen, signal / self._held_power(), 0.0)))

    @property
    def slope_power(self) -> float:
        """Mean squared slope along a random direction of length √P, per unit of Δ: |g|² on this batch."""
        at = self.reference
        return float(max(self.odd_power[at] - self.noise / 2, 0.0) / self.deltas[at] ** 2)

    @property
    def kept(self) -> FloatArray:
        """(A,) share of the slope that the odd part still has along its own direction: 1 where the cost is straight."""
        at = self.reference
        clean = max(float(self.odd_power[at]) - self.noise / 2, 1e-300)
        along = (self.odd * self.odd[at]).mean(axis=1) * self.deltas[at] / (self.deltas * clean)
        return np.where(np.arange(self.deltas.size) > at, np.clip(along, 0.0, 1.0), 1.0)

    @property
    def quality_held(self) -> FloatArray:
        """(A,) signal power over all power of a probe with a baseline, 0 ... 1: what an evaluation is worth."""
        return np.clip(self.kept**2 * self.slope_power * self.deltas**2 / self._held_power(), 0.0, 1.0)

    @property
    def quality_antithetic(self) -> FloatArray:
        """(A,) the same of a pair, which costs two evaluations."""
        power = np.maximum(self.odd_power, self.noise / 2 + 1e-300)
        return np.clip(self.kept**2 * self.slope_power * self.deltas**2 / power, 0.0, 1.0) / 2

    @property
    def quality(self) -> FloatArray:
        """(A,) the better of both."""
        return np.asarray(np.maximum(self.quality_held, self.quality_antithetic))

    @property
    def usable(self) -> tuple[float, float] | None:
        """Smallest and largest Δ with at least half of the best quality; None if no perturbation is seen."""
        if not self.seen.any():
            return None
        good = np.flatnonzero(self.quality >= USABLE * self.quality.max())
        return float(self.deltas[good[0]]), float(self.deltas[good[-1]])

    @property
    def linearity(self) -> FloatArray:
        """(A,) share of the variance of C(θ ± Δs) - C₀ that a straight line through C₀ explains."""
        odd, even = self.odd_power, self.even_power
        return np.asarray(odd / np.maximum(odd + even, 1e-300))

    @property
    def trace(self) -> float:
        """Trace of the Hessian, from the even part near the reference: mean e = Δ² tr(H) / 2."""
        first = min(self.reference, max(0, self.deltas.size - SMOOTHED))
        near = slice(first, first + SMOOTHED)
        squares = self.deltas[near] ** 2
        return float(2 * (self.even[near].mean(axis=1) * squares).sum() / np.square(squares).sum())

    def _held_power(self) -> FloatArray:
        """(A,) mean (C̃)² of a probe with a baseline. o and e have one σ² of noise together, such a probe two."""
        return np.maximum(self.odd_power + self.even_power + self.noise, 1e-300)


def amplitudes_of(info_range: float, lsb: float) -> IntArray:
    """Amplitudes to try: powers of two up to an eighth of the range, at most eleven of them, from one step on."""
    largest = max(1, min(LARGEST_AMPLITUDE, int(info_range / lsb / ROOM)))
    fit_sgd_model = np.arange(largest.bit_length())
    if fit_sgd_model.size > MOST_AMPLITUDES:
        fit_sgd_model = np.unique(np.linspace(0, fit_sgd_model[-1], MOST_AMPLITUDES).round().astype(np.int64))
    return np.asarray(1 << fit_sgd_model, dtype=np.int64)


def _may_swing(info: DeviceInfo, amplitude: int) -> bool:
    """Whether a device with codes of its own, which it does not ramp, may apply those of an amplitude."""
    if info.motion is None or Capability.PROBE not in info.capabilities:
        return True
    return not swings_too_far(amplitude, info.motion.max_step, info.theta_lsb)


async def measure_response(
    device: BudgetedDevice, theta: FloatArray, noise: Noise
) -> tuple[PerturbationResponse, FloatArray]:
    """Measure the response around θ. Takes 128 evaluations, and 128 per amplitude (at most 1,536).

    θ is moved inwards if the largest perturbation would exceed the limits.

    Returns:
        The response, and where it was measured, (P,).
    """
    device.begin_stage("measuring the response to perturbations")
    info = device.info
    lsb = np.asarray(info.theta_lsb, dtype=np.float64)
    amplitudes = amplitudes_of(float(np.min(np.asarray(info.theta_max) - info.theta_min)), float(lsb.max()))
    possible = sum(has_room(info, one) and _may_swing(info, one) for one in amplitudes.tolist())
    amplitudes = amplitudes[: max(1, possible)]
    largest = int(amplitudes[-1])
    theta = allowed(info, largest, theta, linked_constraint(info, largest))
    await device.write(theta)
    first = device.reserve_steps(DIRECTIONS)
    baseline = await device.measure_pairs(DIRECTIONS, Baseline.EVERY, batch=noise.batch, first_step=first)
    cost = float(baseline.reference.mean())
    odd, even = [], []
    for amplitude in amplitudes.tolist():
        pair = await device.measure_pairs(
            DIRECTIONS, Baseline.ANTITHETIC, amplitude=amplitude, batch=noise.batch, first_step=first
        )
        odd.append((pair.perturbed - pair.reference) / 2)
        even.append((pair.perturbed + pair.reference) / 2 - cost)
    deltas = amplitudes.astype(np.float64) * float(lsb.max())
    return PerturbationResponse(
        amplitudes, deltas, noise.batch, np.array(odd), np.array(even), noise.variance(noise.batch)
    ), theta
