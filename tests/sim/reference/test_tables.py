"""The chip's tables: right to the last unit, whatever the precision they are computed with."""

from decimal import Context
from math import exp, log1p, tanh

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.codes import sinusoidal
from mgdhw_sim.reference import tables
from mgdhw_sim.reference.tables import ACTIVATIONS, activation_table, exp_table, log_table
from tests.sim.reference import referee, referee_codes

WIDTHS = [(12, 5, 4), (16, 12, 8), (24, 20, 12), (24, 23, 5)]
PARTS = [pytest.param(name, *width, id=f"{name}-{width[0]}") for name in ACTIVATIONS for width in WIDTHS]


@pytest.mark.parametrize(("activation", "signal_bits", "fraction_bits", "lut_bits"), PARTS)
def test_a_curve_is_within_half_a_unit_and_ends_where_it_should(
    activation: str, signal_bits: int, fraction_bits: int, lut_bits: int
) -> None:
    table = activation_table(activation, signal_bits, fraction_bits, lut_bits)
    half = 1 << (signal_bits - 1)
    z = np.linspace(-half, half, (1 << lut_bits) + 1) / 2**fraction_bits
    f = {
        "logistic": lambda x: 1 / (1 + exp(-x)),
        "tanh": tanh,
        "relu": lambda x: max(x, 0.0),
        "identity": lambda x: x,
    }[activation]
    exact = np.minimum([f(x) * 2**fraction_bits for x in z.tolist()], half - 1)
    assert np.abs(table - exact).max() <= 0.5 + 1e-6
    assert np.all(np.diff(table) >= 0)
    assert -half <= table[0]
    assert table[-1] <= half - 1


@pytest.mark.parametrize(("signal_bits", "fraction_bits", "lut_bits"), WIDTHS)
def test_curves_are_symmetric_where_they_should_be(signal_bits: int, fraction_bits: int, lut_bits: int) -> None:
    """But for the top, which is one unit short of the range; an exact half would be rounded up on both sides."""
    logistic = activation_table("logistic", signal_bits, fraction_bits, lut_bits)[1:-1]
    assert_array_equal(logistic + logistic[::-1], np.full(logistic.size, 1 << fraction_bits))
    for name in ("tanh", "identity"):
        odd = activation_table(name, signal_bits, fraction_bits, lut_bits)[1:-1]
        assert_array_equal(odd, -odd[::-1])


def test_exponential_and_logarithm_are_within_half_a_unit() -> None:
    table = exp_table(16, 12)
    assert np.abs(table - [exp(-k * 2.0**-6) * 2**16 for k in range(1025)]).max() <= 0.5 + 1e-6
    assert (table[0], np.all(np.diff(table) <= 0), table[-1] >= 0) == (2**16, True, True)
    table = log_table(24)
    assert np.abs(table - [log1p(k / 1024) * 2**24 for k in range(1025)]).max() <= 0.5 + 1e-6
    assert (table[0], np.all(np.diff(table) > 0)) == (0, True)


def test_the_sine_table_is_the_referees() -> None:
    table = sinusoidal.sine_table()
    assert_array_equal(table, referee_codes.sine_table())
    assert (table[0], table[1024], table[2048], table[3072]) == (0, 32767, 0, -32767)
    assert_array_equal(table[1:2048], -table[:2048:-1])


@pytest.mark.parametrize(("activation", "signal_bits", "fraction_bits", "lut_bits"), PARTS)
def test_curves_are_the_referees_at_80_digits(
    activation: str, signal_bits: int, fraction_bits: int, lut_bits: int
) -> None:
    expected = referee.neuron_table(activation, signal_bits, fraction_bits, lut_bits, digits=80)
    assert_array_equal(activation_table(activation, signal_bits, fraction_bits, lut_bits), expected)


@pytest.mark.parametrize("digits", [30, 80])
def test_tables_do_not_depend_on_the_precision(monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """No entry is so close to a half that 50 digits wouldn't decide it."""
    made = [exp_table(24, 20), log_table(32), log_table(35), exp_table(12, 5), activation_table("logistic", 20, 16, 7)]
    monkeypatch.setattr(tables, "_CONTEXT", Context(prec=digits))
    again = [
        exp_table.__wrapped__(24, 20),
        log_table.__wrapped__(32),
        log_table.__wrapped__(35),
        exp_table.__wrapped__(12, 5),
        activation_table.__wrapped__("logistic", 20, 16, 7),
    ]
    for one, other in zip(made, again, strict=True):
        assert_array_equal(one, other)


def test_nobody_can_write_into_a_table() -> None:
    for table in (exp_table(16, 12), log_table(24), activation_table("tanh", 16, 12, 8), sinusoidal.sine_table()):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
