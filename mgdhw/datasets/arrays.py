"""Datasets from a user's arrays, of any library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.dataset import Dataset, first_not_finite
from mgdhw.datasets.labels import targets_of
from mgdhw.datasets.split import DEFAULT_TEST_FRACTION, train_then_test
from mgdhw.errors import DatasetError

Named = tuple[str, NDArray[Any]]
"""An array and its name in errors."""


def from_arrays(
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    name: str = "arrays",
    seed: int = 0,
    test_fraction: float | None = None,
) -> Dataset:
    """A dataset of arrays: of numpy, tensors of torch or jax, frames of pandas, lists of lists.

    Args:
        x: (N, ...) inputs, flattened to (N, n_in); bytes count as images (255 is 1.0), all else as natural units.
        y: labels (integers, strings, or whole floats beyond [0, 1]), one-hot rows, or (N,) or (N, n_out) targets in
            [0, 1].
        x_test, y_test: the test set; without them x and y are split.
        name: for messages.
        seed: 64-bit key of the split.
        test_fraction: fraction of x and y used for testing (of each class), 0 to 0.9; by default 0.2.

    Raises:
        DatasetError: invalid arrays, or arrays that do not fit each other; test_fraction although a test set is given.
    """
    train = ("X", as_array("dataset", "X", x)), ("y", as_array("dataset", "y", y))
    if (x_test is None) != (y_test is None):
        raise DatasetError("dataset: expected (X, y) or (X, y, X_test, y_test); one of the last two is missing")
    if x_test is None:
        return divided("dataset", name, *train, seed=seed, test_fraction=test_fraction)
    if test_fraction is not None:
        raise DatasetError("dataset: test_fraction cannot be combined with X_test and y_test")
    test = ("X_test", as_array("dataset", "X_test", x_test)), ("y_test", as_array("dataset", "y_test", y_test))
    return joined("dataset", name, train, test)


def as_array(where: str, what: str, given: Any) -> NDArray[Any]:
    """Anything array-like as an array of numbers or strings. Raises DatasetError, with a remedy."""
    if np.ma.is_masked(given):
        raise DatasetError(f"{where}: {what} has masked values; drop those samples, or fill them in")
    for step in ("detach", "cpu"):  # of tensors in a graph, or on a GPU
        method: Callable[[], Any] | None = getattr(given, step, None)
        given = method() if callable(method) else given
    if callable(getattr(given, "toarray", None)) and not isinstance(given, np.ndarray):
        raise DatasetError(f"{where}: {what} is sparse ({type(given).__name__}); use {what}.toarray()")
    try:
        array = np.asarray(given)
    except Exception as error:  # third-party code, or rows of different lengths
        raise DatasetError(f"{where}: {what} cannot be converted to an array: {error}") from None
    return array if array.dtype.kind != "O" else _unboxed(where, what, array)


def _unboxed(where: str, what: str, array: NDArray[Any]) -> NDArray[Any]:
    """Convert Python objects that are all numbers or all strings."""
    if array.size and all(isinstance(one, str) for one in array.flat):
        return array.astype(np.str_)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        odd = next((one for one in array.flat if not isinstance(one, int | float | np.number)), None)
        raise DatasetError(
            f"{where}: {what} has entries that are not numbers, for example {odd!r:.60}; convert them first (one-hot"
            f" encode strings, fill in missing values), then use {what}.astype(float)"
        ) from None


def divided(where: str, name: str, x: Named, y: Named, *, seed: int, test_fraction: float | None) -> Dataset:
    """A dataset from samples that are split here."""
    inputs = inputs_of(where, x)
    _same_length(where, x, y)
    targets, classes, labels = targets_of(where, *y)
    share = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    order, n_train = train_then_test(labels, seed=seed, test_fraction=share)
    return _dataset(name, inputs[order], targets[order], n_train, classes)


def joined(where: str, name: str, train: tuple[Named, Named], test: tuple[Named, Named]) -> Dataset:
    """A dataset from a training and a test set."""
    first, second = inputs_of(where, train[0]), inputs_of(where, test[0])
    if first.shape[1:] != second.shape[1:] or first.dtype != second.dtype:
        raise _unlike(where, test[0], train[0])
    for x, y in (train, test):
        _same_length(where, x, y)
    (_, y_train), (_, y_test) = train[1], test[1]
    if y_train.shape[1:] != y_test.shape[1:] or (y_train.dtype.kind in "fUS") != (y_test.dtype.kind in "fUS"):
        raise _unlike(where, test[1], train[1])
    targets, classes, _ = targets_of(where, train[1][0], np.concatenate([y_train, y_test]))
    return _dataset(name, np.concatenate([first, second]), targets, len(first), classes)


def inputs_of(where: str, x: Named) -> NDArray[Any]:
    """An input array as (N, n_in), uint8 or float64."""
    name, array = x
    if array.ndim == 0 or array.size == 0 or array.dtype.kind not in "biuf":
        raise DatasetError(f"{where}: {form(x)}; expected numbers of shape (samples, ...)")
    flat = array.reshape(len(array), -1)
    if flat.dtype == np.uint8:
        return flat
    with np.errstate(over="ignore"):  # of wider floats; detected next
        flat = flat.astype(np.float64)
    bad = first_not_finite(flat)
    if bad:
        raise DatasetError(f"{where}: {name}: inputs must be finite numbers; {bad}")
    return flat


def form(named: Named) -> str:
    """An array's name, type and shape."""
    name, array = named
    return f"{name} is {array.dtype} {array.shape}"


def _same_length(where: str, x: Named, y: Named) -> None:
    if y[1].ndim == 0 or len(x[1]) != len(y[1]):
        raise DatasetError(f"{where}: {form(y)}; expected {len(x[1])} entries, one per sample of {x[0]}")


def _unlike(where: str, one: Named, other: Named) -> DatasetError:
    return DatasetError(f"{where}: {form(one)}, {form(other)}; their types and sizes must match")


def _dataset(
    name: str, inputs: NDArray[Any], targets: NDArray[np.float64], n_train: int, classes: tuple[str, ...]
) -> Dataset:
    inputs.setflags(write=False)  # ours alone: spares Dataset a copy
    scale = 1.0 / 255.0 if inputs.dtype == np.uint8 else 1.0
    return Dataset(name, inputs, scale, targets, n_train, classes)
