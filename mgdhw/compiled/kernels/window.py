"""Sums of costs times codes where codes are signs: what `mgdhw.learning.gradient` defines, without the codes."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mgdhw.compiled.cache import keep_on_disk
from mgdhw.compiled.kernels.codes_and_samples import sign_words, words_in_row
from mgdhw.compiled.kernels.simd import load, store
from mgdhw.compiled.kernels.vector_math import i32, i64, mask_of, select, to_i64
from mgdhw.compiled.options import ENTRY, INLINE, JIT

ROWS = 128
"""Probes whose sign bits are drawn at a time."""
LARGEST_SUM = 1 << 31
"""Sum of |C̃| of as many probes that 32 bits don't hold any more."""


@njit(**INLINE)
def sums_of_signs(words, rows, changes, count, word):
    """Σₖ ±C̃ₖ for the 128 parameters whose bits begin at a word: eight vectors.

    Four words of a row are read together: rows lie far apart, and each of them costs a look-up of its page.
    """
    a = b = c = d = e = f = g = h = i32(0)
    for k in range(count):
        row, plus, minus = rows[k], i32(changes[k]), i32(-changes[k])
        bits = words[row, word]
        a, b = a + select(mask_of(bits), plus, minus), b + select(mask_of(bits >> np.uint32(16)), plus, minus)
        bits = words[row, word + 1]
        c, d = c + select(mask_of(bits), plus, minus), d + select(mask_of(bits >> np.uint32(16)), plus, minus)
        bits = words[row, word + 2]
        e, f = e + select(mask_of(bits), plus, minus), f + select(mask_of(bits >> np.uint32(16)), plus, minus)
        bits = words[row, word + 3]
        g, h = g + select(mask_of(bits), plus, minus), h + select(mask_of(bits >> np.uint32(16)), plus, minus)
    return a, b, c, d, e, f, g, h


@njit(**JIT)
def add_signed(cross, start, end, words, rows, changes, count, amplitude):
    """Add C̃ₖ θ̃ₖᵢ of `count` probes to the sums of parameters start ... end - 1; θ̃ is plus or minus one amplitude.

    Args:
        cross: (P,) sums.
        words: rows of sign bits; bit i is parameter i's. They go on to a multiple of 128.
        rows, changes: (count,) each probe's row and C̃; the sum of |C̃| is below 2³¹.
    """
    for at in range(start & ~127, end, 128):
        if at >= start and at + 128 <= end:
            sums = sums_of_signs(words, rows, changes, count, at >> 5)
            add_scaled(cross, at, sums[0], amplitude)
            add_scaled(cross, at + 16, sums[1], amplitude)
            add_scaled(cross, at + 32, sums[2], amplitude)
            add_scaled(cross, at + 48, sums[3], amplitude)
            add_scaled(cross, at + 64, sums[4], amplitude)
            add_scaled(cross, at + 80, sums[5], amplitude)
            add_scaled(cross, at + 96, sums[6], amplitude)
            add_scaled(cross, at + 112, sums[7], amplitude)
            continue
        for i in range(max(start, at), min(end, at + 128)):
            total = np.int64(0)
            word, bit = i >> 5, np.uint32(i & 31)
            for k in range(count):
                plus = (words[rows[k], word] >> bit) & np.uint32(1)
                total += np.int64(changes[k]) if plus else -np.int64(changes[k])
            cross[i] += total * amplitude


@njit(**INLINE)
def add_scaled(cross, at, sums, amplitude):
    """Add sixteen sums, times an amplitude."""
    store(cross, at, load(cross, at) + to_i64(sums) * i64(amplitude))


@njit(**ENTRY)
def add_drawn(cross, start, end, key0, key1, first, changes, amplitude, words, rows, spare):
    """`add_signed` for consecutive steps of a code, whose signs are drawn here."""
    for begin in range(0, changes.size, ROWS):
        count = min(ROWS, changes.size - begin)
        sign_words(key0, key1, first + begin, count, 1, start, end - start, spare, words)
        add_signed(cross, start, end, words, rows, changes[begin:], count, amplitude)


def add_random(
    cross: NDArray[np.int64], start: int, size: int, seed: int, first: int, changes: NDArray[np.int64], amplitude: int
) -> None:
    """Add probes of random signs to a window, in place.

    Args:
        cross: (P,) sums.
        start, size: parameters that were perturbed.
        seed: of the code.
        first: step of the first probe, as the code's group counts it.
        changes: (K,) C̃ of consecutive steps; the sum of |C̃| over any `ROWS` of them is below `LARGEST_SUM`.
        amplitude: A.
    """
    words = np.empty((min(ROWS, changes.size), words_in_row(cross.size)), dtype=np.uint32)
    add_drawn(
        cross, start, start + size, seed & 0xFFFFFFFF, seed >> 32, first, changes.astype(np.int32), amplitude, words,
        np.arange(ROWS, dtype=np.int32), np.empty(64, dtype=np.uint32),
    )  # fmt: skip


keep_on_disk("mgdhw.compiled")
