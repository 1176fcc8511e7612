"""Of the referee (`referee.py`): the notation of docs/chip.md."""

from decimal import ROUND_FLOOR, Decimal
from math import floor


def rshift(a: int, n: int) -> int:
    return (a + (1 << (n - 1))) >> n if n > 0 else a << -n


def clip(a: int, lo: int, hi: int) -> int:
    return min(max(a, lo), hi)


def sat(a: int, bits: int) -> int:
    return clip(a, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def dac(value: float, fraction_bits: int, lo: int, hi: int) -> int:
    return clip(floor(value * 2.0**fraction_bits + 0.5), lo, hi)


def log2(power_of_two: float) -> int:
    exponent = 0
    while power_of_two > 2**exponent:
        exponent += 1
    while power_of_two < 2.0**exponent:
        exponent -= 1
    assert power_of_two == 2.0**exponent
    return exponent


def nearest(value: Decimal) -> int:
    return int((value + Decimal("0.5")).to_integral_value(rounding=ROUND_FLOOR))
