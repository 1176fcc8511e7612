from __future__ import annotations

import pytest

from mgdhw_drivers.scpi import Call, Interpreter
from mgdhw_drivers.scpi.headers import Node, spellings
from tests.drivers.scpi.instruments import Supply, ask, codes_of, errors


@pytest.mark.parametrize(
    "header",
    [
        "VOLT 1",
        "volt 1",
        "VOLTAGE 1",
        "VoLtAgE:LeV 1",
        "VOLT:LEVEL 1",
        "SOUR:VOLT 1",
        "SOURCE1:VOLTAGE:LEVEL 1",
        ":SOUR1:VOLT 1",
        "SOUR01:VOLT 1",
        "VOLT1 1",
    ],
)
def test_short_and_long_forms_and_optional_nodes(header: str) -> None:
    supply = Supply()
    ask(header, supply)
    assert errors(supply) == []
    assert supply.volts == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("VOLTA 1", -113),
        ("VOL 1", -113),
        ("SOUR:CURR:VOLT 1", -113),
        ("SOUR", -113),
        ("*FOO", -113),
        ("CURR?", -113),
        ("VOLT2 1", -114),
        ("SOUR5:VOLT 1", -114),
        ("SOUR0:VOLT 1", -114),
        ("SOUR9999999999:VOLT 1", -114),
        ("VERYLONGMNEMONIC 1", -112),
        ("VOLT", -109),
        ("VOLT 1,2", -108),
        ("*RST 1", -108),
        ("VOLT ,1", -103),
        ("VOLT 1,", -103),
        ("VOLT::LEV 1", -110),
        (":", -102),
        ("*", -102),
        ("1VOLT", -110),
        ("VOLT=1", -110),
        ("V\xc3LT 1", -101),
        ("VOLT 'a'", -158),
        ("VOLT #11a", -168),
        ("VOLT (1)", -178),
        ("DATA 1", -128),
        ("DATA ON", -148),
        ("VOLT FOO", -224),
        ("VOLT 10.1", -222),
        ("VOLT INF", -222),
        ("VOLT 1 A", -131),
        ("ANY )", -103),
        ("ANY 'a", -151),
        ("ANY #15a", None),
    ],
)
def test_codes(message: str, code: int | None) -> None:
    """As SCPI-99 has them, volume 2, 21.8; a block that is not complete yet is no mistake yet."""
    assert codes_of(message.encode("latin-1")) == ([] if code is None else [code])


def test_minimum_maximum_default_and_units() -> None:
    supply = Supply()
    ask("SOUR1:VOLT MIN;:SOUR2:VOLT MAXIMUM;:SOUR3:VOLT DEF;:SOUR4:VOLT 10 MV", supply)
    assert supply.volts == [0.0, 10.0, 5.0, 0.01]


def test_suffixes_of_several_nodes() -> None:
    supply = Supply()
    calls: list[Call] = []
    supply.tree.add("A#:B[:C#][:D#:E]", calls.append)
    for message in ("A2:B", "A:B:C3", "A4:B:D5:E", "A6:B:C7:D8:E"):
        ask(message, supply)
    assert errors(supply) == []
    assert [call.suffixes for call in calls] == [(2, 1, 1), (1, 3, 1), (4, 1, 5), (6, 7, 8)]


def test_nodes_with_digits_of_their_own() -> None:
    assert Node.parse("INTeger32") == Node("INT32", "INTEGER32", False)
    supply = Supply()
    calls: list[Call] = []
    supply.tree.add("CHANnel7:MODE", calls.append)
    ask("CHAN7:MODE;:CHANNEL7:MODE", supply)
    assert len(calls) == 2
    assert codes_of("CHAN8:MODE") == [-113]


@pytest.mark.parametrize("pattern", ["VOLT[:LEV", "VOLT]", "voltage", "vOLT", "VO LT!"])
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"expected|bracket|capitals"):
        spellings(pattern)


def test_two_commands_of_one_name() -> None:
    with pytest.raises(ValueError, match="of this name"):
        Supply().tree.add("VOLTage", lambda call: None)


def test_path_rules() -> None:
    """SCPI-99, volume 1, 6.2.4: a unit continues at the level of the one before; a colon goes to the root."""
    supply = Supply()
    connection = Interpreter(supply)
    connection.receive(b"SOUR2:VOLT 1;CURR 2;*CLS;VOLT?;:SOUR3:VOLT 3\n")
    assert errors(supply) == []
    assert supply.volts == [0.0, 1.0, 3.0, 0.0]
    assert supply.calls[0].suffixes == (2,)
    assert connection.receive(b"SOUR2:VOLT 1;*IDN?;VOLT?\n") == b"mgdhw,supply,7,1.0\n"
    assert errors(supply) == [-440]
    supply.status.clear()
    assert connection.receive(b"SYST:ERR:COUN?;NEXT?\n") == b'0;0,"No error"\n'
    connection.receive(b"SOUR2:VOLT:LEV 1;SOUR2:VOLT 2\n")
    assert errors(supply) == [-113]
