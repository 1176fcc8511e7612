"""Inputs and the range of an input converter: how many are clipped, and how they are scaled.

Scaled inputs are the same to the bit on every machine: extremes are exact, sums are exact or rounded once, and what is
left are single operations of IEEE arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.datasets.dataset import Dataset
from mgdhw.errors import DatasetError

STANDARD_DEVIATIONS = 3.0
"""Half of the range in `standard`."""
_ROWS = 1 << 12
"""Samples that are looked at, or converted, at a time."""


def input_extremes(dataset: Dataset, n_samples: int | None = None) -> tuple[float, float]:
    """Smallest and largest input, in natural units, of all samples or the first `n_samples`."""
    inputs = dataset.inputs[:n_samples]
    return float(inputs.min()) * dataset.input_scale, float(inputs.max()) * dataset.input_scale


def clipped_share(dataset: Dataset, low: float, high: float) -> float:
    """The share of all inputs, 0 ... 1, that lie outside of low ... high (natural units)."""
    least, greatest = input_extremes(dataset)
    if low <= least and greatest <= high:
        return 0.0
    outside = 0
    for rows in _rows(dataset):
        values = dataset.inputs[rows] * dataset.input_scale
        outside += int(np.count_nonzero((values < low) | (values > high)))
    return outside / dataset.inputs.size


def scaled(dataset: Dataset, method: str, low: float, high: float) -> Dataset:
    """The dataset with inputs that a converter of range low ... high takes.

    Each input by itself; what is fitted is fitted on the training part, and the test part is scaled alike. Values that
    then lie beyond the range are set to its ends. An input that is always the same says nothing, and becomes the value
    of the range that is nearest to 0.

    Args:
        dataset: with inputs of any size.
        method: "minmax" (the least value becomes low, the greatest high), "standard" (the mean becomes the middle,
            `STANDARD_DEVIATIONS` standard deviations are half of the range), or "none".
        low, high: natural units, low < high.

    Raises:
        DatasetError: values whose differences or squares overflow.
    """
    if method == "none":
        return dataset
    shift, span, start = METHODS[method](dataset)
    train = dataset.inputs[: dataset.n_train]
    still = (train.min(axis=0) == train.max(axis=0)) | ~(span > 0)
    divisor = np.where(still, 1.0, span)
    zero = low + start * (high - low)
    scaled_inputs = np.empty(dataset.inputs.shape, dtype=np.float64)
    for rows in _rows(dataset):
        with np.errstate(over="ignore"):  # of test samples: what overflows is beyond the range
            values = (dataset.inputs[rows] * dataset.input_scale - shift) / divisor * (high - low) + zero
        scaled_inputs[rows] = np.clip(values, low, high)
    scaled_inputs[:, still] = min(max(0.0, low), high)
    scaled_inputs.setflags(write=False)  # ours alone: spares Dataset a copy
    return Dataset(dataset.name, scaled_inputs, 1.0, dataset.targets, dataset.n_train, dataset.classes)


Fit = tuple[FloatArray, FloatArray, float]
"""(n_in) what is subtracted, (n_in) what then is the whole range, and where in the range 0 lies then, 0 ... 1."""


def _minmax(dataset: Dataset) -> Fit:
    train = dataset.inputs[: dataset.n_train]
    least = train.min(axis=0) * dataset.input_scale
    with np.errstate(over="ignore"):
        span = train.max(axis=0) * dataset.input_scale - least
    return least, _finite(dataset, span), 0.0


def _standard(dataset: Dataset) -> Fit:
    train = dataset.inputs[: dataset.n_train]
    moments = _moments_of_bytes if train.dtype == np.uint8 else _moments
    try:
        both = [moments(column) for column in train.T]
    except OverflowError:
        raise _too_large(dataset) from None
    means, deviations = np.array(both, dtype=np.float64).T * dataset.input_scale
    return means, _finite(dataset, 2 * STANDARD_DEVIATIONS * deviations), 0.5


METHODS: dict[str, Callable[[Dataset], Fit]] = {"minmax": _minmax, "standard": _standard}
"""A new method is one function and one line here, and its name in the experiment's schema."""


def _moments(column: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation: sums that are rounded once, in whatever order."""
    values = column.tolist()
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) * (value - mean) for value in values) / len(values))


def _moments_of_bytes(column: NDArray[Any]) -> tuple[float, float]:
    """The same of bytes, in integers."""
    counts = np.bincount(column, minlength=256).tolist()
    n = len(column)
    first = sum(count * value for value, count in enumerate(counts))
    second = sum(count * value * value for value, count in enumerate(counts))
    return first / n, math.sqrt((n * second - first * first) / (n * n))


def _finite(dataset: Dataset, span: FloatArray) -> FloatArray:
    if not np.isfinite(span).all():
        raise _too_large(dataset)
    return span


def _too_large(dataset: Dataset) -> DatasetError:
    return DatasetError(f"dataset {dataset.name!r}: inputs are too large to scale; divide them first")


def _rows(dataset: Dataset) -> Iterator[slice]:
    for start in range(0, dataset.n_samples, _ROWS):
        yield slice(start, start + _ROWS)
