from __future__ import annotations

import math

import numpy as np
import pytest

from mgdhw_drivers.scpi import DataFormat, DataType, Interpreter, ScpiError, quoted
from mgdhw_drivers.scpi.blocks import definite_block
from mgdhw_drivers.scpi.replies import Reply, reply_bytes
from tests.drivers.scpi.instruments import Supply, ask, codes_of


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("NORM", b"NORM"),
        (1, b"1"),
        (True, b"1"),
        (1.0, b"1.0"),
        (-2.5e-9, b"-2.5E-09"),
        (math.inf, b"9.9E+37"),
        (-math.inf, b"-9.9E+37"),
        (math.nan, b"9.91E+37"),
        (b"a\nb", b"#13a\nb"),
        ((1, "A", b""), b"1,A,#10"),
        (np.array([1.5, math.inf]), b"1.5,9.9E+37"),
        (np.array([1, 2]), b"1,2"),
        (None, b""),
    ],
)
def test_replies(reply: Reply, expected: bytes) -> None:
    assert reply_bytes(reply, DataFormat()) == expected


@pytest.mark.parametrize("data_type", [kind for kind in DataType if kind is not DataType.ASCII])
@pytest.mark.parametrize("swapped", [False, True])
def test_arrays_as_blocks(data_type: DataType, swapped: bool) -> None:
    form = DataFormat(data_type, swapped)
    values = np.array([1.0, -2.0, 300.0])
    block = form.to_bytes(values)
    header = 2 + int(block[1:2])
    np.testing.assert_array_equal(np.frombuffer(block[header:], form.dtype()), values)
    np.testing.assert_array_equal(form.from_block(block[header:]), values)


def test_format_commands() -> None:
    supply = Supply()
    connection = Interpreter(supply)
    assert connection.receive(b"FORM?;:FORM:BORD?\n") == b"ASC;NORM\n"
    assert connection.receive(b"FORM:DATA REAL,32;BORD SWAP;DATA?;BORD?\n") == b"REAL,32;SWAP\n"
    assert connection.receive(b"ARR?\n") == definite_block(np.array([1.0, -2.5, 1e-5], "<f4").tobytes()) + b"\n"
    assert (
        connection.receive(b"FORMAT:DATA INTEGER,16;:ARR?\n")
        == definite_block(np.array([1, -2, 0], "<i2").tobytes()) + b"\n"
    )
    assert connection.receive(b"FORM REAL;:FORM?;:FORM INT;:FORM?\n") == b"REAL,64;INT,32\n"
    assert connection.receive(b"*RST;:FORM?;:FORM:BORD?;:ARR?\n") == b"ASC;NORM;1.0,-2.5,1E-05\n"
    assert codes_of("FORM REAL,16") == [-224]
    assert codes_of("FORM FOO") == [-224]


def test_what_does_not_fit() -> None:
    with pytest.raises(ScpiError, match="fit"):
        DataFormat(DataType.INT16).to_bytes(np.array([40_000]))
    with pytest.raises(ScpiError, match="fit"):
        DataFormat(DataType.INT16).to_bytes(np.array([math.nan]))
    with pytest.raises(ScpiError, match="whole"):
        DataFormat(DataType.REAL32).from_block(b"abc")
    with pytest.raises(ScpiError, match="ASCii"):
        DataFormat().from_block(b"abcd")


def test_quotes_are_doubled() -> None:
    assert quoted('a"b') == '"a""b"'
    assert ask("SYST:ERR?") == '0,"No error"'
