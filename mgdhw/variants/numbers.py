"""The numbers of a variant: dataclass fields that carry their range and what they are."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any

LARGEST = 1e300
"""Finite, and so is its square's root; an integer up to here is a float, too."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The values that a number may take.

    Args:
        low, high: its ends.
        open_high: whether the upper end itself is excluded.
        text: how an error says it, after "expected a number ".
    """

    low: float = -LARGEST
    high: float = LARGEST
    open_high: bool = False
    text: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value < self.high if self.open_high else self.low <= value <= self.high


FINITE = Interval(text="that is finite")
NOT_NEGATIVE = Interval(low=0.0, text="of 0 or more")
FROM_0_TO_BELOW_1 = Interval(low=0.0, high=1.0, open_high=True, text="from 0 to below 1")


def number(default: float, interval: Interval, doc: str) -> Any:
    """A dataclass field: its default, its range, and one line about it."""
    return field(default=default, metadata={"interval": interval, "doc": doc})


def interval_of(declared: Field[Any]) -> Interval:
    """The range of a field."""
    found: Interval = declared.metadata.get("interval", FINITE)
    return found


def check_number(value: object, declared: Field[Any]) -> None:
    """Raise ValueError, with what was expected, unless a value is of a field's type and within its range."""
    if isinstance(declared.default, bool):
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise ValueError("expected a finite number")
    if value not in interval_of(declared):
        raise ValueError(f"expected a number {interval_of(declared).text}")
