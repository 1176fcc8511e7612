"""95 % confidence intervals that assume nothing about the distribution of times.

For a median: order statistics; for a fraction: Clopper and Pearson. Both are exact: their coverage is at least 95 % for
any number of chips. For a ratio of two medians exact intervals are too wide to be useful; a bootstrap of the chips with
a fixed seed is used instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray

LEVEL = 0.95
"""Confidence level."""
FEWEST = 6
"""Values needed to bound a median."""
RESAMPLES = 4_000
"""Of a bootstrap."""
SEED = 0
"""Of the bootstrap's generator (numpy's Philox, whose words are the same in every version)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; infinite if there are too few values, or too many that are censored at infinity."""

    low: float
    high: float

    def summary(self) -> list[float | None]:
        """JSON-compatible form: null for an infinite end."""
        return [end if math.isfinite(end) else None for end in (self.low, self.high)]


def of_median(values: Sequence[float]) -> Interval:
    """The confidence interval of a median, by order statistics; values may be infinite (censored).

    The k-th smallest of n values exceeds the median if fewer than k values are below it, which is binomial. Fewer than
    `FEWEST` values give no bound.
    """
    ordered = sorted(values)
    most = (1.0 - LEVEL) / 2 * 2 ** len(ordered)
    below, outer = 0, 0  # binomial outcomes below `outer`, and the number of values outside
    while outer < len(ordered) // 2 and below + math.comb(len(ordered), outer) <= most:
        below += math.comb(len(ordered), outer)
        outer += 1
    if outer == 0:
        return Interval(-math.inf, math.inf)
    return Interval(ordered[outer - 1], ordered[-outer])


def of_share(count: int, of: int) -> Interval:
    """The confidence interval of a fraction, `count` out of `of`, by Clopper and Pearson."""
    tail = (1.0 - LEVEL) / 2
    low = 0.0 if count == 0 else _share_where(lambda p: 1.0 - _at_most(count - 1, of, p), tail)
    high = 1.0 if count == of else 1.0 - _share_where(lambda p: 1.0 - _at_most(of - count - 1, of, p), tail)
    return Interval(low, high)


def of_ratio(values: FloatArray, base: FloatArray) -> Interval:
    """The confidence interval of median(values) / median(base), by a bootstrap of the chips.

    Args:
        values, base: (n,) times of the same n chips (seeds), infinite for those that did not learn; chips are resampled
            with both times.
    """
    n = len(values)
    if n < FEWEST:
        return Interval(-math.inf, math.inf)
    drawn = (np.random.Philox(SEED).random_raw(RESAMPLES * n) % np.uint64(n)).astype(np.int64).reshape(RESAMPLES, n)
    over, under = _medians(values[drawn]), _medians(base[drawn])
    # Without a median of the base there is no ratio; such a resample counts at both ends.
    known = np.isfinite(under)
    low, high = (np.full(RESAMPLES, end) for end in (-np.inf, np.inf))
    low[known] = high[known] = over[known] / under[known]
    outer = math.ceil((1.0 - LEVEL) / 2 * RESAMPLES)
    return Interval(float(np.sort(low)[outer - 1]), float(np.sort(high)[-outer]))


def _medians(rows: FloatArray) -> FloatArray:
    """Of every row, the value within which half of its values lie, as `mgdhw.training.results.quartiles` has it."""
    middle = math.ceil(rows.shape[1] / 2) - 1
    found: FloatArray = np.partition(rows, middle, axis=1)[:, middle]
    return found


def _at_most(count: int, of: int, share: float) -> float:
    """Probability of at most `count` successes in `of` trials."""
    if share <= 0.0:
        return 1.0
    logs = math.log(share), math.log1p(-share)
    ways = math.lgamma(of + 1)
    return math.fsum(
        math.exp(ways - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * logs[0] + (of - k) * logs[1])
        for k in range(count + 1)
    )


def _share_where(chance: Callable[[float], float], value: float) -> float:
    """The fraction at which a rising probability reaches a value, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high and high - low > 1e-9:
        low, high = (middle, high) if chance(middle) < value else (low, middle)
    return (low + high) / 2
