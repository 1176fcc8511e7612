"""One page that shows what a check has found, and why it recommends what it does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.characterize.findings import Characterization
from mgdhw.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
SIZE = (14.0, 12.5)
"""In inches."""
WHEN = ("at the start", "after pilots")
COLOURS = ("tab:blue", "tab:orange")
LINES = 6
"""Directions whose lines are drawn."""
WRAP = 150
MOST_TICKS = 6


def draw(findings: Characterization, file: Path) -> None:
    """Write the page as PNG (or what the file's name asks for).

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    figure = figures.figure(SIZE)
    _fill(figure, findings)
    figures.save(figure, file, DPI)


def _fill(figure: Figure, findings: Characterization) -> None:
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 1, 1, 0.62))
    panels = (_timing, _series, _allan, _lines, _response, _quality, _batches, _slope, _pilots)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(number, 3)])
        axes.tick_params(labelsize=8, which="both")
        panel(axes, findings)
        if not axes.has_data():
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color="grey")
            axes.set_xticks([])
            axes.set_yticks([])
    words = figure.add_subplot(grid[3, :])
    words.axis("off")
    words.text(0, 1, _words(findings), transform=words.transAxes, va="top", fontsize=9, linespacing=1.35)
    device = findings.device
    figure.suptitle(
        f"{findings.uri} on {findings.data}: {device.n_parameters:,} parameters, checked in"
        f" {findings.evaluations:,} evaluations",
        fontsize=13,
    )


def _words(findings: Characterization) -> str:
    lines = [findings.problem] if findings.problem else []
    if findings.recommendation is not None:
        lines = list(findings.recommendation.reasons)
    return "\n".join(textwrap.fill(line, WRAP, subsequent_indent="    ") for line in lines)


def _titled(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """Label some of the values that were tried, and nothing between them, on a logarithmic axis."""
    from matplotlib.ticker import NullFormatter

    chosen = list(values)[:: -(-len(values) // MOST_TICKS)]
    axes.set_xticks(chosen, [f"{value:.3g}" for value in chosen])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _timing(axes: Axes, findings: Characterization) -> None:
    timing = findings.timing
    _titled(axes, "Time of a block", "probes in the block", "seconds")
    if timing is None:
        return
    sizes, seconds = np.array(timing.blocks).T
    axes.loglog(sizes, seconds, "o", ms=4, label="measured")
    fine = np.geomspace(1, sizes.max(), 60)
    label = f"{timing.fixed:.2g} s + {timing.per_probe:.2g} s a probe"
    axes.loglog(fine, timing.fixed + timing.per_probe * fine, lw=1, label=label)
    _ticks(axes, sizes.tolist())
    axes.legend(fontsize=8)


def _series(axes: Axes, findings: Characterization) -> None:
    noise = findings.noise
    _titled(axes, "The same cost, again and again", "probe", "C₀ per sample")
    if noise is None:
        return
    steps = np.arange(noise.series.size)
    axes.plot(steps, noise.series, ".", ms=2, label=f"σ = {noise.sigma:.3g} on {noise.batch} samples")
    line = noise.cost + noise.slope * (steps - steps.mean())
    axes.plot(steps, line, lw=1.5, label=f"drift {noise.slope:.2g} ± {noise.slope_error:.1g} a probe")
    if noise.sigma == 0:
        axes.set_ylim(0.9 * noise.cost, 1.1 * noise.cost or 1.0)
    axes.legend(fontsize=8)


def _allan(axes: Axes, findings: Characterization) -> None:
    noise = findings.noise
    _titled(axes, "Does averaging help? (Allan deviation)", "measurements averaged, m", "deviation of the mean")
    if noise is None:
        return
    m, deviation = np.array(noise.allan).T
    if noise.sigma == 0:
        axes.plot(m, deviation, "o-", ms=4)
        axes.set_title("No noise: a repeated measurement repeats", fontsize=10)
        return
    axes.loglog(m, deviation, "o-", ms=4, label="measured")
    axes.loglog(m, noise.sigma / np.sqrt(m), "--", lw=1, color="grey", label="white noise: σ/√m")
    _ticks(axes, m.tolist())
    axes.legend(fontsize=8)


def _lines(axes: Axes, findings: Characterization) -> None:
    _titled(axes, "Cost along random directions, at the start", "perturbation of every parameter", "C(θ + t·s) − C₀")
    if not findings.responses:
        return
    response = findings.responses[0]
    t = np.concatenate([-response.deltas[::-1], [0.0], response.deltas])
    for direction in range(LINES):
        up = response.odd[:, direction] + response.even[:, direction]
        down = response.even[:, direction] - response.odd[:, direction]
        axes.plot(t, np.concatenate([down[::-1], [0.0], up]), ".-", ms=3, lw=0.8)
    _mark_delta(axes, findings, both=True)


def _response(axes: Axes, findings: Characterization) -> None:
    _titled(axes, "Signal, curvature and noise", "Δ", "rms of a pair's answer")
    for response, when, colour in zip(findings.responses, WHEN, COLOURS, strict=False):
        odd, even = np.sqrt(response.odd_power), np.sqrt(response.even_power)
        axes.plot(response.deltas, odd, "o-", ms=4, color=colour, label=f"odd: signal, {when}")
        axes.plot(response.deltas, even, "x--", ms=4, color=colour, label=f"even: curvature, {when}")
        axes.axhline(float(np.sqrt(response.noise / 2)), color="grey", lw=0.8, ls=":")
    if any(response.odd.any() or response.even.any() for response in findings.responses):
        axes.set_xscale("log")
        axes.set_yscale("log")
        _ticks(axes, findings.responses[0].deltas.tolist())
        axes.legend(fontsize=7, title="dotted: noise", title_fontsize=7)
    _mark_delta(axes, findings)


def _quality(axes: Axes, findings: Characterization) -> None:
    _titled(axes, "What an evaluation is worth", "Δ", "share of its power that is signal")
    for response, when, colour in zip(findings.responses, WHEN, COLOURS, strict=False):
        if response.seen.any():
            held, pairs = response.quality_held, response.quality_antithetic
            axes.semilogx(response.deltas, held, "o-", ms=4, color=colour, label=f"baseline, {when}")
            axes.semilogx(response.deltas, pairs, "x:", ms=4, color=colour, label=f"pairs, {when}")
            axes.legend(fontsize=7)
            axes.set_ylim(0, 1.35)  # room for the legend
            _ticks(axes, response.deltas.tolist())
    _mark_delta(axes, findings)


def _positive(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """For a logarithmic axis: with noise taken off nothing may be left, or less, and is not drawn."""
    return np.where(power > 0, power, np.nan)


def _batches(axes: Axes, findings: Characterization) -> None:
    _titled(axes, "What samples add", "samples of a probe, B", "mean squared slope")
    for batches, when, colour in zip(findings.batches, WHEN, COLOURS, strict=False):
        sizes = np.array(batches.sizes, dtype=np.float64)
        axes.loglog(sizes, _positive(batches.power), "o", ms=4, color=colour, label=f"measured, {when}")
        fit = batches.gradient + batches.spread * (1 / sizes - 1 / batches.n_train)
        axes.loglog(sizes, _positive(fit), "-", lw=1, color=colour, label="|g|² + tr Σ · (1/B − 1/N)")
        if batches.gradient > 0:
            axes.axhline(batches.gradient, lw=0.8, ls=":", color=colour)
        _ticks(axes, sizes.tolist())
        axes.legend(fontsize=7)
    if findings.recommendation is not None:
        axes.axvline(findings.recommendation.batch, color="tab:green", lw=1)


def _slope(axes: Axes, findings: Characterization) -> None:
    slope = findings.slope
    _titled(axes, "Cost along the estimated gradient", "step t", "C₀ at θ − t·ĝ")
    if slope is None or slope.steps.size < 2:
        return
    axes.semilogx(slope.steps[1:], slope.costs[1:], "o-", ms=4)
    axes.axhline(float(slope.costs[0]), color="grey", lw=0.8, ls=":", label="at θ")
    if slope.best is not None:
        axes.axvline(slope.best[0], color="tab:red", lw=1, ls="--", label=f"lowest: t = {slope.best[0]:.3g}")
    axes.legend(fontsize=8)


def _pilots(axes: Axes, findings: Characterization) -> None:
    _titled(axes, "Pilots", "evaluations", "cost per sample")
    for pilot in findings.coarse:
        evaluations, costs = np.array(pilot.curve).T
        axes.plot(evaluations, costs, lw=0.8, color="grey", alpha=0.6)
    etas = sorted({pilot.eta for pilot in findings.pilots})
    named: set[float] = set()
    for pilot in findings.pilots:
        evaluations, costs = np.array(pilot.curve).T
        label = None if pilot.eta in named else f"η = {pilot.eta:.3g}"
        axes.plot(evaluations, costs, ".-", ms=4, color=f"C{etas.index(pilot.eta)}", label=label)
        named.add(pilot.eta)
    for number, pilot in enumerate(findings.others):
        evaluations, costs = np.array(pilot.curve).T
        axes.plot(evaluations, costs, "k--", lw=1, label=None if number else "what else was tried")
    if findings.learning is not None:
        axes.axhline(findings.learning.constant, lw=0.8, ls=":", color="tab:red", label="a constant answer")
    if findings.pilots:
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8, title="grey: the first ladder", title_fontsize=7)


def _mark_delta(axes: Axes, findings: Characterization, *, both: bool = False) -> None:
    if findings.recommendation is None:
        return
    marks: dict[str, Any] = {"color": "tab:green", "lw": 1}
    axes.axvline(findings.recommendation.delta, **marks)
    if both:
        axes.axvline(-findings.recommendation.delta, **marks)
