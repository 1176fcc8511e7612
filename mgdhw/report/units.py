"""Quantities for people, and from them: 200 ms, 5.6 h, 31 µJ."""

from __future__ import annotations

import math
import re

PREFIXES = ("f", "p", "n", "µ", "m", "", "k", "M", "G", "T")
_ONE = PREFIXES.index("")
_QUANTITY = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)")


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


def parse_quantity(value: object, unit: str) -> float:
    """A number in a unit from text with a prefix, such as "100 mV" or "5 us"; a number is in the unit already.

    Args:
        value: from a file or a command line.
        unit: such as "V" or "s"; "" for a number without unit.

    Raises:
        ValueError: it is none, or in another unit; the message has an example.
    """
    example = f'expected a quantity in {unit}, such as "100 m{unit}"' if unit else "expected a number"
    if isinstance(value, int | float) and not isinstance(value, bool):
        number, prefix = float(value), ""
    else:
        found = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        rest = "" if found is None else found[2]
        if found is None or not rest.endswith(unit):
            raise ValueError(example)
        number, prefix = float(found[1]), rest.removesuffix(unit).replace("μ", "µ").replace("u", "µ")
        if prefix not in PREFIXES:
            raise ValueError(example)
    power = PREFIXES.index(prefix) - _ONE
    # 3 * 0.001 is not 0.003 in floating point, but 3 / 1000 is.
    scaled = number / 1000.0**-power if power < 0 else number * 1000.0**power
    if not math.isfinite(scaled):
        raise ValueError(example)
    return scaled
