"""Why a recommendation is what it is, in sentences with numbers."""

from __future__ import annotations

from mgdhw.block import Baseline
from mgdhw.check.findings import Findings
from mgdhw.check.model import Window
from mgdhw.check.pilots import Pilot


def reasons(findings: Findings, window: Window, best: Pilot, amplitude: int, batch: int) -> tuple[str, ...]:
    """A line on each choice: Δ, τ_θ with its baseline, B, η; and what gives cause for concern."""
    lines = [_delta(findings, amplitude), _tau(findings, window), _batch(findings, batch), _eta(findings, best, window)]
    return (*lines, *_concerns(findings))


def _delta(findings: Findings, amplitude: int) -> str:
    lsb = findings.responses[0].deltas[0] / findings.responses[0].amplitudes[0]
    quality = [
        f"{one.quality[one.amplitudes == amplitude][0] / one.quality.max():.0%}"
        for one in findings.responses
        if one.seen.any()
    ]
    ranges = [f"{one.usable[0]:.3g} ... {one.usable[1]:.3g}" for one in findings.responses if one.usable]
    steps = "step" if amplitude == 1 else "steps"
    return (
        f"Δ = {amplitude * lsb:.4g} ({amplitude} {steps} of a parameter): usable are {' at the start, '.join(ranges)}"
        f"{' after the best pilot' if len(ranges) > 1 else ''}; here an evaluation is worth {' and '.join(quality)} of the"
        " best there"
    )


def _tau(findings: Findings, window: Window) -> str:
    numbers = findings.numbers
    assert numbers is not None, "measured before"
    bend = numbers.trace * window.power
    how = "a held baseline" if window.baseline is Baseline.HELD else "pairs of probes"
    return (
        f"τ_θ = {window.tau} with {how} ({window.evaluations} evaluations an update): random codes bend the cost by"
        f" tr(H)·S/τ = {bend:.3g}/τ, the gradient itself by gᵀHg = {numbers.along:.3g}, so longer windows gain nothing from"
        f" τ ≈ {max(1.0, bend / max(numbers.along, 1e-300)):.0f} on, and shorter ones pay for more baselines"
        if window.baseline is Baseline.HELD
        else f"τ_θ = {window.tau} with {how} ({window.evaluations} evaluations an update): noise, curvature and drift make"
        f" {2 * numbers.noise + numbers.curvature + numbers.drift * window.tau**2 / 3:.3g} of a probe's power beside"
        f" |g|² = {numbers.gradient:.3g}; a pair halves the first and has none of the others"
    )


def _batch(findings: Findings, batch: int) -> str:
    scales = [f"{one.noise_scale:.3g}" for one in findings.batches]
    where = " at the start and ".join(scales) + (" after the best pilot" if len(scales) > 1 else "")
    if batch >= findings.n_train:
        return f"B = {batch}: all samples; a probe sees them at once"
    return f"B = {batch}: samples' gradients spread by tr(Σ)/|g|² = {where}; so many add as much noise as there is signal"


def _eta(findings: Findings, best: Pilot, window: Window) -> str:
    tried = ", ".join(f"{one.eta:.3g}: {one.cost:.4g} after {one.curve[-1][0]:,}" for one in findings.pilots)
    return (
        f"η = {best.eta:.3g}, plain gradient descent: the model's |g|²/(gᵀHg + tr(H)·S/τ) = {window.eta:.3g} was tried with"
        f" others, each from the same start; cost {best.curve[0][1]:.4g} fell to ({tried} evaluations)"
    )


def _concerns(findings: Findings) -> list[str]:
    noise, writes, concerns = findings.noise, findings.writes, []
    assert noise is not None, "measured before"
    assert writes is not None, "measured before"
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
    if clipped > 0.1:
        concerns.append(
            f"note: {clipped:.0%} of single samples cost exactly the most that was seen: the cost's range may be too small"
        )
    return concerns
