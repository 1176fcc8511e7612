"""A histogram in text."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_BINS = 10
WIDTH = 40
BAR = "█"
PLAIN_BAR = "#"
"""For terminals whose encoding lacks block characters."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Number of values in (low, high]; the first bin includes its lower border."""

    low: float
    high: float
    count: int


def bins(values: Sequence[float], unit: float) -> list[Bin]:
    """At most `MOST_BINS` adjacent bins whose borders are round multiples of a unit.

    Args:
        values: 0 or more; in any order.
        unit: resolution of the values.
    """
    if not values:
        return []
    factor = next(factor for factor in _round_numbers() if _fits(values, factor * unit))
    width = factor * unit
    first, last = _place(min(values), width), _place(max(values), width)
    counts = [0] * (last - first + 1)
    for value in values:
        counts[_place(value, width) - first] += 1
    return [Bin((first + n) * width, (first + n + 1) * width, count) for n, count in enumerate(counts)]


def bar(count: int, most: int) -> str:
    """A bar of length proportional to a count, at least one character if the count is not zero."""
    try:
        BAR.encode(sys.stdout.encoding or "ascii")
        character = BAR
    except (UnicodeEncodeError, LookupError):
        character = PLAIN_BAR
    return character * math.ceil(WIDTH * count / max(1, most))


def _place(value: float, width: float) -> int:
    return max(0, math.ceil(value / width) - 1)


def _fits(values: Sequence[float], width: float) -> bool:
    return _place(max(values), width) - _place(min(values), width) < MOST_BINS


def _round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
