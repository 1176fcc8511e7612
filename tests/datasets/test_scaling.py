"""Inputs made to fit: the same bits on every machine."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mgdhw.datasets import Dataset, clipped_share, load, scaled
from mgdhw.datasets.scaling import _moments, _moments_of_bytes
from mgdhw.errors import DatasetError


def dataset_of(inputs: NDArray[np.float64] | NDArray[np.uint8], n_train: int | None = None) -> Dataset:
    targets = np.zeros((len(inputs), 1))
    return Dataset("mine", inputs, 0.25 if inputs.dtype == np.uint8 else 1.0, targets, n_train or len(inputs))


ROWS = np.array([[0.0, -4.0, 7.0], [8.0, 4.0, 7.0], [2.0, 0.0, 7.0], [10.0, -8.0, 9.0]])


def test_minmax_is_fitted_on_the_training_part() -> None:
    found = scaled(dataset_of(ROWS, n_train=3), "minmax", 0.0, 1.0)
    np.testing.assert_array_equal(found.inputs, [[0, 0, 0], [1, 1, 0], [0.25, 0.5, 0], [1, 0, 0]])
    assert found.input_scale == 1.0
    found = scaled(dataset_of(ROWS, n_train=3), "minmax", -1.0, 1.0)
    np.testing.assert_array_equal(found.inputs, [[-1, -1, 0], [1, 1, 0], [-0.5, 0, 0], [1, -1, 0]])


def test_standard_puts_the_mean_in_the_middle() -> None:
    x = np.array([[1.0], [3.0], [1.0], [3.0], [20.0]])
    found = scaled(dataset_of(x, n_train=4), "standard", 0.0, 1.0)  # mean 2, deviation 1
    np.testing.assert_array_equal(found.inputs[:, 0], [-1 / 6 + 0.5, 1 / 6 + 0.5, -1 / 6 + 0.5, 1 / 6 + 0.5, 1.0])


@pytest.mark.parametrize("method", ["minmax", "standard"])
def test_bytes_and_the_floats_that_they_stand_for_are_scaled_alike(method: str) -> None:
    stored = np.random.default_rng(1).integers(0, 17, (50, 6), dtype=np.uint8)
    stored[:, 2] = 5
    bytes_, floats = dataset_of(stored, 40), dataset_of(stored * 0.25, 40)
    assert scaled(bytes_, method, -1.0, 1.0).digest == scaled(floats, method, -1.0, 1.0).digest


def test_none_changes_nothing() -> None:
    dataset = dataset_of(ROWS)
    assert scaled(dataset, "none", 0.0, 1.0) is dataset


def test_an_input_that_never_changes_says_nothing() -> None:
    """Whatever a mean of equal numbers is rounded to."""
    x = np.full((49, 1), 0.1)
    assert np.mean(x) != 0.1 or math.fsum([0.1] * 49) / 49 == 0.1
    for low, high, value in ((0.0, 1.0, 0.0), (-1.0, 1.0, 0.0), (2.0, 3.0, 2.0), (-3.0, -2.0, -2.0)):
        for method in ("minmax", "standard"):
            assert set(scaled(dataset_of(x), method, low, high).inputs[:, 0]) == {value}


FLOATS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(values=FLOATS, data=st.data())
def test_statistics_are_those_of_exact_arithmetic_in_any_order(values: list[float], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    assert _moments(np.array(values)) == _moments(np.array(shuffled))
    mean, _ = _moments(np.array(values))
    assert mean == float(sum(map(Fraction, values))) / len(values)


@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_statistics_of_bytes_are_exact(values: list[int]) -> None:
    mean, deviation = _moments_of_bytes(np.array(values, dtype=np.uint8))
    exact = Fraction(sum(values), len(values))
    variance = sum((value - exact) ** 2 for value in values) / len(values)
    assert (mean, deviation) == (float(exact), math.sqrt(float(variance)))


@given(
    column=st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=20),
    method=st.sampled_from(["minmax", "standard"]),
    n_train=st.integers(1, 20),
)
def test_whatever_is_scaled_lies_in_the_range(column: list[float], method: str, n_train: int) -> None:
    x = np.array(column)[:, None]
    try:
        found = scaled(dataset_of(x, min(n_train, len(column))), method, -1.0, 1.0)
    except DatasetError as error:
        assert "too large to scale" in str(error)  # noqa: PT017  (most columns are not)
        assert np.abs(x).max() > 1e100
        return
    assert found.inputs.min() >= -1.0
    assert found.inputs.max() <= 1.0


def test_the_share_that_is_clipped() -> None:
    x = np.array([[-0.5, 0.0, 1.0], [0.5, 1.5, 2.0]])
    assert clipped_share(dataset_of(x), 0.0, 1.0) == 0.5
    assert clipped_share(dataset_of(x), -1.0, 2.0) == 0.0
    stored = np.array([[0, 4], [8, 255]], dtype=np.uint8)  # a quarter each
    assert clipped_share(dataset_of(stored), 0.0, 1.0) == 0.5
    assert clipped_share(replace(dataset_of(stored), input_scale=1 / 255), 0.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("method", "digest"),
    [("minmax", "00d3ab0ace72d904"), ("standard", "d25a1793c41a5f1a")],
)
def test_the_same_bits_on_every_machine(method: str, digest: str) -> None:
    """Digits as floats of no round numbers, so that every sum and every quotient is rounded."""
    digits = load("digits")
    odd = Dataset("odd", digits.inputs / 7.0 - 0.3, 1.0, digits.targets, digits.n_train)
    assert scaled(odd, method, -1.0, 1.0).digest[:16] == digest
