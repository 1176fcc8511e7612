"""Gaussian noise in integers: a table looked up with random bits, proven by counting.

A draw is an integer with standard deviation `UNIT`, made of a 16-bit field of a Philox word by the tables of
`gaussian_tables`; it is a pure function of (seed, stream, step, layer, substream, index). The few draws far out, one in
2,048, take a second word, so the tails reach 7.4 standard deviations. `docs/chip.md`, section "Noise", is the
definition, with moments and tails of the exact distribution beside the Gaussian's;
`mgdhw.compiled.kernels.gaussian_noise` computes the same many at a time.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgdhw.arrays import IntArray
from mgdhw.random.gaussian_tables import BORDERS, FAR, RARE
from mgdhw.random.philox import Stream, UInt32Array, last_word, philox4x32, words

UInt16Array = NDArray[np.uint16]
Int16Array = NDArray[np.int16]

UNIT = 4096
"""The standard deviation of a draw."""
SCALE = Fraction(249999, 250000)
"""What entries of the tables are multiplied by, besides UNIT, so that the variance of what is rounded is UNIT²."""
SLABS = 128
FAR_CELLS = 16
"""How many of a half Gaussian's 2¹⁵ cells, the last ones, are drawn from a second word."""
STRENGTH_BITS = 15
"""A strength is a standard deviation times 2¹⁵ / UNIT."""
LARGEST_SIGMA = 2.0**40
_MASK = 0xFFFFFFFF


def fields(
    seed: int, stream: Stream, steps: ArrayLike, count: int, *, first_block: int = 0, layer: int = 0, substream: int = 0
) -> UInt16Array:
    """The 16-bit fields that draws are made of: two to a word, the low half first, so eight to a block.

    Returns:
        (K, count) fields; column i is field 8 * first_block + i of that step.
    """
    drawn = words(seed, stream, steps, -(-count // 2), first_block=first_block, layer=layer, substream=substream)
    return np.ascontiguousarray(drawn.astype("<u4")).view("<u2")[:, :count]


def gaussians(
    seed: int, stream: Stream, steps: ArrayLike, count: int, *, first_block: int = 0, layer: int = 0, substream: int = 0
) -> Int16Array:
    """Draws of standard deviation UNIT, `count` for each step.

    Args:
        seed: 64-bit key.
        stream, layer, substream: what the draws are for; see `mgdhw.random.philox`.
        steps: (K,) steps.
        count: draws wanted for each step.
        first_block: block (of eight draws) to start at.

    Returns:
        (K, count) draws; column i is draw 8 * first_block + i of that step.
    """
    step = np.atleast_1d(np.asarray(steps, dtype=np.uint64))
    drawn = fields(seed, stream, step, count, first_block=first_block, layer=layer, substream=substream)
    magnitude = magnitudes(drawn)
    row, column = np.nonzero(is_far(drawn))
    tail = tail_words(seed, stream, step[row], 8 * first_block + column, layer=layer, substream=substream)
    magnitude[row, column] = far_magnitudes(tail)
    return np.where(drawn >> 15, -magnitude, magnitude).astype(np.int16)


def strength(sigma: float) -> int:
    """The integer that stands for a standard deviation, in units of what the noise is added to: eighths of one.

    Kernels of 16 bits take those below 2¹⁵.

    Raises:
        ValueError: it is negative, or no number, or beyond 2⁴⁰ units.
    """
    if not 0 <= sigma <= LARGEST_SIGMA:
        raise ValueError(f"a noise of {sigma} units has no strength: it must be from 0 to 2**40")
    return int(np.floor(sigma * (2**STRENGTH_BITS // UNIT) + 0.5))


def scaled(draws: Int16Array, strength: int | IntArray) -> IntArray:
    """Noise of a strength (or one for each): draws times strength / 2¹⁵, rounded half up."""
    return np.asarray((draws.astype(np.int64) * strength + (1 << (STRENGTH_BITS - 1))) >> STRENGTH_BITS)


# --- magnitudes -------------------------------------------------------------------------------------------------------


def is_far(drawn: UInt16Array) -> NDArray[np.bool_]:
    """Which fields need a second word: those of the last FAR_CELLS cells."""
    return (drawn & 0x7FFF) >= 0x8000 - FAR_CELLS


def magnitudes(drawn: UInt16Array) -> IntArray:
    """Magnitudes of the fields' draws; 0 where `is_far`."""
    slab, rest = (drawn >> 8) & 127, (drawn & 255).astype(np.int64)
    inner = _between(BORDERS, np.minimum(slab, SLABS - 2), rest)
    rare = np.concatenate([RARE, np.zeros(FAR_CELLS, dtype=np.int16)])
    return np.where(slab == SLABS - 1, rare[rest], inner)


def tail_words(
    seed: int, stream: Stream, steps: NDArray[np.uint64], indices: IntArray, *, layer: int = 0, substream: int = 0
) -> UInt32Array:
    """(n,) second words of draws at (n,) steps and (n,) indices."""
    counter = np.empty((steps.size, 4), dtype=np.uint64)
    counter[:, 0] = steps & np.uint64(_MASK)
    counter[:, 1] = steps >> np.uint64(32)
    counter[:, 2] = indices >> 2
    counter[:, 3] = last_word(Stream.TAIL, layer, substream) + (int(stream) << 24)
    drawn = philox4x32(counter, (seed & _MASK, (seed >> 32) & _MASK))
    return np.asarray(drawn[np.arange(steps.size), indices & 3])


def far_magnitudes(tail: UInt32Array) -> IntArray:
    """Magnitudes beyond the last but FAR_CELLS cells, by the second words; a word of 0 counts as 1.

    The leading one of a word says which halving of the probability, the four bits after it which sixteenth of that,
    the next eight where in the sixteenth.
    """
    word = np.maximum(tail.astype(np.int64), 1)
    length = np.frexp(word.astype(np.float64))[1].astype(np.int64)  # bits from the leading one on: exact
    after = (word << (33 - length)) & _MASK
    return _between(FAR, 16 * (length - 1) + (after >> 28), (after >> 20) & 255)


def _between(borders: Int16Array, slab: NDArray[np.integer], rest: NDArray[np.integer]) -> IntArray:
    """In the middle of one of the 256 equal parts of a slab."""
    low, high = borders[slab].astype(np.int64), borders[slab + 1].astype(np.int64)
    middle: IntArray = low + (((high - low) * (2 * rest + 1) + 256) >> 9)
    return middle


# --- the exact distribution -------------------------------------------------------------------------------------------


def distribution() -> tuple[IntArray, IntArray]:
    """Every value that a draw can have, ascending, and how many of the 2⁴⁸ fields and second words give it."""
    inner = magnitudes(np.arange(0x8000 - FAR_CELLS, dtype=np.uint16))
    counts = [np.full(inner.size, 1 << 32)]
    far = []
    for length in range(1, 33):
        after = np.arange(
            0, 1 << 12, 1 << max(0, 13 - length), dtype=np.int64
        )  # the bits that decide, where there are any
        word = (1 << (length - 1)) + (after >> (13 - length) if length <= 13 else after << (length - 13))
        far.append(far_magnitudes(word.astype(np.uint32)))
        counts.append(np.full(after.size, FAR_CELLS << max(0, length - 13)))
    counts[1] += FAR_CELLS  # the word 0
    magnitude, weight = np.concatenate([inner, *far]), np.concatenate(counts)
    values, place = np.unique(np.concatenate([-magnitude, magnitude]), return_inverse=True)
    totals = np.zeros(values.size, dtype=np.int64)
    np.add.at(totals, place, np.concatenate([weight, weight]))
    return values, totals
