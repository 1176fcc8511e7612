from __future__ import annotations

import tracemalloc

import pytest

from mgdhw_drivers.scpi.message_reader import MessageReader


def messages(reader: MessageReader, *pieces: bytes, end: bool = False) -> list[bytes]:
    """Messages that complete with pieces; a dropped one is `b"too long"`."""
    found = []
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                message = reader.next_message(end)
            except OverflowError:
                message = b"too long"
            if message is None:
                break
            found.append(message)
    return found


def test_newlines_end_messages_but_not_in_blocks() -> None:
    sent = b"*IDN?\nDATA #15a\nb\nc;*OPC?\nFOO 'a;b\nBAR #HA\n"
    expected = [b"*IDN?", b"DATA #15a\nb\nc;*OPC?", b"FOO 'a;b", b"BAR #HA"]
    assert messages(MessageReader(1000), sent) == expected
    assert messages(MessageReader(1000), *[bytes([byte]) for byte in sent]) == expected


def test_a_quote_hides_a_block() -> None:
    assert messages(MessageReader(1000), b"A '#15';B\nC\n") == [b"A '#15';B", b"C"]


def test_ends_marked_by_the_transport() -> None:
    reader = MessageReader(1000, marks_end=True)
    assert messages(reader, b"DATA #0a\nb", b"c\n") == []
    assert messages(reader, b"d", end=True) == [b"DATA #0a\nbc\nd"]
    assert messages(reader, b"*IDN?\n*OPC?", end=True) == [b"*IDN?", b"*OPC?"]
    assert messages(MessageReader(1000), b"DATA #0ab\nc\n") == [b"DATA #0ab", b"c"]


def test_a_cleared_reader_begins_anew() -> None:
    reader = MessageReader(1000)
    assert messages(reader, b"DATA #800000100abc") == []
    reader.clear()
    assert messages(reader, b"*IDN?\n") == [b"*IDN?"]


@pytest.mark.parametrize("size", [1, 4096, 1 << 16])
def test_a_long_message_is_dropped_without_being_kept(size: int) -> None:
    reader = MessageReader(1000)
    length = 5_000 if size == 1 else 4_000_000
    sent = b"DATA #9%09d" % length + bytes(length) + b"\n*IDN?\n"
    tracemalloc.start()
    found: list[bytes] = []
    for begin in range(0, len(sent), size):
        found += messages(reader, sent[begin : begin + size])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [b"too long", b"*IDN?"]
    assert peak < 1_000_000


def test_the_longest_message() -> None:
    assert messages(MessageReader(1000), b"A" + b" " * 999 + b"\n") == [b"A" + b" " * 999]
    assert messages(MessageReader(1000), b"A" + b" " * 1000 + b"\n") == [b"too long"]
    with pytest.raises(ValueError, match="512"):
        MessageReader(100)


STRANGERS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /data HTTP/1.1\r\n",
    b"PUT http://127.0.0.1:5025/ HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:443 HTTP/1.1\r\n",
    b"  FOO bar HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"Host: 127.0.0.1:5025\r\n",
    b"Content-Type: text/plain\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"*IDN?\x00\n",
    b"\x00",
    b"A" * 257,
    b" " * 257,
    b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n",
]


@pytest.mark.parametrize("line", STRANGERS, ids=[str(line[:20]) for line in STRANGERS])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_strangers(line: bytes, size: int) -> None:
    reader = MessageReader(1000)
    sent = b"*CLS\n" + line + b"OUTP ON\n"
    found: list[bytes] = []
    for begin in range(0, len(sent), size):
        found += messages(reader, sent[begin : begin + size])
    assert found == [b"*CLS"]
    assert reader.stranger


@pytest.mark.parametrize(
    "line",
    [
        b"SYST:ERR?",
        b":VOLT 1",
        b"DATA:NAME a,#10",
        b"VOLT 1;:CURR 2",
        b"DISP:TEXT 'GET / HTTP/1.1'",
        b"PATH '/a'",
        b"VOLT\t5",
        b"A" * 256,
        b"DATA #3300" + bytes(300),
    ],
)
def test_clients(line: bytes) -> None:
    reader = MessageReader(1000)
    assert messages(reader, line + b"\n") == [line]
    assert not reader.stranger
