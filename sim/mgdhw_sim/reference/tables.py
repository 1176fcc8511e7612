"""Integer tables of the chip: activation curves, and the exponential and logarithm of its cross-entropy unit.

Every entry is a correctly rounded decimal computation turned into an integer (half up), so a table is the same on
every machine: no mathematics library takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw_sim.points import Points

_CONTEXT = Context(prec=50)

EXP_BITS = 10
"""Segments of the exponential's and the logarithm's table, as a power of two."""
EXP_FRACTION_BITS = 16
"""Fraction bits of exp(-d)."""
LOG_SEGMENT_BITS = 20
"""Bits of a normalised mantissa below its segment's number."""
MANTISSA_BITS = EXP_BITS + LOG_SEGMENT_BITS
COST_FINE_BITS = 8
"""Fraction bits that the cost of one output has more than a cost code, where a table makes it."""


def _logistic(z: Decimal) -> Decimal:
    return 1 / (1 + (-z).exp())


def _tanh(z: Decimal) -> Decimal:
    return 1 - 2 / (1 + (2 * z).exp())


def _relu(z: Decimal) -> Decimal:
    return max(z, Decimal(0))


def _identity(z: Decimal) -> Decimal:
    return z


ACTIVATIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "logistic": _logistic,
    "tanh": _tanh,
    "relu": _relu,
    "identity": _identity,
}


def _rounded(value: Decimal) -> int:
    return int((value + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def _table(entries: list[int]) -> IntArray:
    table = np.array(entries, dtype=np.int64)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=32)
def activation_table(activation: str, signal_bits: int, fraction_bits: int, lut_bits: int) -> IntArray:
    """Activation at the 2**lut_bits + 1 borders of the segments of [-range, range), as signals."""
    top = (1 << (signal_bits - 1)) - 1
    with localcontext(_CONTEXT):
        one = Decimal(1 << fraction_bits)
        segment = 1 << (signal_bits - lut_bits)
        borders = (Decimal(i * segment - (1 << (signal_bits - 1))) / one for i in range((1 << lut_bits) + 1))
        return _table([min(top, _rounded(ACTIVATIONS[activation](z) * one)) for z in borders])


@lru_cache(maxsize=32)
def points_table(points: Points, signal_bits: int, fraction_bits: int, lut_bits: int) -> IntArray:
    """A curve given by points, at the borders of `activation_table`, as signals."""
    half, segment = 1 << (signal_bits - 1), 1 << (signal_bits - lut_bits)
    borders = (Fraction(k * segment - half, 1 << fraction_bits) for k in range((1 << lut_bits) + 1))
    return _table([min(max(_half_up(points.at(z), fraction_bits), -half), half - 1) for z in borders])


@lru_cache(maxsize=32)
def cost_table(
    points: Points, signal_bits: int, fraction_bits: int, lut_bits: int, cost_bits: int, cost_fraction_bits: int
) -> IntArray:
    """Cost of an error at the 2**(lut_bits + 1) + 1 borders of the segments of [-2 range, 2 range).

    Args:
        points: the cost, by the error in signal units.
        signal_bits, fraction_bits, lut_bits: of signals, and of activation curves, whose segments are as wide.
        cost_bits: of the cost converter; no entry is more than its full scale.
        cost_fraction_bits: of a cost code; an entry has `COST_FINE_BITS` more.
    """
    segment, full = 1 << (signal_bits - lut_bits), 1 << (cost_bits + COST_FINE_BITS)
    errors = (Fraction(k * segment - (1 << signal_bits), 1 << fraction_bits) for k in range((2 << lut_bits) + 1))
    return _table([min(_half_up(points.at(e), cost_fraction_bits + COST_FINE_BITS), full) for e in errors])


def _half_up(value: Fraction, fraction_bits: int) -> int:
    """The integer with so many fraction bits that is nearest to a number; of two, the greater."""
    scaled = value * Fraction(2) ** fraction_bits
    return (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)


@lru_cache(maxsize=4)
def exp_table(signal_bits: int, fraction_bits: int) -> IntArray:
    """exp(-d) for d at the 2**EXP_BITS + 1 borders of the segments of [0, 2**signal_bits), 16 fraction bits."""
    with localcontext(_CONTEXT):
        segment = Decimal(1 << (signal_bits - EXP_BITS)) / Decimal(1 << fraction_bits)
        return _table([_rounded((-i * segment).exp() * (1 << EXP_FRACTION_BITS)) for i in range((1 << EXP_BITS) + 1)])


@lru_cache(maxsize=4)
def log_table(fraction_bits: int) -> IntArray:
    """ln(1 + i / 2**EXP_BITS) for i = 0 ... 2**EXP_BITS; the last entry is ln 2."""
    with localcontext(_CONTEXT):
        one = Decimal(1 << EXP_BITS)
        return _table([_rounded((1 + i / one).ln() * (1 << fraction_bits)) for i in range((1 << EXP_BITS) + 1)])
