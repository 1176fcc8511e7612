"""Why a recommendation is what it is, in sentences with numbers."""

from __future__ import annotations

import numpy as np

from mgdhw.characterize.batches import CLIPPED, LARGEST
from mgdhw.characterize.findings import Characterization
from mgdhw.characterize.model import Window
from mgdhw.characterize.pilots import Pilot
from mgdhw.experiment.schema import OptimizerSection

NAMES = {"adam": "Adam", "sgd": "plain gradient descent"}
LEAST_BATCH = 32
"""Samples that a probe sees at least: gradients shrink in training, their spread does not."""


def reasons(
    findings: Characterization, window: Window, best: Pilot, amplitude: int, batch: int, optimizer: OptimizerSection
) -> tuple[str, ...]:
    """A line on each choice: Δ, τ_θ with its baseline, B, η; and what gives cause for concern."""
    return (
        _delta(findings, amplitude),
        _tau(findings, window),
        _batch(findings, batch),
        _eta(findings, best, optimizer),
        *_concerns(findings),
    )


def _delta(findings: Characterization, amplitude: int) -> str:
    first = findings.responses[0]
    delta = amplitude * float(first.deltas[0]) / int(first.amplitudes[0])
    parts = []
    for response, when in zip(findings.responses, ("at the start", "after pilots"), strict=False):
        if response.usable is not None:
            low, high = response.usable
            near = int(np.argmin(np.abs(np.log(response.amplitudes / amplitude))))
            worth = float(response.quality[near] / response.quality.max())
            parts.append(f"{when} {low:.3g} ... {high:.3g} is usable, and this worth {worth:.0%} of the best")
    return f"Δ = {delta:.4g} ({amplitude} step{'s' * (amplitude > 1)} of a parameter): {'; '.join(parts)}"


def _tau(findings: Characterization, window: Window) -> str:
    numbers = findings.numbers
    assert numbers is not None, "measured before"
    other = 2 * numbers.noise + numbers.curvature + numbers.drift * window.tau**2 / 3
    return (
        f"τ_θ = {window.tau} with pairs of probes, each on other samples ({window.evaluations} evaluations an update):"
        " as long a window as leaves some thousand updates, since every one wears cells, and no shorter than in pilots;"
        f" beside a held baseline noise, curvature and drift would add {other:.3g} to the power of a probe, to"
        f" |g|² = {numbers.gradient:.3g}, and its samples' share of the gradient would not average out"
    )


def _batch(findings: Characterization, batch: int) -> str:
    scales = [f"{one.noise_scale:.3g}" for one in findings.batches]
    where = " at the start and ".join(scales) + (" after pilots" if len(scales) > 1 else "")
    if batch >= findings.n_train:
        return f"B = {batch}: all samples; a probe sees them at once"
    return (
        f"B = {batch}: samples' gradients spread by tr(Σ)/|g|² = {where}, the batch at which samples add as much noise"
        f" as there is signal; {LEAST_BATCH} at least, because gradients shrink in training,"
        f" {LARGEST} at most, because samples take turns on hardware"
    )


def _eta(findings: Characterization, best: Pilot, optimizer: OptimizerSection) -> str:
    pilots = findings.pilots + findings.others
    ends = {one.eta: [f"{other.cost:.3g}" for other in pilots if other.eta == one.eta] for one in pilots}
    tried = "; ".join(f"η = {eta:.3g}: {' and '.join(costs)}" for eta, costs in ends.items())
    longest = max(one.curve[-1][0] for one in pilots)
    begun = f"of pilots of up to {longest:,} evaluations (cost {best.curve[0][1]:.3g} at first; {tried})"
    learning = findings.learning
    assert learning is not None, "measured before"
    if findings.others:
        chosen = f"{begun} this is the first that has learnt anything"
    else:
        chosen = (
            f"{begun} that with {best.eta:.3g} was best; this is the usual one, a 160th of the range, or a part of the"
            " way towards less where good ones have less: pilots are short and prefer what is quick at first"
        )
    return f"η = {optimizer.eta:.3g}, {NAMES.get(optimizer.name, optimizer.name)}: {chosen}; it had {learning.told}"


def _concerns(findings: Characterization) -> list[str]:
    noise, writes, concerns = findings.noise, findings.writes, []
    assert noise is not None, "measured before"
    assert writes is not None, "measured before"
    if noise.carries:
        concerns.append(
            f"note: outputs have not settled when the cost is measured: {noise.carried:.1%}"
            f" (± {noise.carried_error:.1%}) of the measurement before is still in it; wait longer"
            " between perturbing and measuring"
        )
    elif noise.unsettled:
        concerns.append(
            f"note: σ = {noise.sigma:.3g} on {noise.batch} samples is more than {noise.sigma_single:.3g} on one, which"
            " noise of samples cannot do: a measurement seems to depend on the one before it (outputs that have not"
            " settled?)"
        )
    if noise.drifts:
        concerns.append(
            f"note: the cost drifts by {noise.slope:.3g} a probe (± {noise.slope_error:.2g}) while nothing is changed,"
            f" {abs(noise.slope) / max(noise.sigma, 1e-300):.2g} of its noise"
        )
    if not writes.exact:
        concerns.append(
            f"note: what is held is not what was written: {writes.error:.3g} steps rms, {writes.worst:.3g} at worst"
        )
    clipped = max(one.clipped for one in findings.batches)
    if clipped > CLIPPED:
        concerns.append(
            f"note: {clipped:.0%} of single samples cost exactly the most that was seen: the cost's range may be too"
            " small"
        )
    return concerns
