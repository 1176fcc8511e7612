"""Arrays of whatever library, and what is kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mgdhw.datasets import Dataset, from_arrays, load, save
from mgdhw.errors import DatasetError

X = np.linspace(-2, 2, 30).reshape(10, 3)
Y = np.arange(10) % 3


class Tensor:
    """As torch has them: numpy gets at it only when it has left its graph and its processor."""

    def __init__(self, array: NDArray[Any], left: tuple[str, ...] = ()) -> None:
        self._array, self._left = array, left

    def detach(self) -> Tensor:
        return Tensor(self._array, (*self._left, "graph"))

    def cpu(self) -> Tensor:
        return Tensor(self._array, (*self._left, "processor"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._left != ("graph", "processor"):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._array


class Frame:
    """As pandas has them: columns of any type, as objects."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._array.astype(object)


class Sparse:
    """As scipy has them."""

    def toarray(self) -> NDArray[Any]:
        return X


@pytest.mark.parametrize("of", [np.asarray, Tensor, Frame, np.ndarray.tolist, np.ma.array])
def test_arrays_of_any_library(of: Any) -> None:
    assert from_arrays(of(X), of(Y)).digest == from_arrays(X, Y if of is not Frame else Y * 1.0).digest


def test_texts_are_labels() -> None:
    words = np.array(["cat", "dog", "eel"])[Y]
    for y in (words, words.tolist(), words.astype(object)):
        dataset = from_arrays(X, y, test_fraction=0)
        assert dataset.classes == ("cat", "dog", "eel")
        assert dataset.n_outputs == 3


def test_a_test_part_that_is_given() -> None:
    dataset = from_arrays(X[:7], Y[:7], X[7:], Y[7:])
    assert (dataset.n_train, dataset.n_test) == (7, 3)
    np.testing.assert_array_equal(dataset.inputs, X)


def test_a_test_part_that_is_split() -> None:
    assert from_arrays(X, Y).n_test == 3
    assert from_arrays(X, Y, test_fraction=0).n_test == 0
    assert from_arrays(X, Y, seed=1).digest != from_arrays(X, Y).digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((X, Y[:4]), r"dataset: y is int64 \(4,\); expected 10 entries, one per sample of X"),
        ((X, Y, X), r"expected \(X, y\) or \(X, y, X_test, y_test\)"),
        ((X, Y, X, Y[:1]), r"y_test is int64 \(1,\); expected 10 entries"),
        ((X, Y, X[:, :2], Y), r"X_test is float64 \(10, 2\), X is float64 \(10, 3\); their types"),
        ((Sparse(), Y), r"X is sparse \(Sparse\); use X\.toarray\(\)"),
        (([[1, 2], [3]], Y[:2]), "X cannot be converted to an array"),
        (
            (np.array([[1, "a"]], dtype=object), Y[:1]),
            "X has entries that are not numbers, for example 'a'; convert",
        ),
        ((np.array([[1, None]]), Y[:1]), "X: inputs must be finite numbers; 1 of 2 "),  # a gap
        ((np.ma.masked_greater(X, 1), Y), "X has masked values"),
        ((Tensor(X).detach().detach(), Y), "X cannot be converted to an array: Can't call"),
        ((X, X), r"y lies in \[-2, 2\], targets must lie in \[0, 1\]; scale them, for example \(y - y\.min\(\)\)"),
        ((np.where(X > 1, np.nan, X), Y), "X: inputs must be finite numbers; 8 of 30 .* in sample 7 "),
        ((X, np.array([{}] * 10)), r"y has entries that are not numbers, for example \{\}"),
        ((X.astype("M8[s]"), Y), "X is datetime64"),
    ],
)
def test_arrays_that_do_not_fit(arrays: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        from_arrays(*arrays)


def test_a_fraction_beside_a_test_part() -> None:
    with pytest.raises(DatasetError, match="test_fraction cannot be combined with X_test"):
        from_arrays(X, Y, X, Y, test_fraction=0.1)


@pytest.mark.parametrize(
    "dataset",
    [
        from_arrays(X, Y),
        from_arrays(X, Y / 2, test_fraction=0),
        Dataset("mine", (X * 9).astype(np.uint8), 0.25, np.eye(10), 4, tuple("abcdefghij")),
        load("xor"),
    ],
)
def test_what_is_kept_is_read_back_as_it_was(tmp_path: Path, dataset: Dataset) -> None:
    with (tmp_path / "kept.npz").open("wb") as file:
        save(dataset, file)
    again = load(f"npz:{tmp_path / 'kept.npz'}")
    assert (again.digest, again.classes, again.n_train) == (dataset.digest, dataset.classes, dataset.n_train)
    assert (again.inputs.dtype, again.input_scale) == (dataset.inputs.dtype, dataset.input_scale)


@pytest.mark.parametrize(
    ("targets", "classes"),
    [
        (np.eye(3), True),
        (np.eye(3) * 0.8 + 0.1, True),  # soft labels
        (np.array([[0.0], [1.0]]), True),
        (np.array([[0.1], [0.9]]), True),
        (np.array([[1.0], [1.0]]), True),
        (np.array([[0.1], [0.4]]), False),
        (np.array([[0.0], [0.5], [1.0]]), False),
        (np.array([[0.3], [0.3]]), False),
        (np.array([[0.0, 1.0], [1.0, 1.0]]), False),  # several of them at once
        (np.array([[0.2, 0.8], [0.3, 0.7]]), False),
        (np.zeros((2, 2)), False),
    ],
)
def test_classes_and_regression(targets: NDArray[np.float64], classes: bool) -> None:
    assert Dataset("mine", np.zeros((len(targets), 1)), 1.0, targets, 1).has_classes is classes


def test_named_classes_are_classes() -> None:
    assert Dataset("mine", np.zeros((2, 1)), 1.0, np.array([[0.2, 0.8], [0.3, 0.7]]), 1, ("a", "b")).has_classes
