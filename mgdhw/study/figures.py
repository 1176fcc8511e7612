"""Figures of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgdhw.report import figures
from mgdhw.study import drift as drifting
from mgdhw.study import intervals
from mgdhw.study.robustness import Point, Row, points
from mgdhw.study.swept_parameters import SWEEPS, SweptParameter

COLOURS = {"nist7x7": "#1b6ca8", "digits": "#c8553d"}
OTHER_COLOURS = ("#3a7d44", "#7b4b94", "#b8860b", "0.3")
"""Of a user's own tasks."""
DPI = 120
LINE: dict[str, Any] = {"ms": 4, "lw": 1.2, "elinewidth": 1.0, "capsize": 2}
LEAST, MOST = 0.25, 48.0
"""Error bars of ratios end here at the latest, outside the axes."""


def robustness(rows: Sequence[Row], path: Path) -> None:
    """For each non-ideality: median time to solution relative to the chip without it, and fraction solved.

    Bars are 95 % confidence intervals; there is no median if less than half of the chips learn.
    """
    shown = [axis for axis in SWEEPS.values() if any(row.axis == axis.name for row in rows)]
    columns = min(4, len(shown))
    bands = math.ceil(len(shown) / columns)
    drawn = figures.figure((3.6 * columns, 4.6 * bands))
    places = drawn.subplots(2 * bands, columns, squeeze=False)
    for number, axis in enumerate(shown):
        band, column = divmod(number, columns)
        _one(places[2 * band][column], places[2 * band + 1][column], rows, axis)
    for number in range(len(shown), bands * columns):
        for half in (0, 1):
            places[2 * (number // columns) + half][number % columns].set_axis_off()
    for band in range(bands):
        places[2 * band][0].set_ylabel("median time to solution\n(ideal chip: 1)")
        places[2 * band + 1][0].set_ylabel("fraction solved")
    places[0][0].legend(frameon=False, fontsize=8)
    figures.save(drawn, path, DPI)


def _one(times: Any, shares: Any, rows: Sequence[Row], axis: SweptParameter) -> None:
    for task, colour in _colours(rows).items():
        found = points(rows, task, axis)
        if not found:
            continue
        x = _positions(axis, found)
        drawn = [(at, p) for at, p in zip(x, found, strict=True) if math.isfinite(p.ratio)]
        ratios = [p.ratio for _, p in drawn]
        low, high = zip(*[_bars(p) for _, p in drawn], strict=True) if drawn else ((), ())
        times.errorbar([at for at, _ in drawn], ratios, [low, high], fmt="o-", **LINE, color=colour, label=task)
        solved = [p.solved for p in found]
        under = [p.solved - p.solved_interval.low for p in found]
        over = [p.solved_interval.high - p.solved for p in found]
        shares.errorbar(x, solved, [under, over], fmt="o-", **LINE, color=colour)
    ticks = range(len(axis.values)), [f"{value:g}" for value in axis.values]
    for place in (times, shares):
        place.set_xlim(-0.4, len(axis.values) - 0.6)
        place.set_xticks(*ticks, fontsize=7, rotation=45)
    if axis.name == "mismatch" and any(row.task == "nist7x7" for row in rows):
        times.axvline(_place(axis, 0.25), color="0.6", lw=1, ls=":")
        times.annotate(
            "2023 paper: 2× slower,\nnone solved beyond",
            (_place(axis, 0.25), 0.97),
            (-3, 0),
            ha="right",
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=7,
            color="0.4",
        )
        times.plot([_place(axis, 0.25)], [2], "x", color="0.3", ms=7, label="2023 paper")
    times.set_yscale("log", base=2)
    times.set_ylim(0.4, 24)
    times.set_yticks([0.5, 1, 2, 4, 8, 16], ["½", "1", "2", "4", "8", "16"])
    times.minorticks_off()
    shares.set_ylim(-0.05, 1.05)
    shares.set_xlabel(axis.label, fontsize=9)
    for place in (times, shares):
        place.grid(alpha=0.25)


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    """Colors of all tasks."""
    others = sorted({row.task for row in rows} - set(COLOURS))
    return COLOURS | {task: OTHER_COLOURS[k % len(OTHER_COLOURS)] for k, task in enumerate(others)}


def _bars(point: Point) -> tuple[float, float]:
    """Lengths of the error bars below and above a ratio; 0 if the interval is unbounded."""
    low, high = point.ratio_interval.low, point.ratio_interval.high
    if math.isinf(low) and math.isinf(high):
        return 0.0, 0.0
    return max(0.0, point.ratio - max(low, LEAST)), max(0.0, min(high, MOST) - point.ratio)


def _positions(axis: SweptParameter, found: Sequence[Point]) -> list[float]:
    return [_place(axis, point.value) for point in found]


def _place(axis: SweptParameter, value: float) -> float:
    """Position of a strength: equidistant, because strengths are not evenly spaced."""
    return float(axis.values.index(value))


def drift(rows: Sequence[drifting.Row], protocol: drifting.DriftProtocol, path: Path) -> None:
    """Accuracy over time with and without further training: medians over seeds, with 95 % confidence bands."""
    drawn = figures.figure((7.0, 3.8))
    place = drawn.subplots()
    looks = {
        "learning": ("0.5", "initial training"),
        "trained": ("#1b6ca8", "continued\ntraining"),
        "frozen": ("#c8553d", "no further\ntraining"),
    }
    labels: list[tuple[float, str, str]] = []
    for part, (colour, label) in looks.items():
        steps = sorted({row.step for row in rows if row.part == part})
        at = [(step - protocol.learned_at) / protocol.time_constant for step in steps]
        own = [drifting.summary([r.accuracy for r in rows if (r.part, r.step) == (part, step)]) for step in steps]
        place.plot(at, [100 * one.median for one in own], color=colour, lw=1.6)
        if part != "learning" and own:
            labels.append((100 * own[-1].median, label, colour))
        low = [100 * max(one.interval.low, 0.0) for one in own]
        high = [100 * min(one.interval.high, 1.0) for one in own]
        if len({row.seed for row in rows}) >= intervals.FEWEST:
            place.fill_between(at, low, high, color=colour, alpha=0.25, lw=0)
    place.axvline(0, color="0.7", lw=1, ls=":")
    place.set_xlabel("time since the initial training, in time constants of the decay")
    place.set_ylabel(f"{protocol.split} accuracy, %")
    place.set_ylim(0, 100)
    place.grid(alpha=0.25)
    place.annotate("initial training", (0.15, 4), color="0.5", fontsize=8)
    figures.label_lines(place, labels)
    figures.save(drawn, path, DPI)
