"""A user's own data: one npz file, as written by `numpy.savez`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.split import DEFAULT_TEST_FRACTION, train_then_test
from mgdhw.errors import DatasetError

_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_EXPECTED = f"{', '.join(_SPLIT)} (or {', '.join(_WHOLE)}, to be split here)"
# A greater label is rather a mistake than a class, and its one-hot targets would fill the memory.
_MOST_CLASSES = 4096


def npz_file(path: Path, *, seed: int = 0, test_fraction: float | None = None) -> Dataset:
    """The dataset in an npz file of x_train, y_train, x_test and y_test; or of x and y, which are split here.

    Inputs (N, ...) are flattened to (N, n_in); bytes count as images (255 is 1.0), all else as natural units.
    Integer y of shape (N,) or (N, 1) are class labels from 0; any other y (N,) or (N, n_out) are targets
    in [0, 1]. Nothing is unpickled.

    Args:
        path: the file.
        seed: 64-bit key of the split of x and y.
        test_fraction: of x and y, what is kept for testing (of each class), 0..0.9; by default 0.2.

    Raises:
        DatasetError: the file is missing or malformed, arrays are missing or don't fit each other (says which
            are there and which were expected), or test_fraction is given for a file that has its own split.
    """
    arrays = _read(path)
    if all(name in arrays for name in _SPLIT):
        if test_fraction is not None:
            raise DatasetError(f"{path}: test_fraction is of no use, the file has its own split")
        train = _inputs(path, arrays, "x_train")
        test = _inputs(path, arrays, "x_test")
        if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
            raise DatasetError(
                f"{path}: x_test is {_form(arrays['x_test'])}, x_train is {_form(arrays['x_train'])}; "
                "they must be of one kind and size"
            )
        inputs = np.concatenate([train, test])
        y = _joined(path, arrays)
        targets, classes, _ = _targets(path, y)
        n_train = len(train)
    elif all(name in arrays for name in _WHOLE):
        inputs = _inputs(path, arrays, "x")
        _same_length(path, arrays, "x", "y")
        targets, classes, labels = _targets(path, arrays["y"])
        share = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
        order, n_train = train_then_test(labels, seed=seed, test_fraction=share)
        inputs, targets = inputs[order], targets[order]
    else:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no arrays"
        raise DatasetError(f"{path}: holds {found}; expected {_EXPECTED}")
    inputs.setflags(write=False)  # ours alone: spares Dataset a copy
    scale = 1.0 / 255.0 if inputs.dtype == np.uint8 else 1.0
    return Dataset(f"npz:{path}", inputs, scale, targets, n_train, classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of the file."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected an npz file with {_EXPECTED}")
    try:
        # The file is opened here because numpy, given a path, leaves it open when an archive is damaged.
        with path.open("rb") as file:
            opened = np.load(file, allow_pickle=False)
            if not isinstance(opened, np.lib.npyio.NpzFile):
                raise DatasetError(f"{path}: holds a single array; expected an npz file with {_EXPECTED}")
            with opened as archive:
                members = {name: archive[name] for name in archive.files}
    except DatasetError:
        raise
    # zipfile, zlib and numpy's header parser raise some ten types on a damaged file; all of them mean this.
    except Exception as error:
        raise DatasetError(
            f"{path}: is no whole npz file of plain arrays: damaged, of another kind, or with pickled "
            f"objects, which are never unpickled; expected {_EXPECTED}"
        ) from error
    return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}


def _inputs(path: Path, arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """An input array as (N, n_in), uint8 or float64."""
    array = arrays[name]
    if array.ndim == 0 or array.size == 0 or array.dtype.kind not in "biuf":
        raise DatasetError(f"{path}: {name} is {_form(array)}; expected numbers of shape (samples, ...)")
    flat = array.reshape(len(array), -1)
    return flat if flat.dtype == np.uint8 else flat.astype(np.float64)


def _joined(path: Path, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """y_train and y_test, one after the other."""
    _same_length(path, arrays, "x_train", "y_train")
    _same_length(path, arrays, "x_test", "y_test")
    train, test = arrays["y_train"], arrays["y_test"]
    if train.shape[1:] != test.shape[1:] or (train.dtype.kind == "f") != (test.dtype.kind == "f"):
        raise DatasetError(
            f"{path}: y_test is {_form(test)}, y_train is {_form(train)}; they must be of one kind and size"
        )
    return np.concatenate([train, test])


def _same_length(path: Path, arrays: dict[str, NDArray[Any]], x: str, y: str) -> None:
    if arrays[y].ndim == 0 or len(arrays[x]) != len(arrays[y]):
        raise DatasetError(
            f"{path}: {y} is {_form(arrays[y])}; expected {len(arrays[x])} entries, one per sample of {x}"
        )


def _targets(path: Path, y: NDArray[Any]) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.intp]]:
    """(N, n_out) targets, names of the classes (none for plain targets), and (N,) labels to stratify by."""
    if y.dtype.kind not in "biuf" or y.size == 0:
        raise DatasetError(f"{path}: y is {_form(y)}; expected integer labels or targets in [0, 1]")
    columns = y.reshape(len(y), -1)
    if y.dtype.kind == "f" or columns.shape[1] > 1:
        return columns.astype(np.float64), (), np.zeros(len(y), dtype=np.intp)
    low, high = int(columns.min()), int(columns.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise DatasetError(f"{path}: labels from {low} to {high}; expected 0..{_MOST_CLASSES - 1}")
    labels = columns[:, 0].astype(np.intp)
    return one_hot(labels, high + 1), tuple(str(label) for label in range(high + 1)), labels


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
