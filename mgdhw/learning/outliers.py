"""Which C̃ are far outside those before: by the median and the median absolute deviation of recent ones.

Both are indifferent to what almost half of the values are, so what is looked for does not hide itself. The standard
deviation is taken to be that of Gaussian noise, MAD × 1.4826. Source: Huber, "Robust Statistics" (1981), section 5.1.

Pure, and one probe after the other: how the work is cut into blocks changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RECENT = 64
"""C̃ that are looked back at: few enough to follow a training, enough for a deviation to 10 %."""
LEAST = 16
"""Fewer say too little: nothing is an outlier."""
GAUSSIAN = 1.4826
"""Standard deviation over MAD of a Gaussian."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What is no outlier: from `low` to `high`."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def clipped(self, value: int | float) -> int | float:
        """The nearest value within; an integer remains one."""
        nearest = min(max(value, self.low), self.high)
        return int(nearest) if isinstance(value, int) else nearest


EVERYTHING = Interval(float("-inf"), float("inf"))


def usual(recent: Sequence[float], limit: float, *, integer: bool) -> Interval:
    """Where C̃ usually is.

    Args:
        recent: C̃ accepted before, at most `RECENT`.
        limit: largest distance from their median, in standard deviations.
        integer: whether costs are integers. Their deviation is taken to be one code at least, since codes that are
            mostly equal say nothing about noise; where floats are mostly equal, nothing is an outlier.
    """
    if len(recent) < LEAST:
        return EVERYTHING
    middle = _median(recent)
    deviation = _median([abs(value - middle) for value in recent])
    if integer:
        deviation = max(1.0, deviation)
    if deviation == 0.0:
        return EVERYTHING
    room = limit * GAUSSIAN * deviation
    return Interval(middle - room, middle + room)


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
