"""The result of a check on one page: the recommended settings on top, what they rest on beneath."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.characterize.characterization import Characterization
from mgdhw.characterize.rationale import WHEN
from mgdhw.report import figures
from mgdhw.report.figures import label_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
SIZE = (15.0, 14.0)
"""In inches."""
COLORS = ("tab:blue", "tab:orange")
"""At the start, and after pilot runs."""
RECOMMENDED = "tab:green"
DIRECTIONS_SHOWN = 6
WRAP = 165
MOST_TICKS = 6


def draw(result: Characterization, file: Path) -> None:
    """Write the page as PNG (or in the format of the file's extension).

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    figure = figures.figure(SIZE)
    _fill(figure, result)
    figures.save(figure, file, DPI)


def _fill(figure: Figure, result: Characterization) -> None:
    grid = figure.add_gridspec(5, 3, height_ratios=(0.3, 1, 1, 1, 0.42))
    _headline(figure.add_subplot(grid[0, :]), result)
    panels = (_latency, _series, _allan, _directions, _response, _quality, _gradient_noise, _line_search, _pilots)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(grid[1 + number // 3, number % 3])
        axes.tick_params(labelsize=8, which="both")
        panel(axes, result)
        if not axes.has_data():
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color="grey")
            axes.set_xticks([])
            axes.set_yticks([])
    words = figure.add_subplot(grid[4, :])
    words.axis("off")
    words.text(0, 1, _words(result), transform=words.transAxes, va="top", fontsize=9.5, linespacing=1.4)
    device = result.device
    figure.suptitle(
        f"{result.uri} on {result.data}: {device.n_parameters:,} parameters, {result.evaluations:,} evaluations",
        fontsize=12,
    )


def _headline(axes: Axes, result: Characterization) -> None:
    """Δ, τ_θ, B and η, large."""
    axes.axis("off")
    r = result.recommendation
    if r is None:
        axes.text(0.5, 0.5, "no recommendation", ha="center", va="center", fontsize=26, color="tab:red")
        return
    optimizer = r.experiment.optimizer.name
    settings = (
        (f"Δ = {r.delta:.4g}", "perturbation amplitude"),
        (f"τ$_θ$ = {r.tau}", f"probes per update ({r.baseline})"),
        (f"B = {r.batch}", "samples per probe"),
        (f"η = {r.eta:.3g}", f"learning rate ({optimizer})"),
    )
    for number, (value, meaning) in enumerate(settings):
        x = (number + 0.5) / len(settings)
        axes.text(x, 0.62, value, ha="center", va="center", fontsize=30, color=RECOMMENDED)
        axes.text(x, 0.08, meaning, ha="center", va="center", fontsize=11, color="0.35")


def _words(result: Characterization) -> str:
    lines = [result.problem] if result.problem else []
    if result.recommendation is not None:
        lines = list(result.recommendation.reasons)
    return "\n".join(textwrap.fill(line, WRAP, subsequent_indent="    ") for line in lines)


def _titled(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """Label some of the measured values, and nothing between them, on a logarithmic axis."""
    from matplotlib.ticker import NullFormatter

    chosen = list(values)[:: -(-len(values) // MOST_TICKS)]
    axes.set_xticks(chosen, [f"{value:.3g}" for value in chosen])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _note(axes: Axes, lines: Sequence[tuple[str, str]], x: float = 0.03) -> None:
    """Lines of text in colors, in the upper left corner of the axes."""
    for number, (text, color) in enumerate(lines):
        place = (x, 0.96 - 0.075 * number)
        axes.annotate(text, place, xycoords="axes fraction", va="top", fontsize=8, color=color)


def _latency(axes: Axes, result: Characterization) -> None:
    latency = result.latency
    _titled(axes, "Time per block", "probes in the block", "seconds")
    if latency is None:
        return
    sizes, seconds = np.array(latency.blocks).T
    axes.loglog(sizes, seconds, "o", ms=4, color=COLORS[0])
    fine = np.geomspace(1, sizes.max(), 60)
    axes.loglog(fine, latency.fixed + latency.per_probe * fine, lw=1, color=COLORS[1])
    _ticks(axes, sizes.tolist())
    fit = f"fit: {latency.fixed:.2g} s + {latency.per_probe:.2g} s per probe"
    _note(axes, [("measured", COLORS[0]), (fit, COLORS[1])])


def _series(axes: Axes, result: Characterization) -> None:
    noise = result.noise
    _titled(axes, "Repeated cost measurement", "probe", "C₀ per sample")
    if noise is None:
        return
    steps = np.arange(noise.series.size)
    axes.plot(steps, noise.series, ".", ms=2, color=COLORS[0])
    line = noise.cost + noise.drift_rate * (steps - steps.mean())
    axes.plot(steps, line, lw=1.5, color=COLORS[1])
    low, high = axes.get_ylim()
    if noise.sigma == 0:
        low, high = 0.9 * noise.cost, 1.1 * noise.cost or 1.0
    axes.set_ylim(low, high + 0.2 * (high - low))
    drift = f"drift {noise.drift_rate:.2g} ± {noise.drift_rate_error:.1g} per probe"
    _note(axes, [(f"σ = {noise.sigma:.3g} on {noise.batch} samples", COLORS[0]), (drift, COLORS[1])])


def _allan(axes: Axes, result: Characterization) -> None:
    noise = result.noise
    _titled(axes, "Averaging (Allan deviation)", "measurements averaged, m", "deviation of the mean")
    if noise is None:
        return
    m, deviation = np.array(noise.allan).T
    if noise.sigma == 0:
        axes.plot(m, deviation, "o-", ms=4, color=COLORS[0])
        axes.set_title("No noise: repeated measurements agree", fontsize=10)
        return
    white = noise.sigma / np.sqrt(m)
    axes.loglog(m, deviation, "o-", ms=4, color=COLORS[0])
    axes.loglog(m, white, "--", lw=1, color="grey")
    _ticks(axes, m.tolist())
    label_lines(axes, [(float(deviation[-1]), "measured", COLORS[0]), (float(white[-1]), "white\nσ/√m", "grey")])


def _directions(axes: Axes, result: Characterization) -> None:
    _titled(axes, f"Cost along {DIRECTIONS_SHOWN} random directions s", "t", "C(θ + t·s) − C₀")
    if not result.responses:
        return
    response = result.responses[0]
    t = np.concatenate([-response.deltas[::-1], [0.0], response.deltas])
    for direction in range(DIRECTIONS_SHOWN):
        up = response.odd[:, direction] + response.even[:, direction]
        down = response.even[:, direction] - response.odd[:, direction]
        axes.plot(t, np.concatenate([down[::-1], [0.0], up]), ".-", ms=3, lw=0.8)
    _mark_delta(axes, result, both=True)


def _response(axes: Axes, result: Characterization) -> None:
    _titled(axes, "Response to a perturbation", "Δ", "rms of the odd and even parts")
    if not any(response.odd.any() or response.even.any() for response in result.responses):
        return
    labels = []
    for response, when, color in zip(result.responses, WHEN, COLORS, strict=False):
        odd, even = np.sqrt(response.odd_power), np.sqrt(response.even_power)
        axes.loglog(response.deltas, odd, "o-", ms=4, color=color)
        axes.loglog(response.deltas, even, "x--", ms=4, color=color)
        labels += [(float(odd[-1]), f"signal\n{when}", color), (float(even[-1]), f"curvature\n{when}", color)]
    noise = float(np.sqrt(result.responses[0].noise / 2))
    if noise > 0:
        axes.axhline(noise, color="grey", lw=0.8, ls=":")
        labels.append((noise, "noise", "grey"))
    _ticks(axes, result.responses[0].deltas.tolist())
    _mark_delta(axes, result)
    label_lines(axes, labels, 7)


def _quality(axes: Axes, result: Characterization) -> None:
    _titled(axes, "Signal in one evaluation", "Δ", "fraction of the power that is signal")
    labels = []
    for response, when, color in zip(result.responses, WHEN, COLORS, strict=False):
        if response.seen.any():
            held, pairs = response.quality_held, response.quality_antithetic
            axes.semilogx(response.deltas, held, "o-", ms=4, color=color)
            axes.semilogx(response.deltas, pairs, "x:", ms=4, color=color)
            _ticks(axes, response.deltas.tolist())
            labels += [(float(held[-1]), f"held\n{when}", color), (float(pairs[-1]), f"antithetic\n{when}", color)]
    if labels:
        axes.set_ylim(0, 1.05)
    _mark_delta(axes, result)
    label_lines(axes, labels, 7)


def _positive(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """For a logarithmic axis: with the noise subtracted nothing may be left, or less, and is not drawn."""
    return np.where(power > 0, power, np.nan)


def _gradient_noise(axes: Axes, result: Characterization) -> None:
    _titled(axes, "Gradient and gradient noise: |g|² + tr Σ·(1/B − 1/N)", "samples per probe, B", "mean squared slope")
    labels = []
    for gradient_noise, when, color in zip(result.gradient_noise, WHEN, COLORS, strict=False):
        sizes = np.array(gradient_noise.sizes, dtype=np.float64)
        axes.loglog(sizes, _positive(gradient_noise.power), "o", ms=4, color=color)
        fit = gradient_noise.gradient + gradient_noise.spread * (1 / sizes - 1 / gradient_noise.n_train)
        axes.loglog(sizes, _positive(fit), "-", lw=1, color=color)
        shown = gradient_noise.power[gradient_noise.power > 0]
        labels.append((float(shown[-1]) if shown.size else 0.0, when.replace(" ", "\n", 1), color))
        if gradient_noise.gradient > 0:
            axes.axhline(gradient_noise.gradient, lw=0.8, ls=":", color=color)
        _ticks(axes, sizes.tolist())
    if result.recommendation is not None:
        axes.axvline(result.recommendation.batch, color=RECOMMENDED, lw=1)
    label_lines(axes, labels, 7)


def _line_search(axes: Axes, result: Characterization) -> None:
    search = result.line_search
    _titled(axes, "Line search along the estimated gradient ĝ", "t", "C₀ at θ − t·ĝ")
    if search is None or search.steps.size < 2:
        return
    axes.semilogx(search.steps[1:], search.costs[1:], "o-", ms=4)
    axes.axhline(float(search.costs[0]), color="grey", lw=0.8, ls=":")
    label_lines(axes, [(float(search.costs[0]), "at θ", "grey")])
    if search.best is not None:
        axes.axvline(search.best[0], color="tab:red", lw=1, ls="--")
        place, text = (search.best[0], axes.get_ylim()[1]), f" minimum: t = {search.best[0]:.3g}"
        axes.annotate(text, place, (0, -12), textcoords="offset points", fontsize=8, color="tab:red", ha="right")


def _pilots(axes: Axes, result: Characterization) -> None:
    _titled(axes, "Pilot runs", "evaluations", "training cost per sample")
    for pilot in result.coarse:
        evaluations, costs = np.array(pilot.curve).T
        axes.plot(evaluations, costs, lw=0.8, color="grey", alpha=0.6)
    labels = [(result.coarse[-1].curve[-1][1], "coarse search", "grey")] if result.coarse else []
    etas = sorted({pilot.eta for pilot in result.pilots})
    for number, eta in enumerate(etas):
        runs = [pilot for pilot in result.pilots if pilot.eta == eta]
        for pilot in runs:
            evaluations, costs = np.array(pilot.curve).T
            axes.plot(evaluations, costs, ".-", ms=4, color=f"C{number}")
        labels.append((min(pilot.cost for pilot in runs), f"η = {eta:.3g}", f"C{number}"))
    for pilot in result.others:
        evaluations, costs = np.array(pilot.curve).T
        axes.plot(evaluations, costs, "k--", lw=1)
    if result.others:
        labels.append((result.others[-1].cost, "other settings", "black"))
    if result.learning is not None:
        axes.axhline(result.learning.constant, lw=0.8, ls=":", color="tab:red")
        labels.append((result.learning.constant, "constant output", "tab:red"))
    if result.pilots:
        axes.set_ylim(bottom=0)
    label_lines(axes, labels, 7)


def _mark_delta(axes: Axes, result: Characterization, *, both: bool = False) -> None:
    if result.recommendation is None:
        return
    marks: dict[str, Any] = {"color": RECOMMENDED, "lw": 1}
    axes.axvline(result.recommendation.delta, **marks)
    if both:
        axes.axvline(-result.recommendation.delta, **marks)
