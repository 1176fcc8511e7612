"""Assertions of the conformance checks: requirements, expected refusals, the first difference of two results."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from mgdhw.errors import ConformanceError, MgdhwError

Error = TypeVar("Error", bound=MgdhwError)


def require(holds: bool, otherwise: str) -> None:
    """Raise ConformanceError with the message `otherwise` unless a condition holds."""
    if not holds:
        raise ConformanceError(otherwise)


def require_equal(ours: Any, theirs: Any, what: str, ours_is: str, theirs_is: str) -> None:
    """Raise ConformanceError with the first difference if two results are not identical."""
    difference = first_difference(ours, theirs)
    require(difference is None, f"{what}: {ours_is} and {theirs_is} differ in {difference}")


async def expect_refusal(request: Awaitable[Any], kind: type[Error], what: str) -> Error:
    """The error with which a request has to be refused.

    Raises:
        ConformanceError: it was accepted, or refused with a different type of error.
    """
    try:
        await request
    except kind as error:
        return error
    except Exception as error:
        raise ConformanceError(
            f"{what} is refused with {type(error).__name__} ({error}), expected {kind.__name__}"
        ) from error
    raise ConformanceError(f"{what} is accepted, expected {kind.__name__}")


def first_difference(ours: Any, theirs: Any, where: str = "") -> str | None:
    """The first place where two results differ, with both values; None if they are equal.

    Descends into dataclasses, mappings and arrays. Arrays have to be equal in shape and values.
    """
    if is_dataclass(ours) and not isinstance(ours, type) and type(ours) is type(theirs):
        names = [field.name for field in fields(ours)]
        parts = [(name, getattr(ours, name), getattr(theirs, name)) for name in names]
    elif isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        parts = [(str(key), ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return _in_arrays(ours, theirs, where)
    else:
        return None if ours == theirs else f"{where or 'value'} ({ours} and {theirs})"
    for name, one, other in parts:
        difference = first_difference(one, other, f"{where}.{name}" if where else name)
        if difference is not None:
            return difference
    return None


def _in_arrays(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], where: str) -> str | None:
    where = where or "element"
    if ours.shape != theirs.shape:
        return f"{where} (shapes {ours.shape} and {theirs.shape})"
    differs = ours != theirs
    if not differs.any():
        return None
    index = tuple(int(i) for i in np.argwhere(differs)[0])
    return f"{where}[{', '.join(map(str, index))}] ({ours[index]} and {theirs[index]})"
