"""COBS and frames: round trips, damage, and bounded memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol import cobs, frames
from mgdhw_drivers.protocol.frames import Frame, FrameReader

FUZZ_BYTES = 200_000


@settings(deadline=None)
@given(st.binary(max_size=1200) | st.integers(0, 800).map(lambda n: b"\1" * n) | st.integers(0, 800).map(bytes))
def test_cobs_gives_back_what_it_was_given_without_zeros(raw: bytes) -> None:
    stuffed = cobs.encode(raw)
    assert b"\0" not in stuffed
    assert len(stuffed) <= cobs.encoded_size(len(raw))
    assert cobs.decode(stuffed) == raw


def test_cobs_examples_of_the_paper() -> None:
    assert cobs.encode(b"") == b"\1"
    assert cobs.encode(b"\0") == b"\1\1"
    assert cobs.encode(b"\x11\x22\0\x33") == b"\3\x11\x22\2\x33"
    longest = bytes(range(1, 255))
    assert cobs.decode(b"\xff" + longest) == longest  # as encoders write it that end with a full run
    assert cobs.decode(b"\xff" + longest + b"\1") == longest


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300).filter(lambda raw: b"\0" not in raw))
def test_whatever_is_not_cobs_is_corrupt(stuffed: bytes) -> None:
    try:
        raw = cobs.decode(stuffed)
    except LinkCorrupt:
        return
    assert len(raw) < len(stuffed)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=256), st.just(frames.VERSION)
        ),
        max_size=8,
    ),
    st.integers(1, 40),
)
def test_frames_are_found_however_the_stream_is_cut(sent: list[Frame], size: int) -> None:
    stream = b"".join(frames.encode(frame) for frame in sent)
    reader = FrameReader(256)
    found = [frame for start in range(0, len(stream), size) for frame in reader.feed(stream[start : start + size])]
    assert found == sent
    assert (reader.bad_crc, reader.bad_frames) == (0, 0)


@settings(deadline=None)
@given(st.binary(max_size=200), st.data())
def test_a_flipped_bit_is_never_taken_for_a_frame(payload: bytes, data: st.DataObject) -> None:
    stream = bytearray(frames.encode(Frame(11, 7, payload)))
    bit = data.draw(st.integers(0, 8 * (len(stream) - 1) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    reader = FrameReader(256)
    assert reader.feed(bytes(stream)) == []
    assert reader.bad_crc + reader.bad_frames >= 1


def test_a_longer_frame_than_announced_is_skipped_and_the_next_one_is_found() -> None:
    reader = FrameReader(256)
    long, short = frames.encode(Frame(6, 1, b"\x55" * 70_000)), Frame(2, 2)
    found = []
    for start in range(0, len(long), 1000):
        found += reader.feed(long[start : start + 1000])
        assert reader.kept <= cobs.encoded_size(256 + frames.OVERHEAD)
    assert found == []
    assert reader.bad_frames == 1
    assert reader.feed(frames.encode(short)) == [short]


def mutated(draw: random.Random, good: list[bytes], size: int) -> bytes:
    """Random bytes, and frames with some of their bytes changed, cut out or doubled."""
    stream = bytearray()
    while len(stream) < size:
        if draw.random() < 0.3:
            stream += draw.randbytes(draw.randrange(1, 600))
            continue
        frame = bytearray(draw.choice(good))
        for _ in range(draw.randrange(3)):
            at = draw.randrange(len(frame))
            match draw.randrange(3):
                case 0:
                    frame[at] = draw.randrange(256)
                case 1:
                    del frame[at : at + draw.randrange(1, 9)]
                    frame += b"\0"
                case _:
                    frame[at:at] = frame[at : at + draw.randrange(1, 40)]
        stream += frame
    return bytes(stream)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_random_and_mutated_bytes_raise_nothing_and_take_bounded_memory(seed: int) -> None:
    draw = random.Random(seed)
    good = [frames.encode(Frame(kind, 5, draw.randbytes(draw.randrange(256)))) for kind in range(16)]
    stream, reader = mutated(draw, good, FUZZ_BYTES), FrameReader(256)
    position = 0
    while position < len(stream):
        size = draw.randrange(1, 5000)
        reader.feed(stream[position : position + size])
        assert reader.kept <= cobs.encoded_size(256 + frames.OVERHEAD)
        position += size
    assert reader.frames > 0
    assert reader.bad_frames + reader.bad_crc > 0


@pytest.mark.parametrize("content", [b"", b"\0" * 11])
def test_what_is_too_short_is_no_frame(content: bytes) -> None:
    with pytest.raises(LinkCorrupt):
        frames.decode(cobs.encode(content))
