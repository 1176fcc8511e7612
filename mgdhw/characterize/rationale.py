"""The reasons for a recommendation, in short sentences with numbers."""

from __future__ import annotations

import math

import numpy as np

from mgdhw.characterize.characterization import Characterization
from mgdhw.characterize.gradient_noise import CLIPPED, LARGEST
from mgdhw.characterize.noise import OUTLIER_LIMIT, Noise
from mgdhw.characterize.pilots import Pilot
from mgdhw.characterize.sgd_model import UpdatePlan
from mgdhw.experiment.schema import OptimizerSection

NAMES = {"adam": "Adam", "sgd": "plain gradient descent"}
WHEN = ("at the start", "after pilot runs")
"""Where the response and the gradient noise are measured."""
USUAL_ETA = 1 / 160
"""Of Adam, as a share of the parameter range: about what one update moves a parameter by."""
LEAST_BATCH = 32
"""Smallest recommended batch of a larger dataset: gradients shrink in training, their spread over samples does not."""


def reasons(
    result: Characterization, plan: UpdatePlan, best: Pilot, amplitude: int, batch: int, optimizer: OptimizerSection
) -> tuple[str, ...]:
    """One line for each choice (Δ, τ_θ with its baseline, B, η), then the concerns."""
    return (
        _delta(result, amplitude),
        _tau(result, plan),
        _batch(result, batch),
        _eta(result, best, optimizer),
        *_concerns(result),
    )


def _delta(result: Characterization, amplitude: int) -> str:
    first = result.responses[0]
    delta = amplitude * float(first.deltas[0]) / int(first.amplitudes[0])
    ranges, quality = [], []
    for response, when in zip(result.responses, WHEN, strict=False):
        if response.usable is not None:
            low, high = response.usable
            near = int(np.argmin(np.abs(np.log(response.amplitudes / amplitude))))
            ranges.append(f"usable {when}: {low:.4g}–{high:.4g}")
            quality.append(f"{float(response.quality[near] / response.quality.max()):.0%} {when}")
    steps = f"{amplitude} parameter step{'s' * (amplitude > 1)}"
    return f"Δ = {delta:.4g} ({steps}); {'; '.join(ranges)}; signal relative to the best Δ: {', '.join(quality)}"


def _tau(result: Characterization, plan: UpdatePlan) -> str:
    model = result.sgd_model
    assert model is not None, "measured before"
    other = 2 * model.noise + model.curvature + model.drift * plan.tau**2 / 3
    return (
        f"τ_θ = {plan.tau} antithetic probes ({plan.evaluations} evaluations per update), each on new samples: long"
        " enough to keep the number of updates, which wear the cells, to a few thousand; with a held baseline, noise,"
        f" curvature and drift would add {other:.3g} to |g|² = {model.gradient:.3g}"
    )


def _batch(result: Characterization, batch: int) -> str:
    if batch >= result.n_train:
        return f"B = {batch}: every probe sees the whole training set"
    scales = ", ".join(
        f"{one.noise_scale:.3g} {when}" if math.isfinite(one.noise_scale) else f"no gradient left {when}"
        for one, when in zip(result.gradient_noise, WHEN, strict=False)
    )
    return (
        f"B = {batch}: gradient noise scale tr(Σ)/|g|² = {scales}; kept between {LEAST_BATCH} (gradients shrink during"
        f" training) and {LARGEST} (hardware measures the samples of a batch one after another)"
    )


def _eta(result: Characterization, best: Pilot, optimizer: OptimizerSection) -> str:
    learning = result.learning
    assert learning is not None, "measured before"
    if result.others:
        why = "the first setting that learned"
    elif optimizer.eta < 0.99 * usual_eta(result):
        why = "below 1/160 of the parameter range, the usual choice, because lower rates did better in pilot runs"
    else:
        why = "1/160 of the parameter range, the usual choice; pilot runs are too short to justify more"
    name = NAMES.get(optimizer.name, optimizer.name)
    evaluations, cost = best.curve[-1]
    return (
        f"η = {optimizer.eta:.3g}, {name}: {why}; best pilot run: η = {best.eta:.3g}, cost {best.curve[0][1]:.3g} →"
        f" {cost:.3g} in {evaluations:,} evaluations, {learning.description}"
    )


def outlier_note(noise: Noise) -> str:
    """What was seen of outliers."""
    return (
        f"{noise.outliers} of {noise.series.size} repeated measurements are more than {OUTLIER_LIMIT:g} standard"
        " deviations off the others"
    )


def usual_eta(result: Characterization) -> float:
    """The usual learning rate of Adam on this device."""
    info = result.device
    return USUAL_ETA * float(np.min(np.asarray(info.theta_max) - info.theta_min))


def _concerns(result: Characterization) -> list[str]:
    noise, accuracy, concerns = result.noise, result.write_accuracy, []
    assert noise is not None, "measured before"
    assert accuracy is not None, "measured before"
    if noise.carries:
        concerns.append(
            f"note: outputs have not settled when the cost is measured: {noise.carried:.1%}"
            f" (± {noise.carried_error:.1%}) of the previous measurement remains; wait longer between perturbing and"
            " measuring (with host codes: readings.settling)"
        )
    elif noise.unsettled:
        concerns.append(
            f"note: the noise on {noise.batch} samples (σ = {noise.sigma:.3g}) exceeds that on one"
            f" ({noise.sigma_single:.3g}), which sample noise cannot explain: outputs may not have settled when the"
            " cost is measured; try waiting longer"
        )
    if noise.has_outliers:
        concerns.append(f"note: {outlier_note(noise)}; readings.outliers measures such probes again")
    if noise.drifts:
        concerns.append(
            f"note: the cost drifts by {noise.drift_rate:.3g} ± {noise.drift_rate_error:.2g} per probe with nothing"
            f" changed, {abs(noise.drift_rate) / max(noise.sigma, 1e-300):.2g} of its noise σ"
        )
    if not accuracy.exact:
        concerns.append(
            f"note: writes miss their target by {accuracy.error:.2g} steps rms, {accuracy.worst:.2g} at worst"
        )
    clipped = max(one.clipped for one in result.gradient_noise)
    if clipped > CLIPPED:
        concerns.append(
            f"note: {clipped:.0%} of single samples have exactly the largest cost seen: the cost range may be too small"
        )
    return concerns
