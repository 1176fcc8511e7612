"""Quantities for people: 200 ms, 5.6 h, 31 µJ."""

from __future__ import annotations

import math

PREFIXES = ("f", "p", "n", "µ", "m", "", "k", "M", "G", "T")
_ONE = PREFIXES.index("")


def quantity(value: float, unit: str) -> str:
    """A value with a prefix and two significant digits: an estimate has no more."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = math.floor(math.log10(abs(float(f"{value:.1e}"))) / 3)
    power = max(-_ONE, min(power, len(PREFIXES) - 1 - _ONE))
    return f"{_two_digits(value / 1000.0**power)} {PREFIXES[_ONE + power]}{unit}"


def span(seconds: float) -> str:
    """A time of any length: 4 ms, 12 min, 5.6 h, 31 d."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= (2 * size if unit == "d" else size):
            return f"{_two_digits(seconds / size)} {unit}"
    return quantity(seconds, "s")


def _two_digits(value: float) -> str:
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:g}"
