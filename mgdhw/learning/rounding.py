"""Stochastic rounding of parameters to the steps that a device can hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.learning.rule import ParameterGrid
from mgdhw.random.chunk_cache import ChunkCache
from mgdhw.random.philox import Stream, words

CHUNK_WORDS = 1 << 15
MEMO_BYTES = 1 << 26


def round_stochastically(theta: FloatArray, grid: ParameterGrid, seed: int, update: int) -> FloatArray:
    """θ on the device's grid, rounded up with the probability that makes it right in the mean.

    Each parameter's random number is a function of (seed, update, index), so writing again writes the same.
    """
    lsb = np.asarray(grid.lsb, dtype=np.float64)
    position = (theta - grid.low) / lsb
    below = np.floor(position)
    size = _updates_per_chunk(theta.size)
    number, row = divmod(update, size)
    drawn = _chunk((seed, theta.size), number)[row].astype(np.float64) * 2.0**-32
    return np.asarray(np.clip(grid.low + (below + (drawn < position - below)) * lsb, None, grid.high))


def _updates_per_chunk(n: int) -> int:
    return max(1, CHUNK_WORDS // n)


def _chunk_of(stream: tuple[int, int], number: int) -> NDArray[np.uint32]:
    """Random numbers of consecutive updates. A stream is a seed and a number of parameters."""
    seed, n = stream
    size = _updates_per_chunk(n)
    return words(seed, Stream.ROUNDING, np.arange(number * size, (number + 1) * size), n)


_chunk = ChunkCache(_chunk_of, MEMO_BYTES)
"""Those of a small network are drawn for many updates together: one by one, they take longer than an update."""
