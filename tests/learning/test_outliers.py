"""Median and MAD of recent C̃."""

import random
import statistics

import numpy as np
import pytest

from mgdhw.learning.outliers import EVERYTHING, GAUSSIAN, LEAST, RECENT, usual


@pytest.mark.parametrize("size", [LEAST, LEAST + 1, RECENT - 1, RECENT])
def test_the_interval_is_that_of_median_and_mad(size: int) -> None:
    values = np.random.default_rng(size).normal(3.0, 2.0, size).tolist()
    middle = statistics.median(values)
    room = 6.0 * GAUSSIAN * statistics.median(abs(value - middle) for value in values)
    found = usual(values, 6.0, integer=False)
    assert (found.low, found.high) == (middle - room, middle + room)
    random.Random(0).shuffle(values)
    assert usual(values, 6.0, integer=False) == found


def test_it_does_not_mind_outliers() -> None:
    values = np.random.default_rng(0).normal(size=RECENT)
    clean = usual(values.tolist(), 6.0, integer=False)
    values[: RECENT // 4] = 1e30
    spoilt = usual(values.tolist(), 6.0, integer=False)
    assert 1e30 not in spoilt
    assert spoilt.high < 3 * clean.high


def test_too_few_and_too_equal_say_nothing() -> None:
    assert usual([0.0] * (LEAST - 1), 6.0, integer=True) is EVERYTHING
    assert usual([0.0] * RECENT, 6.0, integer=False) is EVERYTHING
    assert -1e300 in EVERYTHING


def test_the_deviation_of_cost_codes_is_one_code_at_least() -> None:
    found = usual([0.0] * RECENT, 6.0, integer=True)
    assert 8 in found
    assert 9 not in found
    assert [found.clipped(value) for value in (-100, -3, 8, 9)] == [-8, -3, 8, 8]
    assert isinstance(found.clipped(9), int)
    assert found.clipped(9.0) == found.high
