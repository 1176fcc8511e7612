from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw_drivers.scpi import Call, Interpreter, ScpiError
from mgdhw_drivers.scpi import interpreter as interpreter_module
from tests.drivers.scpi.instruments import Supply, ask, errors


def test_replies_of_one_message_are_joined() -> None:
    assert ask("VOLT 1;VOLT?;CURR 2;*STB?;*ESR?") == "1.0;16;128"


def test_after_a_command_error_the_rest_of_a_message_is_dropped_after_others_not() -> None:
    supply = Supply()
    assert ask("VOLT 11;VOLT 2;FOO;VOLT 3;VOLT?", supply) == ""
    assert supply.volts[0] == 2.0
    assert errors(supply) == [-222, -113]


def test_blocks_may_contain_anything() -> None:
    data = bytes(range(256)) + b";\n'\"#,"
    supply = Supply()
    connection = Interpreter(supply)
    sent = b"DATA #3%d" % len(data) + data + b" ;*OPC?\r\n"
    assert connection.receive(sent) == b"1\n"
    assert supply.block == data
    assert connection.receive(b"DATA?\n") == b"#3%d" % len(data) + data + b"\n"


def test_blocks_end_with_their_last_byte() -> None:
    supply = Supply()
    ask(b"DATA #15ab \r ;DATA?", supply)
    assert supply.block == b"ab \r "


def test_coroutine_handlers() -> None:
    supply = Supply()

    async def slow(call: Call) -> float:
        await asyncio.sleep(0)
        return 0.5

    async def broken(call: Call) -> float:
        await asyncio.sleep(0)
        raise ScpiError(-240, "lamp")

    supply.tree.add("SLOW?", slow)
    supply.tree.add("BROKen?", broken)
    connection = Interpreter(supply)

    async def replies(data: bytes) -> list[bytes]:
        return [reply async for reply in connection.replies(data)]

    assert asyncio.run(replies(b"SLOW?;*OPC?\nBROK?;SLOW?\n*ESR?\nSL")) == [b"0.5;1\n", b"0.5\n", b"144\n"]
    assert errors(supply) == [-240]
    coroutines = []
    supply.tree.add("KEPT?", lambda call: coroutines.append(slow(call)) or coroutines[-1])  # type: ignore[func-returns-value]
    with pytest.raises(TypeError, match="replies"):
        connection.receive(b"\nKEPT?\n")
    coroutines[0].close()


def test_nothing_behind_a_stranger_is_executed() -> None:
    supply = Supply()
    connection = Interpreter(supply)
    connection.receive(b"VOLT 1\nGET / HTTP/1.1\nVOLT 2\n")
    assert connection.hang_up
    connection.receive(b"VOLT 3\n")
    assert supply.volts[0] == 1.0


def test_the_answers_to_one_message_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter_module, "LONGEST_REPLY", 100)
    supply = Supply()
    supply.block = bytes(60)
    assert ask("DATA?;DATA?;DATA?", supply) == ""
    assert errors(supply) == [-430]
    assert ask("*STB?", supply) == "4"


def test_a_message_too_long_is_reported_in_its_turn() -> None:
    supply = Supply()
    connection = Interpreter(supply, 600)
    assert connection.receive(b"FOO\nDATA #41000" + bytes(1000) + b";VOLT 1\nBAR\n*OPC?\n") == b"1\n"
    assert errors(supply) == [-113, -223, -113]


def test_what_transports_report() -> None:
    supply = Supply()
    connection = Interpreter(supply)
    connection.interrupted()
    connection.unterminated()
    assert errors(supply) == [-410, -420]
    assert ask("*ESR?", supply) == str(128 + 4)
    connection.receive(b"DATA #9")
    connection.clear()
    assert connection.receive(b"*OPC?\n") == b"1\n"


PIECES = st.sampled_from(
    [
        b"*IDN?",
        b"VOLT ",
        b"VOLT?",
        b"SOUR2:",
        b"DATA ",
        b"#15a\n;'b",
        b"#",
        b"#0",
        b"#3",
        b"#9000001000",
        b"#HFF",
        b"1.5",
        b"e3",
        b" MV",
        b"(@1:3)",
        b"(",
        b")",
        b"'",
        b'"',
        b",",
        b";",
        b":",
        b"\n",
        b"\n",
        b"\r\n",
        b"SYST:ERR?",
        b"GET /",
        b" HTTP/1.1",
        b"Host: ",
        b"A" * 300,
        b" " * 300,
        b"ANY ",
        b"ARR?",
    ]
)
STREAMS = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=40).map(b"".join)


def outcome(
    stream: bytes, cuts: list[int], ends: bool = False
) -> tuple[bytes, bool, list[tuple[int, str]], list[float]]:
    supply = Supply()
    connection = Interpreter(supply, 600, marks_end=ends)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    replies = b"".join(connection.receive(stream[a:b]) for a, b in itertools.pairwise(places))
    if ends:
        replies += connection.receive(b"", end=True)
    return replies, connection.hang_up, list(supply.status.errors), supply.volts


@given(STREAMS, st.lists(st.integers(0, 400), max_size=20), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_cut_of_a_stream_gives_the_same(stream: bytes, cuts: list[int], ends: bool) -> None:
    whole = outcome(stream, [], ends)
    assert outcome(stream, cuts, ends) == whole
    assert outcome(stream, list(range(len(stream))), ends) == whole


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_random_bytes_raise_nothing(stream: bytes) -> None:
    supply = Supply()
    Interpreter(supply, 600).receive(stream)
    assert all(-500 < code < 0 for code in errors(supply))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=20))
def test_numbers_survive_both_ways(values: list[float]) -> None:
    supply = Supply()
    supply.tree.add("ECHO?", lambda call: call.numbers(), (1, None))
    reply = ask("ECHO? " + ",".join(map(repr, values)), supply)
    np.testing.assert_array_equal([float(text) for text in reply.split(",")], values)
