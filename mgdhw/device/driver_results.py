"""Validation of the values that a driver's methods return."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceFault
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.parsing import short_repr

LARGEST_COST = 2**63 - 1
"""Largest integer cost: more than any converter and batch add up to."""


def checked_cost(value: object, uri: str) -> int | float:
    """The cost that `measure` returned: one number. Raises DeviceFault."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.shape):
        value = value.item()
    if isinstance(value, float) or (type(value) is int and abs(value) <= LARGEST_COST):
        return value
    raise DeviceFault(
        f"its driver's measure() returned {describe_answer(value)}; expected one number, the cost summed over the"
        " samples",
        uri=uri,
    )


def checked_parameters(value: object, count: int, method: str, uri: str) -> FloatArray:
    """A copy of the (count,) parameters that `apply` or `read` returned. Raises DeviceFault."""
    return _array(value, (count,), f"{method}() returned", "the actual value of each parameter", uri)


def checked_outputs(value: object, samples: int, n_outputs: int, uri: str, method: str = "infer") -> FloatArray:
    """The (samples, n_outputs) outputs that a method returned; values are not checked. Raises DeviceFault."""
    return _array(value, (samples, n_outputs), f"{method}() returned", "the outputs for each sample", uri)


def check_segment_result(result: SegmentResult, segment: Segment, uri: str) -> None:
    """Raise DeviceFault if what `learn` returned cannot be the result of this segment."""
    if not np.isfinite(result.cost) or result.state.step != segment.state.step + segment.n_probes:
        raise DeviceFault(f"its result of a segment from probe {segment.state.step} makes no sense", uri=uri)


def describe_answer(value: object) -> str:
    """A returned value, as shown in errors."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} of {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return short_repr(value)


def _array(value: object, shape: tuple[int, ...], did: str, meaning: str, uri: str) -> FloatArray:
    found: NDArray[Any] | None
    try:
        found = np.array(value)
    except (ValueError, TypeError):  # rows of different lengths
        found = None
    if found is None or found.shape != shape or found.dtype.kind not in "iuf":
        raise DeviceFault(
            f"its driver's {did} {describe_answer(value)}; expected an array of shape {shape}: {meaning}", uri=uri
        )
    return found.astype(np.float64, copy=False)
