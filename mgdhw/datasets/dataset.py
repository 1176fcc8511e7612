"""The dataset class: inputs, targets, and which samples are for training."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import DatasetError
from mgdhw.report import markup


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets: samples [0, n_train) are for training, [n_train, n_samples) for testing.

    The arrays are kept as read-only, contiguous copies (an array that is read-only already is not copied).
    Inputs stay as they are stored (images as bytes: a tenth of the memory); `values` gives them in natural
    units. Without test samples (truth tables), the training samples are what the network is judged on.

    Args:
        name: the name it was loaded by; not part of the digest.
        inputs: (N, n_in), uint8 or converted to float64; natural value = inputs * input_scale.
        input_scale: natural units per stored unit, > 0 (1/255 for image bytes).
        targets: (N, n_out) target outputs in [0, 1]; one-hot for classes.
        n_train: number of training samples, 1 <= n_train <= N.
        classes: names of the classes, one for each output; empty if the outputs are not classes.

    Raises:
        DatasetError: shapes that don't fit, numbers that aren't finite, targets outside [0, 1].
    """

    name: str
    inputs: NDArray[np.uint8] | NDArray[np.float64] = field(repr=False)
    input_scale: float
    targets: NDArray[np.float64] = field(repr=False)
    n_train: int
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        inputs = _frozen(self.name, "inputs", self.inputs, keep_bytes=True)
        targets = _frozen(self.name, "targets", self.targets, keep_bytes=False)
        # A frozen dataclass has no other way to store what it has normalised.
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "input_scale", float(self.input_scale))
        object.__setattr__(self, "n_train", operator.index(self.n_train))
        object.__setattr__(self, "classes", tuple(self.classes))
        problem = self._problem()
        if problem:
            raise DatasetError(f"dataset {self.name!r}: {problem}")

    def _problem(self) -> str | None:
        """The first problem, or None."""
        if len(self.inputs) != len(self.targets):
            return f"{len(self.inputs)} inputs but {len(self.targets)} targets; their numbers must match"
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            return f"input_scale must be finite and positive, not {self.input_scale}"
        # A NaN anywhere makes both extremes NaN: no array of booleans is needed to find it.
        extremes = (float(self.inputs.min()), float(self.inputs.max()))
        if not all(math.isfinite(extreme * self.input_scale) for extreme in extremes):
            return f"inputs must be finite numbers; {first_not_finite(self.inputs) or 'some overflow as floats'}"
        low, high = float(self.targets.min()), float(self.targets.max())
        if math.isnan(low):
            return f"targets must be finite numbers; {first_not_finite(self.targets)}"
        if not (low >= 0.0 and high <= 1.0):
            return f"targets must lie in [0, 1]; these lie in [{low:g}, {high:g}]; scale them"
        if not 1 <= self.n_train <= self.n_samples:
            return f"n_train must be in 1..{self.n_samples}, not {self.n_train}"
        if self.classes and len(self.classes) != self.n_outputs:
            return f"{len(self.classes)} class names for {self.n_outputs} outputs"
        return None

    @property
    def n_samples(self) -> int:
        """Number of samples, for training and testing together."""
        return int(self.inputs.shape[0])

    @property
    def n_test(self) -> int:
        """Number of test samples; may be 0."""
        return self.n_samples - self.n_train

    @property
    def n_inputs(self) -> int:
        """Numbers in one input."""
        return int(self.inputs.shape[1])

    @property
    def n_outputs(self) -> int:
        """Numbers in one target."""
        return int(self.targets.shape[1])

    def values(self, index: NDArray[np.integer[Any]] | Sequence[int]) -> NDArray[np.float64]:
        """Inputs in natural units: (B,) sample indices -> (B, n_in) float64.

        Only the chosen samples are converted. Raises IndexError for a sample that doesn't exist.
        """
        return np.multiply(self.inputs[index], self.input_scale, dtype=np.float64)

    @cached_property
    def has_classes(self) -> bool:
        """Whether the targets are classes: one-hot rows, or a single output that is low or high.

        Any two values count (0.1 and 0.9); those of a single output lie on either side of 0.5. Everything else is
        regression, which has no accuracy.
        """
        low, high = float(self.targets.min()), float(self.targets.max())
        if self.classes:
            return True
        is_high = self.targets == high
        if not bool(np.all(is_high | (self.targets == low))):
            return False
        if self.n_outputs == 1:
            return low <= 0.5 < high or low == high in (0.0, 1.0)
        return low < high and bool(np.all(is_high.sum(axis=1) == 1))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the content: stored values, scale, targets, their order and n_train.

        Names are no part of it. The same on every platform; computed on first use.
        """
        from hashlib import sha256

        hasher = sha256()
        kind = "uint8" if self.inputs.dtype == np.uint8 else "float64"
        sizes = f"{self.n_samples} {self.n_inputs} {self.n_outputs} {self.n_train}"
        hasher.update(f"mgdhw dataset 1: {kind} {sizes} {self.input_scale.hex()}\n".encode())
        for array in (self.inputs, self.targets):
            hasher.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
        return hasher.hexdigest()

    def _repr_html_(self) -> str:
        """For notebooks."""
        sizes = {"training samples": self.n_train, "test samples": self.n_test}
        shape = {"inputs": self.n_inputs, "outputs": self.n_outputs}
        classes = {"classes": ", ".join(self.classes) or None}
        return markup.summary({**sizes, **shape, **classes, "digest": self.digest}, f"dataset {self.name}")


def one_hot(labels: NDArray[np.integer[Any]], count: int) -> NDArray[np.float64]:
    """Targets of classes: (N,) labels in 0..count-1 -> (N, count), 1 where the label is, else 0.

    Raises:
        DatasetError: a label outside 0..count-1.
    """
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= count):
        raise DatasetError(f"labels must be in 0..{count - 1}; these are in {labels.min()}..{labels.max()}")
    targets = np.zeros((len(labels), count), dtype=np.float64)
    targets[np.arange(len(labels)), labels.astype(np.intp)] = 1.0
    return targets


def first_not_finite(array: NDArray[Any]) -> str:
    """A message about NaN or infinite values in an (N, n) array; empty if all are finite."""
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if not count:
        return ""
    row, column = (int(place) for place in np.unravel_index(int(bad.argmax()), array.shape))
    return (
        f"{count:,} of {array.size:,} are NaN or infinite, the first in sample {row} (from 0), column {column};"
        " drop such samples, or fill them in"
    )


def _frozen(dataset: str, what: str, given: NDArray[Any], *, keep_bytes: bool) -> NDArray[Any]:
    """A read-only, C-ordered, native (N, n) array of uint8 or float64 that is not shared."""
    array = np.asarray(given)
    if array.ndim != 2 or array.size == 0:
        raise DatasetError(f"dataset {dataset!r}: {what} must be (samples, numbers), not of shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DatasetError(f"dataset {dataset!r}: {what} must be numbers, not {array.dtype}")
    dtype = np.dtype(np.uint8 if keep_bytes and array.dtype == np.uint8 else np.float64)
    # The digest is cached, so nothing may change under it: a writable array is copied.
    array = np.array(array, dtype=dtype, order="C", copy=True if array.flags.writeable else None)
    array.setflags(write=False)
    return array
