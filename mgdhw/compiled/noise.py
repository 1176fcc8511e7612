"""Gaussian noise in compiled code: `mgdhw.noise`, draw by draw, row by row, and for sixteen rows side by side.

Strengths are `mgdhw.noise.strength`'s, or RAW. Streams are given in three numbers: stream, layer and part.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw.compiled.simd import (
    LANES,
    lane_numbers,
    load_pairs,
    store_pairs,
    to_u32,
    u32,
)
from mgdhw.compiled.words import (
    add_pairs,
    between,
    field_of,
    gaussian_pairs,
    in_order,
    lowest_bit,
    philox,
    philox_one,
    rare,
    scaled_pairs,
)
from mgdhw.noise_tables import BORDERS

FIELDS = 8
"""Draws to a block."""
RAW = -1
"""In the place of a strength: draws as they are, with the standard deviation `mgdhw.noise.UNIT`."""


@njit(**JIT)
def scaled(draw, strength):
    """`mgdhw.noise.scaled`, of one draw."""
    return draw if strength == RAW else (draw * strength + 16384) >> 15


@njit(**JIT)
def noise(key0, key1, stream, step, layer, part, index):
    """One draw: `mgdhw.noise.gaussians`.

    Args:
        key0, key1: low and high word of the seed.
        index: of the draw, less than 2³³.
    """
    last = stream + (layer << 8) + (part << 16)
    word = index >> 1
    low, high = step & np.int64(0xFFFFFFFF), (step >> 32) & np.int64(0xFFFFFFFF)
    drawn = philox_one(low, high, word >> 2, last, key0, key1, word & 3)
    field = (drawn >> (16 * (index & 1))) & 0xFFFF
    slab = (field >> 8) & 127
    if slab == 127:
        return rare(field, key0, key1, last, step, index)
    magnitude = between(np.int64(BORDERS[slab]), np.int64(BORDERS[slab + 1]), field & 255)
    return -magnitude if field >> 15 else magnitude


@njit(**INLINE)
def _put(out, at, pairs, strength, onto):
    """Sixteen pairs of draws into 32 places, or onto what is there."""
    if strength != RAW:
        pairs = scaled_pairs(pairs, strength)
    if onto:
        pairs = add_pairs(load_pairs(out, at), pairs)
    store_pairs(out, at, pairs)


@njit(**JIT)
def _fill_blocks(key0, key1, last, step, block, strength, onto, out, at):
    """The draws of sixteen blocks into 128 places."""
    s0, s1 = u32(step), u32(step >> 32)
    blocks = u32(block) + to_u32(lane_numbers())
    w0, w1, w2, w3 = in_order(*philox(s0, s1, blocks, u32(last), u32(key0), u32(key1)))
    g0, g1, far = gaussian_pairs(w0, w1)
    _put(out, at, g0, strength, onto)
    _put(out, at + 32, g1, strength, onto)
    g2, g3, further = gaussian_pairs(w2, w3)
    _put(out, at + 64, g2, strength, onto)
    _put(out, at + 96, g3, strength, onto)
    while far != 0:
        bit = lowest_bit(far)
        place = (bit >> 1) + 32 * (bit & 1)
        draw = rare(field_of(w0, w1, bit), key0, key1, last, step, FIELDS * block + place)
        out[at + place] += scaled(draw, strength)
        far &= far - np.uint64(1)
    while further != 0:
        bit = lowest_bit(further)
        place = 64 + (bit >> 1) + 32 * (bit & 1)
        draw = rare(field_of(w2, w3, bit), key0, key1, last, step, FIELDS * block + place)
        out[at + place] += scaled(draw, strength)
        further &= further - np.uint64(1)


@njit(**ENTRY)
def fill_row(key0, key1, stream, step, layer, part, first_block, n_blocks, strength, onto, spare, out):
    """Noise of 8 n_blocks consecutive indices, from 8 first_block on.

    Args:
        strength: of the noise, or RAW.
        onto: add to what is there (modulo 2¹⁶) rather than write it anew.
        spare: (128,) int16 of work space.
        out: int16, 8 n_blocks of them.
    """
    last = stream + (layer << 8) + (part << 16)
    whole = n_blocks // LANES * LANES
    for block in range(0, whole, LANES):
        _fill_blocks(key0, key1, last, step, first_block + block, strength, onto, out, FIELDS * block)
    if whole < n_blocks:
        _fill_blocks(key0, key1, last, step, first_block + whole, strength, False, spare, 0)
        for i in range(FIELDS * (n_blocks - whole)):
            out[FIELDS * whole + i] = spare[i] + (out[FIELDS * whole + i] if onto else 0)


@njit(**INLINE)
def _put_lanes(w0, w1, out, at, width, base, field, key0, key1, last, step, row_blocks, strength, onto):
    """Fields `field` ... `field + 3` of sixteen rows into two rows of pairs."""
    g0, g1, far = gaussian_pairs(w0, w1)
    _put(out, 2 * at, g0, strength, onto)
    _put(out, 2 * (at + width), g1, strength, onto)
    while far != 0:
        bit = lowest_bit(far)
        which, lane, half = bit & 1, bit >> 2, (bit >> 1) & 1
        index = FIELDS * (base + lane * row_blocks) + field + 2 * which + half
        draw = rare(field_of(w0, w1, bit), key0, key1, last, step, index)
        out[2 * (at + which * width + lane) + half] += scaled(draw, strength)
        far &= far - np.uint64(1)


@njit(**ENTRY)
def fill_lanes(key0, key1, stream, step, layer, part, first_row, row_blocks, strength, onto, out, width, column):
    """Noise of sixteen consecutive rows side by side.

    Row b has the indices from 8 b row_blocks on, so that rows begin with a block.

    Args:
        first_row: of the sixteen.
        row_blocks: blocks to a row: its number of draws, rounded up to a multiple of 8, divided by 8.
        out: int16, [4 row_blocks][width][2]: pairs of draws of a row, those of each row in a column.
        width, column: of `out`; the column of first_row.
    """
    last = stream + (layer << 8) + (part << 16)
    s0, s1 = u32(step), u32(step >> 32)
    k0, k1, purpose = u32(key0), u32(key1), u32(last)
    rows = (u32(first_row) + to_u32(lane_numbers())) * u32(row_blocks)
    for block in range(row_blocks):
        w0, w1, w2, w3 = philox(s0, s1, rows + u32(block), purpose, k0, k1)
        base = first_row * row_blocks + block
        at = 4 * block * width + column
        _put_lanes(w0, w1, out, at, width, base, 0, key0, key1, last, step, row_blocks, strength, onto)
        at += 2 * width
        _put_lanes(w2, w3, out, at, width, base, 4, key0, key1, last, step, row_blocks, strength, onto)
