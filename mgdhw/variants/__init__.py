"""What comes in variants - code families, optimizers, nonidealities: each is declared once, in a file of its own."""

from __future__ import annotations

from mgdhw.variants.numbers import (
    FINITE,
    FROM_0_TO_BELOW_1,
    NOT_NEGATIVE,
    Interval,
    check_number,
    interval_of,
    number,
)
from mgdhw.variants.registry import variants

__all__ = [
    "FINITE",
    "FROM_0_TO_BELOW_1",
    "NOT_NEGATIVE",
    "Interval",
    "check_number",
    "interval_of",
    "number",
    "variants",
]
