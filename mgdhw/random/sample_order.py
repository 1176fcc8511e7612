"""The order of training samples: a keyed permutation of each epoch, computed and never remembered.

Any device can compute sample (epoch, position) by itself from the order's seed, so a block names its samples in a
few bytes. The permutation of [0, n) works on the smallest power of two 2**b >= n: eight rounds of reversible steps
on b-bit words (add a key, multiply by an odd key, fold the upper half onto the lower), repeated for the few
positions that fall outside [0, n) ("cycle walking"). Keys are Philox words of stream ORDER at step = epoch.

Source: the construction is that of Kensler, "Correlated multi-jittered sampling", Pixar technical memo 13-01
(2013), with all of its constants replaced by per-epoch random keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.random.chunk_cache import ChunkCache
from mgdhw.random.philox import Stream, words

ORDER_ROUNDS = 8
CACHE_BYTES = 1 << 28  # the orders of a thousand replicas
CHUNK_SAMPLES = 1 << 14  # a memo's size: many epochs of a small dataset, one of a large


def permute(seed: int, epochs: IntArray, n: int) -> IntArray:
    """The samples of whole epochs, in order.

    Args:
        seed: the order's 64-bit seed.
        epochs: (E,) which passes through the samples.
        n: number of samples, 1 <= n <= 2**31.

    Returns:
        (E, n): sample at each position of each epoch.
    """
    bits = max(1, (n - 1).bit_length())
    mask = np.uint64((1 << bits) - 1)
    fold = np.uint64((bits + 1) // 2)
    keys = words(seed, Stream.ORDER, epochs, 2 * ORDER_ROUNDS).astype(np.uint64)
    adds, factors = keys[:, :ORDER_ROUNDS], keys[:, ORDER_ROUNDS:] | np.uint64(1)

    def step(x: NDArray[np.uint64], row: IntArray) -> NDArray[np.uint64]:
        for r in range(ORDER_ROUNDS):
            x = ((x + adds[row, r]) * factors[row, r]) & mask
            x = x ^ (x >> fold)
        return x

    row = np.repeat(np.arange(epochs.size), n)
    x = step(np.tile(np.arange(n, dtype=np.uint64), epochs.size), row)
    outside = np.flatnonzero(x >= n)
    while outside.size:
        x[outside] = step(x[outside], row[outside])
        outside = outside[x[outside] >= n]
    return x.astype(np.int64).reshape(epochs.size, n)


def _chunk_of(stream: tuple[int, int], number: int) -> IntArray:
    """The samples of a few consecutive epochs. A stream is the seed and n of an order."""
    seed, n = stream
    epochs = _epochs_per_chunk(n)
    return permute(seed, number * epochs + np.arange(epochs), n).ravel()


_chunk = ChunkCache(_chunk_of, CACHE_BYTES)
"""For hosts, which have the memory; nothing depends on it."""


def _epochs_per_chunk(n: int) -> int:
    return max(1, CHUNK_SAMPLES // n)


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """Which samples a probe sees.

    Probe k sees batch k // tau_x; batch m is the `batch` samples from position m * batch on, where positions
    count through epoch after epoch.

    Args:
        seed: 64-bit seed of the order.
        n: training samples are 0 ... n - 1.
        batch: samples per probe (B).
        tau_x: probes for which a batch is held.
    """

    seed: int
    n: int
    batch: int = 1
    tau_x: int = 1

    def batch_of(self, step: int) -> int:
        """Number of the batch that probe `step` sees."""
        return step // self.tau_x

    def samples(self, first_batch: int, count: int = 1) -> IntArray:
        """Sample indices, (count, B), of consecutive batches."""
        total = count * self.batch
        size = _epochs_per_chunk(self.n) * self.n
        number, position = divmod(first_batch * self.batch, size)
        chunks = []
        while total > 0:
            chunk = _chunk((self.seed, self.n), number)[position : position + total]
            chunks.append(chunk)
            total -= chunk.size
            number, position = number + 1, 0
        joined = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
        return joined.reshape(count, self.batch)
