"""What checks are made of: demands, refusals, and the first difference of two answers."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from mgdhw.errors import ConformanceError, MgdhwError

Error = TypeVar("Error", bound=MgdhwError)


def demand(holds: bool, otherwise: str) -> None:
    """Raise ConformanceError, which says `otherwise`, unless something holds."""
    if not holds:
        raise ConformanceError(otherwise)


def demand_same(ours: Any, theirs: Any, what: str, ours_is: str, theirs_is: str) -> None:
    """Raise ConformanceError where two answers differ in a bit, with the first place where they do."""
    difference = first_difference(ours, theirs)
    demand(difference is None, f"{what}: {ours_is} and {theirs_is} differ at {difference}")


async def refusal(request: Awaitable[Any], kind: type[Error], what: str) -> Error:
    """The error that a request has to be refused with.

    Raises:
        ConformanceError: it was not refused, or with another kind of error.
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
    """The first place where two answers differ, with both values; None if there is none.

    Looks into dataclasses, mappings and arrays. Arrays have to be equal in shape and values.
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
