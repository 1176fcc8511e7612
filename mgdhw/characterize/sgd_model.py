"""From measured numbers to Δ, τ_θ and a first η: stochastic gradient descent on a parabola.

An update from a window of τ probes with random signs moves θ by -η ĝ, where E ĝ = g and

    E ĝᵀHĝ = gᵀHg + tr(H)/P · tr(Σ)/B + tr(H) · S/τ.

S is the mean square of C̃/Δ of a single probe: the other parameters' share, |g|² + tr(Σ)/B, and what noise, curvature
and drift add. (The middle term belongs to samples that are held for the window; with new ones for each probe it is in
S.) The cost falls by η|g|² - η² E ĝᵀHĝ / 2, most at η = |g|² / E ĝᵀHĝ. A window is good if that is much for each of its
evaluations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.gradient_noise import GradientNoise
from mgdhw.characterize.line_search import LineSearch
from mgdhw.characterize.noise import Noise
from mgdhw.characterize.response import PerturbationResponse

SHORTEST, LONGEST = 1.0, 4.0
"""Probes of a window over √P. Momentum averages over ten of them: shorter ones only take more updates for it."""
SIMILAR = 0.75
"""Share of the best quality from which on a smaller Δ is preferred: what is curved biases the gradient to the end."""
ALMOST = 0.8
"""Share of the best gain that a longer window may have: it needs fewer updates."""


@dataclass(frozen=True)
class SgdModel:
    """The model's parameters at one θ and one Δ.

    Args:
        parameters: P.
        gradient: |g|².
        spread: tr Σ.
        noise: variance of C₀ on B samples over Δ².
        curvature: mean square of the even part over Δ², without noise.
        trace: tr H.
        along: gᵀHg.
        drift: (change of C₀ per probe)² over Δ².
    """

    parameters: int
    gradient: float
    spread: float
    noise: float
    curvature: float
    trace: float
    along: float
    drift: float

    def per_probe(self, baseline: Baseline, batch: int, tau: int) -> float:
        """S of a window of τ probes."""
        own = self.gradient + self.spread / batch
        if baseline is Baseline.ANTITHETIC:
            return own + self.noise / 2
        return own + 2 * self.noise + self.curvature + self.drift * tau**2 / 3


@dataclass(frozen=True)
class UpdatePlan:
    """How updates are made: baseline, window and learning rate.

    Args:
        baseline: "held" (for the whole window, as the samples are) or "antithetic".
        tau: probes in a window.
        eta: the learning rate with the largest expected decrease of the cost.
        gain: expected decrease of the cost per evaluation.
    """

    baseline: Baseline
    tau: int
    eta: float
    gain: float

    @property
    def evaluations(self) -> int:
        """Per update."""
        return evaluations_of(self.baseline, self.tau)


def evaluations_of(baseline: Baseline, tau: int) -> int:
    """Evaluations of a window of τ probes."""
    return 2 * tau if baseline is Baseline.ANTITHETIC else tau + 1


def best_delta(responses: list[PerturbationResponse]) -> int:
    """Amplitude, in steps, whose quality is good where it is worst among some points of training.

    Of amplitudes about as good as the best it is the smallest.
    """
    shared = np.min([response.quality / response.quality.max() for response in responses], axis=0)
    return int(responses[0].amplitudes[np.flatnonzero(shared >= SIMILAR * shared.max())[0]])


def fit_sgd_model(
    response: PerturbationResponse,
    amplitude: int,
    gradient_noise: GradientNoise,
    batch: int,
    noise: Noise,
    line_search: LineSearch,
    parameters: int,
) -> SgdModel:
    """The model from the measurements."""
    at = int(np.flatnonzero(response.amplitudes == amplitude)[0])
    square = float(response.deltas[at]) ** 2
    variance = noise.variance(batch)
    curvature = max(0.0, float(response.even_power[at]) - response.noise / 2) / square
    drift = noise.drift_rate**2 / square if noise.drifts else 0.0
    gradient, trace = max(gradient_noise.gradient, 1e-300), max(response.trace, 0.0)
    along = 0.0
    if line_search.curvature is not None:
        own = gradient + gradient_noise.spread / response.batch + 2 * response.noise / square + curvature
        along = max(line_search.curvature - trace * own / line_search.probes, 0.1 * line_search.curvature)
        trace = max(trace, along / gradient)  # no direction is steeper than all together
    return SgdModel(parameters, gradient, gradient_noise.spread, variance / square, curvature, trace, along, drift)


def window_lengths(parameters: int) -> list[int]:
    """Powers of two from about √P probes on."""
    first, last = (round(math.log2(factor * parameters**0.5)) for factor in (SHORTEST, LONGEST))
    return [1 << power for power in range(first, last + 1)]


def best_update_plan(model: SgdModel, batch: int) -> UpdatePlan:
    """The longest window whose expected decrease of the cost per evaluation is close to the largest."""
    plans = []
    for baseline in (Baseline.HELD, Baseline.ANTITHETIC):
        for tau in window_lengths(model.parameters):
            per_probe = model.per_probe(baseline, batch, tau)
            bend = model.along + model.trace * per_probe / tau
            if baseline is Baseline.HELD:
                bend += model.trace / model.parameters * model.spread / batch
            eta = model.gradient / max(bend, 1e-300)
            gain = eta * model.gradient / 2 / evaluations_of(baseline, tau)
            plans.append(UpdatePlan(baseline, tau, eta, gain))
    least = ALMOST * max(plan.gain for plan in plans)
    return max((plan for plan in plans if plan.gain >= least), key=lambda plan: (plan.tau, plan.gain))
