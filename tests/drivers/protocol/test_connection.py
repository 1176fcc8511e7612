"""The two state machines, alone and against each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.errors import LinkCorrupt, LinkLost
from mgdhw_drivers.protocol import frames
from mgdhw_drivers.protocol.connection import BoardConnection, HostConnection, HostState
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.numbers import Code, Type


def connected(window: int = 1) -> tuple[HostConnection, BoardConnection]:
    """Both ends, in step."""
    host, board = HostConnection(2**32 - 3), BoardConnection(256)
    host.connect()
    host.verified(window)
    return host, board


def test_a_request_and_its_answer() -> None:
    host, board = connected()
    sequence, data = host.send(Type.STATISTICS)
    assert host.state is HostState.WAITING
    (request,), refusals = board.receive(data)
    (answer,) = host.receive(board.answer(request, b"counts"))
    assert (refusals, answer.sequence, answer.payload) == ([], sequence, b"counts")
    assert host.state is HostState.READY


def test_a_late_answer_answers_no_other_question() -> None:
    host, board = connected()
    late = board.answer(board.receive(host.send(Type.STATISTICS)[1])[0][0], b"late")
    host.poison()
    assert host.state is HostState.UNSURE
    with pytest.raises(LinkLost, match="identify"):
        host.send(Type.STATISTICS)
    host.send(Type.IDENTIFY)
    assert host.receive(late) == []
    assert host.stray == 1


def test_sequence_numbers_skip_zero() -> None:
    host, _ = connected(window=8)
    sequences = [host.send(Type.STATISTICS)[0] for _ in range(5)]
    assert sequences == [2**32 - 2, 2**32 - 1, 1, 2, 3]


def test_no_more_requests_than_the_board_holds() -> None:
    host, _ = connected(window=2)
    host.send(Type.WRITE, b"1")
    host.send(Type.WRITE, b"2")
    host.send(Type.PING)
    with pytest.raises(LinkCorrupt, match="under way"):
        host.send(Type.WRITE, b"3")


def test_an_operation_that_the_line_says_twice_is_done_once() -> None:
    host, board = connected()
    data = host.send(Type.PROBE, bytes(80))[1]
    requests, _ = board.receive(data + data)
    assert len(requests) == 1


def test_unknown_requests_and_versions_are_refused() -> None:
    board = BoardConnection(256)
    other = frames.encode(Frame(2, 9, version=2)) + frames.encode(Frame(0x40, 10))
    requests, refusals = board.receive(other)
    host, _ = connected()
    assert requests == []
    assert len(refusals) == 2
    decoded = [frames.decode(refusal[:-1]) for refusal in refusals]
    assert [frame.payload[0] for frame in decoded] == [Code.VERSION, Code.UNKNOWN]
    with pytest.raises(LinkCorrupt, match="version 2"):
        host.receive(frames.encode(Frame(0x82, 1, version=2)))


def test_an_answer_of_another_kind_is_no_answer() -> None:
    host, board = connected()
    sequence, _ = host.send(Type.STATISTICS)
    assert host.receive(board.answer(Frame(Type.READ, sequence))) == []
    assert host.awaited == 1


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_random_bytes_raise_nothing_but_typed_errors(seed: int) -> None:
    draw = random.Random(seed)
    host, board = connected(window=4)
    for _ in range(2000):
        for kind in (Type.WRITE, Type.PROBE):
            if host.awaited < 4:
                host.send(kind, draw.randbytes(20))
        frame = Frame(
            draw.choice([0x82, 0x8B, 0xFE, 0xFF, 6, 11, 99]),
            draw.choice([*host.outstanding(), 0, 5]),
            draw.randbytes(draw.randrange(40)),
            version=draw.choice([1, 1, 1, 1, 1, 1, 1, 2]),
        )
        data = frames.encode(frame) if draw.random() < 0.7 else draw.randbytes(draw.randrange(1, 300))
        try:
            host.receive(data)
        except LinkCorrupt:
            host.connect()
            host.verified(4)
        board.receive(data)
        assert host.awaited <= 4
