"""Checks of the options that datasets take; they come from experiment files, so any type may turn up."""

from __future__ import annotations

import numpy as np

from mgdhw.errors import DatasetError

_NUMBERS = (int, float, np.integer, np.floating)


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """`value` if it is an integer in low..high (both included), 1e3 among them, else DatasetError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise DatasetError(f"option {name!r} must be a whole number in {low}..{high}, not {value!r}")
    return int(value)


def fraction(name: str, value: object, low: float, high: float) -> float:
    """`value` as a float if it is a number in [low, high], else DatasetError."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not low <= value <= high:
        raise DatasetError(f"option {name!r} must be a number in {low:g}..{high:g}, not {value!r}")
    return float(value)
