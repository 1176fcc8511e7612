from __future__ import annotations

import pytest

from mgdhw_drivers.scpi.arguments import Argument, Block, Expression, Number, String, Word, parse_argument
from mgdhw_drivers.scpi.channels import parse_channels
from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.units import in_unit


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"1", Number(1.0)),
        (b"-1.5", Number(-1.5)),
        (b"+.5", Number(0.5)),
        (b"5.", Number(5.0)),
        (b"1E3", Number(1000.0)),
        (b"1.5e-3", Number(0.0015)),
        (b"1.5 E -3", Number(0.0015)),
        (b"10 MV", Number(10.0, "MV")),
        (b"5us", Number(5.0, "US")),
        (b"3EX", Number(3.0, "EX")),
        (b"2 V/S", Number(2.0, "V/S")),
        (b"#HFF", Number(255.0)),
        (b"#hff", Number(255.0)),
        (b"#Q17", Number(15.0)),
        (b"#B1011", Number(11.0)),
        (b"MINimum", Word("MINimum")),
        (b"ON", Word("ON")),
        (b"'a,b;c'", String("a,b;c")),
        (b"'it''s'", String("it's")),
        (b'"say ""yes"""', String('say "yes"')),
        (b"''", String("")),
        (b"#13abc", Block(b"abc")),
        (b"#210\n;'\"#,() \x00", Block(b"\n;'\"#,() \x00")),
        (b"#10", Block(b"")),
        (b"#0abc\n", Block(b"abc")),
        (b"(@1:13,20)", Expression("@1:13,20")),
    ],
)
def test_arguments_of_the_standard(sent: bytes, expected: Argument) -> None:
    assert parse_argument(sent) == expected


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"1.2.3", -121),
        (b"1E", None),  # a unit E, which no parameter has
        (b"1E99999", -123),
        (b"1E999", -123),
        (b"1" * 300, -124),
        (b"1 VOLTSANDMORES", -134),
        (b"#HXY", -121),
        (b"#", -121),
        (b"&", -102),
        (b"A-B", -141),
        (b"A" * 65, -144),
        (b"'abc", -151),
        (b"'a'b'", -151),
        (b"#3100abc", -161),
        (b"#13abcd", -161),
        (b"(@1", -171),
        (b"\xff", -101),
    ],
)
def test_what_is_none(sent: bytes, code: int | None) -> None:
    if code is None:
        parse_argument(sent)
        return
    with pytest.raises(ScpiError) as caught:
        parse_argument(sent)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("value", "sent", "unit", "expected"),
    [
        (10.0, "MV", "V", 0.01),
        (5.0, "US", "S", 5e-6),
        (10.0, "MHZ", "HZ", 1e7),
        (1.0, "MOHM", "OHM", 1e6),
        (1.0, "MAHZ", "HZ", 1e6),
        (1.0, "KOHM", "OHM", 1e3),
        (3.0, "MA", "A", 3e-3),
        (3.0, "MAA", "A", 3e6),
        (3.0, "UA", "A", 3e-6),
        (2.0, "MV/S", "V/S", 2e-3),
        (1.0, "", "V", 1.0),
        (1.0, "GHZ", "HZ", 1e9),
        (7.0, "NS", "S", 7e-9),
    ],
)
def test_units_and_multipliers(value: float, sent: str, unit: str, expected: float) -> None:
    assert in_unit(value, sent, unit) == expected


@pytest.mark.parametrize(("sent", "unit", "code"), [("V", "", -138), ("A", "V", -131), ("XV", "V", -131)])
def test_wrong_units(sent: str, unit: str, code: int) -> None:
    with pytest.raises(ScpiError) as caught:
        in_unit(1.0, sent, unit)
    assert caught.value.code == code


def test_channel_lists() -> None:
    assert parse_channels("@1:3,20", 20) == (1, 2, 3, 20)
    assert parse_channels("@3:1", 4) == (3, 2, 1)
    assert parse_channels(" 1 , 2 : 3 ", 4) == (1, 2, 3)


@pytest.mark.parametrize(
    ("expression", "code"),
    [("@0", -222), ("@1:21", -222), ("@", -171), ("@1,,2", -171), ("@a", -171), ("@1:2:3", -171)],
)
def test_wrong_channel_lists(expression: str, code: int) -> None:
    with pytest.raises(ScpiError) as caught:
        parse_channels(expression, 20)
    assert caught.value.code == code


def test_channel_lists_are_bounded() -> None:
    with pytest.raises(ScpiError) as caught:
        parse_channels("@" + ",".join(["1:1000"] * 1000), 1000)
    assert caught.value.code == -223
