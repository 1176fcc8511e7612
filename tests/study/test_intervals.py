"""Intervals of a study: they hold the true number as often as they say, and are the same whenever they are computed."""

import math

import numpy as np
import pytest

from mgdhw.study.intervals import FEWEST, LEVEL, Interval, of_median, of_ratio, of_share


def chances(n: int, p: float) -> list[float]:
    """Of 0 ... n successes."""
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize(("n", "ranks"), [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (60, (22, 39))])
def test_a_median_lies_between_the_ranks_of_the_sign_test(n: int, ranks: tuple[int, int]) -> None:
    low, high = ranks
    values = list(range(1, n + 1))
    assert of_median(values[::-1]) == Interval(low, high)
    outside = sum(chances(n, 0.5)[:low]) + sum(chances(n, 0.5)[high:])
    wider = sum(chances(n, 0.5)[: low + 1]) + sum(chances(n, 0.5)[high - 1 :])
    assert outside <= 1 - LEVEL < wider, "as narrow as can be"


def test_a_few_values_bound_nothing() -> None:
    assert of_median([3.0] * (FEWEST - 1)) == Interval(-math.inf, math.inf)
    assert of_median([]) == Interval(-math.inf, math.inf)
    assert of_ratio(np.ones(FEWEST - 1), np.ones(FEWEST - 1)) == Interval(-math.inf, math.inf)


def test_chips_that_do_not_learn_leave_the_upper_end_open() -> None:
    assert of_median([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, *[math.inf] * 4]) == Interval(2.0, math.inf)
    assert of_median([1.0, 2.0, 3.0, *[math.inf] * 4]).summary() == [1.0, None]


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (54, 60, 0.7949, 0.9624),
        (46, 60, 0.6396, 0.8662),
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (1, 1, 0.025, 1.0),
    ],
)
def test_a_share_has_the_interval_of_the_tables(count: int, of: int, low: float, high: float) -> None:
    found = of_share(count, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.77, 0.95])
def test_a_share_is_in_its_interval_as_often_as_is_said(p: float) -> None:
    n = 25
    inside = [of_share(k, n).low <= p <= of_share(k, n).high for k in range(n + 1)]
    assert sum(chance for chance, holds in zip(chances(n, p), inside, strict=True) if holds) >= LEVEL


def test_a_ratio_of_the_same_times_is_sure() -> None:
    times = np.array([5.0, 3.0, 8.0, 9.0, 2.0, 7.0, 4.0])
    assert of_ratio(times, times) == Interval(1.0, 1.0)
    assert of_ratio(2.5 * times, times) == Interval(2.5, 2.5), "chips are resampled with both times"


def test_a_ratio_is_in_its_interval_about_as_often_as_is_said() -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        base, slower = np.exp(generator.normal(size=(2, 41)))
        interval = of_ratio(2.0 * slower, base)
        hits += interval.low <= 2.0 <= interval.high
    assert hits >= 52
    assert of_ratio(2.0 * slower, base) == interval, "the bootstrap has a seed"


def test_a_ratio_without_a_median_is_open() -> None:
    base = np.arange(1.0, 10.0)
    slow = np.where(base > 5, np.inf, base)  # five of nine learn: a median that another draw may lose
    found = of_ratio(slow, base)
    assert found.low < 1.0 + 1e-9
    assert found.high == math.inf
    assert of_ratio(base, np.full(9, np.inf)) == Interval(-math.inf, math.inf)
