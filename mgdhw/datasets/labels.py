"""Targets from a user's y: labels of any kind, one-hot rows, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.dataset import first_not_finite, one_hot
from mgdhw.errors import DatasetError

# More than this is probably a mistake, and one-hot targets would fill the memory.
MOST_CLASSES = 4096

Targets = tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.intp]]


def targets_of(where: str, name: str, y: NDArray[Any]) -> Targets:
    """(N, n_out) targets, the names of the classes (none for plain targets), and (N,) labels to stratify by.

    Labels are (N,) or (N, 1) integers, texts, or floats that are whole and reach beyond 0 ... 1. Where 0 is among them
    they count from 0 to the greatest; else each label that there is makes a class, in order: labels from 1 to 10 make
    ten classes, -1 and 1 make two. All else are targets in [0, 1].

    Args:
        where, name: what errors call the place, and the array in it.
        y: one row for each sample.

    Raises:
        DatasetError: neither labels nor targets, NaN or infinite values, targets outside [0, 1].
    """
    columns = y.reshape(len(y), -1) if y.ndim and y.size else y
    if columns.ndim != 2 or columns.dtype.kind not in "biufSU":
        raise DatasetError(
            f"{where}: {name} is {y.dtype} {y.shape}; expected one label for each sample, or targets in [0, 1]"
        )
    if columns.dtype.kind in "SU":
        return _classes(where, name, columns)
    if columns.dtype.kind == "f":
        bad = first_not_finite(columns)
        if bad:
            raise DatasetError(f"{where}: {name}: targets must be finite numbers; {bad}")
    low, high = columns.min(), columns.max()
    if columns.shape[1] == 1 and (columns.dtype.kind != "f" or _are_labels(columns)):
        return _classes(where, name, columns)
    if not (low >= 0 and high <= 1):
        raise DatasetError(
            f"{where}: {name} lies in [{float(low):g}, {float(high):g}], targets must lie in [0, 1]; scale them, for"
            f" example ({name} - {name}.min()) / ({name}.max() - {name}.min())"
        )
    return columns.astype(np.float64), (), np.zeros(len(columns), dtype=np.intp)


def _are_labels(column: NDArray[Any]) -> bool:
    """Whether floats are labels: whole numbers, some of them outside [0, 1]."""
    beyond = bool(column.min() < 0 or column.max() > 1)
    return beyond and bool(np.all(column == np.floor(column)))


def _classes(where: str, name: str, column: NDArray[Any]) -> Targets:
    numbers = column.dtype.kind in "biuf"
    if numbers and int(column.min()) == 0:
        high = int(column.max())
        if high >= MOST_CLASSES:
            raise DatasetError(f"{where}: {name} has labels from 0 to {high}; expected 0..{MOST_CLASSES - 1}")
        labels = column[:, 0].astype(np.intp)
        return one_hot(labels, high + 1), tuple(str(label) for label in range(high + 1)), labels
    found, labels = np.unique(column[:, 0], return_inverse=True)
    if len(found) > MOST_CLASSES:
        raise DatasetError(
            f"{where}: {name} has {len(found)} different labels, more than {MOST_CLASSES}; for regression,"
            " scale the targets to [0, 1]"
        )
    names = tuple(str(int(one)) if numbers else _text(one) for one in found)
    labels = labels.reshape(-1).astype(np.intp)
    return one_hot(labels, len(found)), names, labels


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
