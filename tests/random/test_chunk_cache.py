"""The memo of chunks: bounded, and right whoever asks in whatever order."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mgdhw.random.chunk_cache import CHUNKS, ChunkCache


class Counting:
    """Makes chunks of eight bytes that say what they are, and counts."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, stream: int, number: int) -> NDArray[Any]:
        self.made += 1
        return np.array([1000 * stream + number])


def test_streams_that_take_turns_are_made_once_a_chunk() -> None:
    make = Counting()
    memo = ChunkCache(make, 10_000)
    for number in range(20):
        for _ in range(3):
            for stream in range(100):
                assert memo(stream, number)[0] == 1000 * stream + number
    assert make.made == 20 * 100


def test_only_the_latest_chunks_of_a_stream_are_kept() -> None:
    make = Counting()
    memo = ChunkCache(make, 10_000)
    for number in range(1000):
        memo(7, number)
    assert make.made == 1000
    for number in range(1000 - CHUNKS, 1000):
        memo(7, number)
    assert make.made == 1000
    memo(7, 0)
    assert make.made == 1001


def test_memory_is_bounded_and_the_longest_unused_stream_goes_first() -> None:
    make = Counting()
    memo = ChunkCache(make, 10 * 8)
    for stream in range(10):
        memo(stream, 0)
    memo(0, 0)
    memo(10, 0)
    assert make.made == 11
    memo(0, 0)
    assert make.made == 11
    memo(1, 0)
    assert make.made == 12


def test_what_is_larger_than_all_memory_is_made_all_the_same() -> None:
    make = Counting()
    memo = ChunkCache(make, 1)
    assert [memo(stream, 0)[0] for stream in (1, 2, 2, 1)] == [1000, 2000, 2000, 1000]
    assert make.made == 3


def test_nobody_can_spoil_what_is_kept() -> None:
    memo = ChunkCache(Counting(), 1000)
    with pytest.raises(ValueError, match="read-only"):
        memo(1, 2)[0] = 5


def test_everything_can_be_forgotten() -> None:
    make = Counting()
    memo = ChunkCache(make, 1000)
    memo(1, 1)
    memo.cache_clear()
    memo(1, 1)
    assert make.made == 2


def test_many_threads() -> None:
    memo = ChunkCache(Counting(), 20 * 8)
    wrong: list[tuple[int, int]] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(3000):
            stream, number = draw.randrange(30), draw.randrange(4)
            if memo(stream, number)[0] != 1000 * stream + number:
                wrong.append((stream, number))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert memo._bytes == 8 * sum(len(chunks) for chunks in memo._kept.values()) <= 20 * 8
