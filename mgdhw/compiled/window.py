"""Sums of costs times codes where codes are signs: what `mgdhw.gradient.accumulate` defines, without the codes."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mgdhw.compiled.cache import keep_on_disk
from mgdhw.compiled.draws import sign_words, words_in_row
from mgdhw.compiled.options import ENTRY, JIT
from mgdhw.compiled.simd import i32, i64, load, mask_of, select, store, to_i64

ROWS = 128
"""Probes whose sign bits are drawn at a time."""
LARGEST_SUM = 1 << 31
"""Sum of |C̃| of as many probes that 32 bits don't hold any more."""


@njit(**JIT)
def add_signed(cross, start, end, words, rows, changes, count, amplitude):
    """Add C̃ₖ θ̃ₖᵢ of `count` probes to the sums of parameters start ... end - 1; θ̃ is plus or minus one amplitude.

    Args:
        cross: (P,) sums.
        words: rows of sign bits; bit i is parameter i's.
        rows, changes: (count,) each probe's row and C̃; the sum of |C̃| is below 2³¹.
    """
    a = i64(amplitude)
    for at in range(start & ~31, end, 32):
        if at >= start and at + 32 <= end:
            one, other = i32(0), i32(0)
            for k in range(count):
                word = words[rows[k], at >> 5]
                plus, minus = i32(changes[k]), i32(-changes[k])
                one = one + select(mask_of(word), plus, minus)
                other = other + select(mask_of(word >> np.uint32(16)), plus, minus)
            store(cross, at, load(cross, at) + to_i64(one) * a)
            store(cross, at + 16, load(cross, at + 16) + to_i64(other) * a)
        else:
            for i in range(max(start, at), min(end, at + 32)):
                total = np.int64(0)
                word, bit = i >> 5, np.uint32(i & 31)
                for k in range(count):
                    plus = (words[rows[k], word] >> bit) & np.uint32(1)
                    total += np.int64(changes[k]) if plus else -np.int64(changes[k])
                cross[i] += total * amplitude


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
