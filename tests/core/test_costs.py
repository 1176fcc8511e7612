"""Costs and accuracy as they are reported."""

from math import exp, log

import numpy as np
import pytest

from mgdhw.costs import COSTS, correct, cross_entropy, mean_squared_error


def test_mean_squared_error_is_a_mean_over_the_outputs() -> None:
    outputs, targets = np.array([[1.0, 0.0], [0.5, 0.25]]), np.array([[0.0, 0.0], [0.5, 0.75]])
    np.testing.assert_array_equal(mean_squared_error(outputs, targets), [0.5, 0.125])


def test_cross_entropy_is_that_of_the_softmax() -> None:
    outputs = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    targets = np.array([[0.0, 0.0, 1.0], [0.25, 0.25, 0.5]])
    expected = [log(exp(1) + exp(-2) + exp(0.5)) - 0.5, log(3)]
    assert cross_entropy(outputs, targets) == pytest.approx(expected, rel=1e-14)


def test_cross_entropy_of_large_outputs_does_not_overflow() -> None:
    assert cross_entropy(np.array([[1000.0, -1000.0]]), np.array([[0.0, 1.0]])) == pytest.approx(2000.0)


def test_every_cost_is_least_at_the_target() -> None:
    targets = np.eye(3)
    for cost in COSTS.values():
        right = cost(targets * 20, targets) if cost is cross_entropy else cost(targets, targets)
        assert right.shape == (3,)
        assert np.all(right < 1e-8)
        assert np.all(cost(targets[::-1] * 20, targets)[[0, 2]] > 1.0)


def test_of_several_outputs_the_largest_decides() -> None:
    outputs, targets = np.array([[0.1, 0.2], [0.9, 0.8], [0.3, 0.4]]), np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert correct(outputs, targets).tolist() == [True, False, False]


def test_a_single_output_is_a_threshold() -> None:
    outputs, targets = np.array([[0.4], [0.6], [0.5], [0.51]]), np.array([[0.0], [1.0], [1.0], [0.0]])
    assert correct(outputs, targets).tolist() == [True, True, False, False]
