"""xor and parity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mgdhw.datasets import load
from mgdhw.errors import DatasetError


def test_xor() -> None:
    dataset = load("xor")
    np.testing.assert_array_equal(dataset.values(range(4)), [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(dataset.targets, [[0], [1], [1], [0]])
    assert (dataset.name, dataset.n_train, dataset.n_test) == ("xor", 4, 0)
    assert dataset.digest == load("parity-2").digest


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_parity(n: int) -> None:
    dataset = load("parity", n=n)
    cases = list(itertools.product((0, 1), repeat=n))
    np.testing.assert_array_equal(dataset.values(range(2**n)), cases)
    np.testing.assert_array_equal(dataset.targets, [[sum(case) % 2] for case in cases])
    assert (dataset.n_train, dataset.n_test) == (2**n, 0)
    assert dataset.name == f"parity-{n}"
    assert load(f"parity-{n}").digest == dataset.digest


@pytest.mark.parametrize("n", [1, 13, 0, -2, 2.5, "3", True, None])
def test_parity_of_a_senseless_number_of_bits(n: object) -> None:
    with pytest.raises(DatasetError, match=r"'n' must be a whole number in 2\.\.12"):
        load("parity", n=n)
