"""What a driver answers, before it is believed: drivers are written by people who have much else to think of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceFault
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.parsing import short_repr

LARGEST_COST = 2**63 - 1
"""Of a cost that is an integer: more than any converter and batch add up to."""


def checked_cost(answer: object, uri: str) -> int | float:
    """The cost that `measure` answered: one number. Raises DeviceFault."""
    if isinstance(answer, np.generic) or (isinstance(answer, np.ndarray) and not answer.shape):
        answer = answer.item()
    if isinstance(answer, float) or (type(answer) is int and abs(answer) <= LARGEST_COST):
        return answer
    raise DeviceFault(
        f"its driver's measure() answered {describe_answer(answer)}; expected one number, the cost summed over the"
        " samples",
        uri=uri,
    )


def checked_parameters(answer: object, count: int, method: str, uri: str) -> FloatArray:
    """A copy of the (count,) parameters that `apply` or `read` answered. Raises DeviceFault."""
    return _array(answer, (count,), f"{method}() answered", "what each parameter really is", uri)


def checked_outputs(answer: object, samples: int, n_outputs: int, uri: str, method: str = "infer") -> FloatArray:
    """The (samples, n_outputs) outputs that a method answered, whatever their values are. Raises DeviceFault."""
    return _array(answer, (samples, n_outputs), f"{method}() answered", "the outputs for each sample", uri)


def check_segment_result(result: SegmentResult, segment: Segment, uri: str) -> None:
    """Raise DeviceFault if what `learn` answered cannot be the result of this segment."""
    if not np.isfinite(result.cost) or result.state.step != segment.state.step + segment.n_probes:
        raise DeviceFault(f"its answer to a segment from probe {segment.state.step} makes no sense", uri=uri)


def describe_answer(answer: object) -> str:
    """An answer, as an error shows it."""
    if isinstance(answer, np.ndarray):
        return f"an array of shape {answer.shape} of {answer.dtype}"
    if isinstance(answer, list | tuple):
        return f"a {type(answer).__name__} of {len(answer)}"
    return short_repr(answer)


def _array(answer: object, shape: tuple[int, ...], did: str, meaning: str, uri: str) -> FloatArray:
    found: NDArray[Any] | None
    try:
        found = np.array(answer)
    except (ValueError, TypeError):  # rows of different lengths
        found = None
    if found is None or found.shape != shape or found.dtype.kind not in "iuf":
        raise DeviceFault(
            f"its driver's {did} {describe_answer(answer)}; expected an array of shape {shape}: {meaning}", uri=uri
        )
    return found.astype(np.float64, copy=False)
