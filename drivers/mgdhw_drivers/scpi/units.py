"""Units and their multipliers: `10 MV` is 0.01 V, `5 US` 5e-6 s, but `10 MHZ` 1e7 Hz (IEEE 488.2, 7.7.3)."""

from __future__ import annotations

from typing import Final

from mgdhw_drivers.scpi.errors import ScpiError

MULTIPLIERS: Final[dict[str, float]] = {
    "": 1.0,
    "EX": 1e18,
    "PE": 1e15,
    "T": 1e12,
    "G": 1e9,
    "MA": 1e6,
    "K": 1e3,
    "M": 1e-3,
    "U": 1e-6,
    "N": 1e-9,
    "P": 1e-12,
    "F": 1e-15,
    "A": 1e-18,
}
MEGA: Final = frozenset({"HZ", "OHM"})
"""Units whose `M` means mega: a millihertz has to be written as a number."""


def in_unit(value: float, sent: str, unit: str) -> float:
    """A number in the unit of its parameter.

    Args:
        value: as sent.
        sent: unit that it was sent with, in capitals; empty: the parameter's own.
        unit: the parameter's unit, in capitals, such as `V`, `HZ`, `V/S`; empty if it has none.

    Raises:
        ScpiError: it is another unit, or the parameter has none.
    """
    if not sent:
        return value
    if not unit:
        raise ScpiError(-138, sent)
    multiplier = sent.removesuffix(unit) if sent.endswith(unit) else None
    if multiplier not in MULTIPLIERS:
        raise ScpiError(-131, f"{sent}; expected {unit}")
    if multiplier == "M" and unit in MEGA:
        return value * 1e6
    factor = MULTIPLIERS[multiplier]
    return value * factor if factor >= 1 else value / round(1 / factor)  # 10 MV is 10 / 1000, rounded once
