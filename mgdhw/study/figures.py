"""Pictures of studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgdhw import pictures
from mgdhw.study.axes import AXES, Axis
from mgdhw.study.drift import Curve, Drifting
from mgdhw.study.robustness import Point, Row, points

COLOURS = {"nist7x7": "#1b6ca8", "digits": "#c8553d"}
OTHER_COLOURS = ("#3a7d44", "#7b4b94", "#b8860b", "0.3")
"""Of tasks that are the user's own."""
DPI = 120


def robustness(rows: Sequence[Row], path: Path) -> None:
    """For every imperfection: time to solution relative to the chip without it, and share solved."""
    shown = [axis for axis in AXES.values() if any(row.axis == axis.name for row in rows)]
    columns = min(4, len(shown))
    bands = math.ceil(len(shown) / columns)
    drawn = pictures.figure((3.6 * columns, 4.6 * bands))
    places = drawn.subplots(2 * bands, columns, squeeze=False)
    for number, axis in enumerate(shown):
        band, column = divmod(number, columns)
        _one(places[2 * band][column], places[2 * band + 1][column], rows, axis)
    for number in range(len(shown), bands * columns):
        for half in (0, 1):
            places[2 * (number // columns) + half][number % columns].set_axis_off()
    for band in range(bands):
        places[2 * band][0].set_ylabel("probes to solution,\nof those without it")
        places[2 * band + 1][0].set_ylabel("share solved")
    places[0][0].legend(frameon=False, fontsize=8)
    pictures.save(drawn, path, DPI)


def _one(times: Any, shares: Any, rows: Sequence[Row], axis: Axis) -> None:
    for task, colour in _colours(rows).items():
        found = points(rows, task, axis)
        if not found:
            continue
        base = found[0].times.median
        x = _positions(axis, found)
        drawn = [k for k, p in enumerate(found) if math.isfinite(p.times.median) and math.isfinite(base)]
        middle = [found[k].times.median / base for k in drawn]
        low = [(found[k].times.median - found[k].times.lower) / base for k in drawn]
        high = [(min(found[k].times.upper, 20 * base) - found[k].times.median) / base for k in drawn]
        times.errorbar([x[k] for k in drawn], middle, [low, high], fmt="o-", ms=4, lw=1.2, color=colour, label=task)
        shares.plot(x, [p.solved for p in found], "o-", ms=4, lw=1.2, color=colour)
        ticks = x, [f"{p.value:g}" for p in found]
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
    """Of every task that there is, in the order of the pictures."""
    others = sorted({row.task for row in rows} - set(COLOURS))
    return COLOURS | {task: OTHER_COLOURS[k % len(OTHER_COLOURS)] for k, task in enumerate(others)}


def _positions(axis: Axis, found: Sequence[Point]) -> list[float]:
    return [_place(axis, point.value) for point in found]


def _place(axis: Axis, value: float) -> float:
    """Where a strength stands: side by side, because they are never evenly spaced."""
    return float(axis.values.index(value))


def drift(found: Drifting, path: Path) -> None:
    """Accuracy over time with and without training."""
    drawn = pictures.figure((7.0, 3.8))
    place = drawn.subplots()

    def line(curve: Curve, colour: str, label: str) -> None:
        steps = [(step - found.learned_at) / found.time_constant for step in curve.steps]
        place.plot(steps, [100 * a for a in curve.accuracies], color=colour, lw=1.6, label=label)

    line(found.learning, "0.5", "learning")
    line(found.trained, "#1b6ca8", "training goes on")
    line(found.frozen, "#c8553d", "training has ended")
    place.axvline(0, color="0.7", lw=1, ls=":")
    place.set_xlabel("time constants of the cells' decay since learning ended")
    place.set_ylabel("test accuracy, %")
    place.set_ylim(0, 100)
    place.grid(alpha=0.25)
    place.legend(frameon=False, loc="lower left")
    pictures.save(drawn, path, DPI)
