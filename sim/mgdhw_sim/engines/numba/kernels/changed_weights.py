"""The new fine weights of the cells that one thread of a team has written, for the other thread.

Each thread has a copy of all weights. An eighth or so of them changes at a time; to fetch all from the other core's
cache would take longer than to copy those.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.simd import LANES, load, store
from mgdhw.compiled.kernels.vector_math import i32
from mgdhw.compiled.options import JIT
from mgdhw_sim.engines.numba.kernel_args import zeros
from mgdhw_sim.engines.numba.kernels.changed_cells import AT_ONCE, SPAN


class ChangedWeights(NamedTuple):
    """Lists of cells, one after the other."""

    words: Any
    """Of each cell its number, counted from its list's base, in the upper half; its fine weight in the lower one."""
    bases: Any
    counts: Any
    """(lists,) number of the cell that a list counts from, and how many cells it has."""
    lists: Any
    """(2,) how many there are, and how many cells they have in all."""


def changed_weights(cells: int) -> ChangedWeights:
    """Room for so many cells at most; 0: nothing is reported."""
    lists = 2 * (cells // AT_ONCE + cells // SPAN + 2) if cells else 0
    words = zeros(cells + 4 * LANES if cells else 0, np.int32)
    bases, counts = (np.zeros(lists, dtype=np.int64) for _ in range(2))
    return ChangedWeights(words, bases, counts, np.zeros(2, dtype=np.int64))


@njit(**JIT)
def clear_changed_weights(changed):
    """Empty the lists."""
    changed.lists[0] = changed.lists[1] = 0


@njit(**JIT)
def append_changed_weights(changed, base, count, found, fine):
    """Add a list of cells that were written (`changed_cells.append_changed_cells`), and their weights."""
    number, first = changed.lists[0], changed.lists[1]
    changed.bases[number], changed.counts[number] = base, count
    changed.lists[0], changed.lists[1] = number + 1, first + count
    upper, lower = i32(-1 << 16), i32(0xFFFF)
    for start in range(0, count, LANES):
        store(changed.words, first + start, (load(found, start) & upper) | (load(fine, start) & lower))


@njit(**JIT)
def apply_changed_weights(changed, weights):
    """Copy the other thread's changed weights into this one's."""
    one, half = np.uint64(1), np.uint32(16)
    at = np.uint64(0)
    for number in range(changed.lists[0]):
        base, end = np.uint64(changed.bases[number]), at + np.uint64(changed.counts[number])
        while at < end:
            word = np.uint32(changed.words[at])
            weights[base + np.uint64(word >> half)] = np.int16(word & np.uint32(0xFFFF))
            at += one
