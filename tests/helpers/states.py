"""Comparison of states of training, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from mgdhw.learning.state import TrainState


def assert_same_cells(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> None:
    """What the cells of two chips remember is the same."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert_array_equal(array, other[name], err_msg=name)


def assert_same_filters(one: TrainState, other: TrainState) -> None:
    """The filters of continuous mode are the same."""
    assert_array_equal(one.filters.gradient, other.filters.gradient)
    assert repr((one.filters.cost, one.filters.high_passed)) == repr((other.filters.cost, other.filters.high_passed))


def assert_same_state(one: TrainState, other: TrainState) -> None:
    """All but the chain of digests is the same; that is of whole trainings."""
    for name in ("step", "update", "evaluations", "held"):
        assert getattr(one, name) == getattr(other, name), name
    assert_array_equal(one.theta, other.theta)
    assert_array_equal(one.window.cross, other.window.cross)
    assert_array_equal(one.window.energy, other.window.energy)
    assert_same_filters(one, other)
    assert_same_cells(one.cells, other.cells)
    assert one.optimizer.keys() == other.optimizer.keys()
    for name, array in one.optimizer.items():
        assert_array_equal(array, other.optimizer[name], err_msg=name)
