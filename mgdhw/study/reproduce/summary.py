"""What the runs of a figure say: means beside the published ones, times to targets, and exponents against N."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import mean, median, stdev
from typing import Any

import numpy as np

from mgdhw.study.reproduce.published import means, times

QUANTITIES = {"fig3": ("cosine",), "fig4": ("cost_train", "cost_test", "accuracy")}
T_975 = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t by degrees of freedom: two-sided 95 %."""
NORMAL_975 = 1.960


def n_parameters(d: int) -> int:
    """N of the study's network."""
    return 439 * d * d + 71 * d + 10


@dataclass(frozen=True, slots=True)
class Point:
    """A mean beside the published one.

    Args:
        method, d, iteration, quantity: of what.
        seeds, mean, error: ours, with the standard error; NaN from a single seed.
        published, published_error: theirs.
        deviation: difference in combined standard errors; None if there is no error of ours.
    """

    method: str
    d: int
    iteration: int
    quantity: str
    seeds: int
    mean: float
    error: float | None
    published: float
    published_error: float
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Time:
    """Median iterations to a target; None where less than half of the seeds reached it."""

    method: str
    d: int
    target: float
    seeds: int
    iterations: float | None
    published: float | None


@dataclass(frozen=True, slots=True)
class Exponent:
    """Of the iterations to a target against N, fitted to the medians; its 95 % interval needs three widths."""

    method: str
    target: float
    widths: int
    value: float
    low: float | None
    high: float | None


def points(figure: str, rows: Iterable[dict[str, Any]]) -> list[Point]:
    """All listed iterations that are published, too."""
    values: dict[tuple[str, int, int, str], list[float]] = {}
    for row in rows:
        if "iteration" in row:
            for quantity in QUANTITIES[figure]:
                key = (row["method"], row["d"], row["iteration"], quantity)
                values.setdefault(key, []).append(row[quantity])
    found = []
    for key, theirs in means(figure).items():
        ours = values.get(key)
        if not ours:
            continue
        error = stdev(ours) / math.sqrt(len(ours)) if len(ours) > 1 else None
        deviation = None
        if error is not None:
            deviation = (mean(ours) - theirs.mean) / math.hypot(error, theirs.error)
        found.append(Point(*key, len(ours), mean(ours), error, theirs.mean, theirs.error, deviation))
    return found


def outside(found: Iterable[Point], errors: float) -> int:
    """How many points deviate by more than so many combined standard errors."""
    return sum(point.deviation is not None and abs(point.deviation) > errors for point in found)


def medians(figure: str, rows: Iterable[dict[str, Any]]) -> list[Time]:
    """Times to targets, beside the published ones."""
    theirs, ours = times(figure), dict[tuple[str, int, float], list[float]]()
    for row in rows:
        if "target" in row:
            at = math.inf if row["iterations"] is None else row["iterations"]
            ours.setdefault((row["method"], row["d"], row["target"]), []).append(at)
    return [
        Time(*key, len(values), _finite(median(values)), _finite(theirs.get(key, math.inf)))
        for key, values in ours.items()
    ]


def exponents(found: Iterable[Time]) -> list[Exponent]:
    """Slopes of log(iterations) against log(N) of all methods and targets that two or more widths reach."""
    by_target: dict[tuple[str, float], list[Time]] = {}
    for time in found:
        if time.iterations is not None:
            by_target.setdefault((time.method, time.target), []).append(time)
    return [_exponent(*key, own) for key, own in by_target.items() if len(own) > 1]


def _exponent(method: str, target: float, own: list[Time]) -> Exponent:
    x = np.log([n_parameters(time.d) for time in own])
    y = np.log([float(time.iterations or 1) for time in own])
    slope, offset = np.polyfit(x, y, 1)
    low = high = None
    free = len(own) - 2
    if free > 0:
        left = float(np.sum((y - slope * x - offset) ** 2)) / free
        error = math.sqrt(left / float(np.sum((x - x.mean()) ** 2)))
        reach = error * (T_975[free] if free < len(T_975) else NORMAL_975)
        low, high = float(slope) - reach, float(slope) + reach
    return Exponent(method, target, len(own), float(slope), low, high)


def summary(figure: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All of it, JSON-compatible."""
    found, reached = points(figure, rows), medians(figure, rows)
    return {
        "rows": rows,
        "points": [asdict(point) for point in found],
        "outside_2": outside(found, 2.0),
        "outside_3": outside(found, 3.0),
        "compared": sum(point.deviation is not None for point in found),
        "times": [asdict(time) for time in reached],
        "exponents": [asdict(one) for one in exponents(reached)],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
