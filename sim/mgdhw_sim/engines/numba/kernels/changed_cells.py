"""Cells that are asked for another code than before, some at a time, for `cell_writes.py`.

They are listed in words of 32 bits: the cell's number, counted from a base, in the upper half, by how many codes it is
to change in the lower one (of cells that move by pulses; of others, whose codes are longer, what is left of it means
nothing). One such word less to line up makes up for taking it apart.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import WORDS, bits_of, count_bits, differences, prefetch, store_chosen
from mgdhw.compiled.kernels.int16_pairs import unequal
from mgdhw.compiled.kernels.simd import LANES, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import i32, lane_numbers, lowest_bit, to_i32, to_u32, u32
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.updates import apply_gradient_by_sign

AT_ONCE = 128
"""Cells that are listed before they are written; 31 more may be. So many, with what is fetched and drawn for them, stay
in the nearest cache."""
AT_A_TIME = 4
"""Of 32 cells, so many are fetched."""
SPAN = 1 << 15
"""So many cells after the base the search ends."""


@njit(**JIT)
def find_changed(codes, requested, writable, up_to_date, records, at, end, base, found, count, fetched, outdated):
    """List cells from `at` on, a multiple of 32, that are asked for another code than before, and can be written.

    All take note of the code.

    Args:
        found, count, fetched: the list, how many are there already, and the records of how many were fetched.
        outdated: for numbers of those that were not written at this tick before.

    Returns:
        Where the search ended; how many are listed; how many of them were fetched; how many are old; whether any cell
        was asked for another code.
    """
    asked, n_outdated, last = np.uint32(0), np.int64(0), min(end, base + SPAN)
    while at < last and count < AT_ONCE:
        bits = unequal(codes, requested, at)
        if at + 32 > end:
            bits &= (np.uint32(1) << np.uint32(end - at)) - np.uint32(1)
        if bits != 0:
            asked |= bits
            one, other = differences(codes, requested, at)
            fetched = prefetch_listed(records, base, found, count, fetched)
            numbers = (i32(at - base) + lane_numbers()) << i32(16)
            count, n_outdated = append_changed_cells(
                bits, one, other, writable, up_to_date, at, numbers, found, count, outdated, n_outdated
            )
            if at + 32 <= end:
                store_pairs(requested, at, load_pairs(codes, at))
            else:
                for i in range(at, end):
                    requested[i] = codes[i]
        at += 32
    return at, count, fetched, n_outdated, asked != 0


@njit(**JIT)
def update_changed(
    rule, update_state, writable, up_to_date, records, at, end, base, found, count, fetched, outdated, eta, words, plus,
    minus, keep
):  # fmt: skip
    """`updates.update_signs` and `find_changed` at once, as far as the latter goes; a code is compared with the one
    before, of which the cells have taken note.

    Args:
        plus, minus: `updates.gradients_of`.

    Returns:
        As `find_changed`.
    """
    asked, n_outdated, last = np.uint32(0), np.int64(0), min(end, base + SPAN)
    numbers = (i32(at - base) + lane_numbers()) << i32(16)
    while at < last and count < AT_ONCE:
        signs = words[np.uint64(at) >> np.uint64(5)]
        before, later = to_i32(load(update_state.requested, at)), to_i32(load(update_state.requested, at + LANES))
        one = apply_gradient_by_sign(rule, update_state, at, signs, plus, minus, eta, end, keep) - before
        other = (
            apply_gradient_by_sign(
                rule, update_state, at + LANES, signs >> np.uint32(LANES), plus, minus, eta, end, keep
            )
            - later
        )
        bits = bits_of(one != i32(0)) | (bits_of(other != i32(0)) << np.uint32(LANES))
        if at + 32 > end:
            bits &= (np.uint32(1) << np.uint32(end - at)) - np.uint32(1)
        asked |= bits
        fetched = prefetch_listed(records, base, found, count, fetched)
        count, n_outdated = append_changed_cells(
            bits, one, other, writable, up_to_date, at, numbers, found, count, outdated, n_outdated
        )
        at, numbers = at + 32, numbers + i32(32 << 16)
    return at, count, fetched, n_outdated, asked != 0


@njit(**INLINE)
def append_changed_cells(bits, one, other, writable, up_to_date, at, numbers, found, count, outdated, n_outdated):
    """List those of 32 cells whose bit is set, as far as they can be written.

    Args:
        one, other: by how many codes the first sixteen, and the others, are to change.
        numbers: of the first sixteen, in the upper halves.

    Returns:
        How many are listed, and how many are old.
    """
    word = np.uint64(at) >> np.uint64(5)
    bits &= writable[word]
    aging = bits & ~up_to_date[word]
    if aging != 0:
        up_to_date[word] |= aging
        while aging != 0:
            outdated[n_outdated] = at + lowest_bit(np.uint64(aging))
            n_outdated += 1
            aging &= aging - np.uint32(1)
    low, high = bits & np.uint32(0xFFFF), bits >> np.uint32(16)
    between = count + count_bits(low)
    store_chosen(found, count, low, numbers | (one & i32(0xFFFF)))
    store_chosen(found, between, high, (numbers + i32(LANES << 16)) | (other & i32(0xFFFF)))
    return between + count_bits(high), n_outdated


@njit(**INLINE)
def prefetch_listed(records, base, found, count, fetched):
    """Have the records of some more cells of the list ready soon: a few at a time, so that none waits for others.

    Behind the list's end are zeros. What was listed just now is better fetched a little later.

    Returns:
        How many are fetched.
    """
    for k in range(AT_A_TIME):
        number = np.uint64(np.uint32(found[np.uint64(fetched) + np.uint64(k)]) >> np.uint32(16))
        prefetch(records, (number + np.uint64(base)) * np.uint64(WORDS))
    return min(fetched + AT_A_TIME, count)


@njit(**INLINE)
def numbers_of(words, base):
    """Cells of sixteen words of a list."""
    return to_i32(to_u32(words) >> u32(16)) + i32(base)


@njit(**INLINE)
def changes_of(words):
    """By how many codes they are to change."""
    return (words << i32(16)) >> i32(16)


@njit(**INLINE)
def carry_over(found, at, base, count, fetched):
    """Begin the next list with what was found beyond AT_ONCE, in the last 32 cells before `at`.

    Returns:
        Its base; how many are there already; how many of them are fetched.
    """
    for start in (0, LANES):
        store(found, start, load(found, AT_ONCE + start) - i32((at - 32 - base) << 16))
    count = max(count - AT_ONCE, 0)
    store(found, count, i32(0))
    return at - 32, count, max(fetched - AT_ONCE, 0)
