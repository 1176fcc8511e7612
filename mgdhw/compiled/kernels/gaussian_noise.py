"""Gaussian noise in compiled code (`mgdhw.random.gaussian`): draw by draw, row by row, and sixteen rows side by side.

Strengths are `mgdhw.random.gaussian.strength`'s, or RAW. A stream is given by three numbers: stream, layer, substream.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.gaussian_draws import between, far_draw, field_of, gaussian_pairs
from mgdhw.compiled.kernels.int16_pairs import add_pairs, scaled_pairs
from mgdhw.compiled.kernels.philox import in_order, philox_of_key, philox_one
from mgdhw.compiled.kernels.simd import LANES, load_pairs, store_pairs
from mgdhw.compiled.kernels.vector_math import lane_numbers, lowest_bit, to_u32, u32
from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw.random.gaussian import FAR_CELLS
from mgdhw.random.gaussian_tables import BORDERS, RARE

FIELDS = 8
"""Draws to a block."""
RAW = -1
"""In the place of a strength: draws as they are, with the standard deviation `mgdhw.random.gaussian.UNIT`."""


@njit(**JIT)
def scaled(draw, strength):
    """`mgdhw.random.gaussian.scaled`, of one draw."""
    return draw if strength == RAW else (draw * strength + 16384) >> 15


@njit(**JIT)
def noise(key0, key1, stream, step, layer, substream, index):
    """One draw: `mgdhw.random.gaussian.gaussians`.

    Args:
        key0, key1: low and high word of the seed.
        index: of the draw, less than 2³³.
    """
    last = stream + (layer << 8) + (substream << 16)
    word = index >> 1
    low, high = step & np.int64(0xFFFFFFFF), (step >> 32) & np.int64(0xFFFFFFFF)
    drawn = philox_one(low, high, word >> 2, last, key0, key1, word & 3)
    field = (drawn >> (16 * (index & 1))) & 0xFFFF
    slab = (field >> 8) & 127
    if slab == 127:
        if field & 255 >= 256 - FAR_CELLS:
            return far_draw(field, key0, key1, last, step, index)
        magnitude = np.int64(RARE[field & 255])
        return -magnitude if field >> 15 else magnitude
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


@njit(**ENTRY)
def fill_row(key0, key1, stream, step, layer, substream, first_block, n_blocks, strength, onto, spare, out):
    """Noise of 8 n_blocks consecutive indices, from 8 first_block on.

    Args:
        strength: of the noise, or RAW.
        onto: add to what is there (modulo 2¹⁶) rather than write it anew.
        spare: (128,) int16 of work space.
        out: int16, 8 n_blocks of them.
    """
    last = stream + (layer << 8) + (substream << 16)
    s0, s1, purpose = u32(step), u32(step >> 32), u32(last)
    blocks = u32(first_block) + to_u32(lane_numbers())
    for block in range(0, n_blocks, LANES):
        index = FIELDS * (first_block + block)
        words = in_order(*philox_of_key(s0, s1, blocks + u32(block), purpose, key0, key1))
        if block + LANES <= n_blocks:
            _put_row(words, out, FIELDS * block, index, key0, key1, last, step, strength, onto)
        else:
            rest = FIELDS * (n_blocks - block)
            for i in range(rest):
                spare[i] = out[FIELDS * block + i]
            _put_row(words, spare, 0, index, key0, key1, last, step, strength, onto)
            for i in range(rest):
                out[FIELDS * block + i] = spare[i]


@njit(**JIT)
def _put_row(words, out, at, index, key0, key1, last, step, strength, onto):
    """The draws of sixteen blocks, the first of which has this index."""
    g0, g1, far = gaussian_pairs(words[0], words[1])
    g2, g3, further = gaussian_pairs(words[2], words[3])
    _put(out, at, g0, strength, onto)
    _put(out, at + 32, g1, strength, onto)
    _put(out, at + 64, g2, strength, onto)
    _put(out, at + 96, g3, strength, onto)
    if far | further != 0:
        _mend_row(words[0], words[1], far, out, at, index, key0, key1, last, step, strength)
        _mend_row(words[2], words[3], further, out, at + 64, index + 64, key0, key1, last, step, strength)


@njit(**JIT)
def _mend_row(one, other, far, out, at, index, key0, key1, last, step, strength):
    """Add the draws that take second words to the zeros in their places."""
    while far != 0:
        bit = lowest_bit(far)
        place = (bit >> 1) + 32 * (bit & 1)
        draw = far_draw(field_of(one, other, bit), key0, key1, last, step, index + place)
        out[at + place] += scaled(draw, strength)
        far &= far - np.uint64(1)


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
        draw = far_draw(field_of(w0, w1, bit), key0, key1, last, step, index)
        out[2 * (at + which * width + lane) + half] += scaled(draw, strength)
        far &= far - np.uint64(1)


@njit(**ENTRY)
def fill_lanes(key0, key1, stream, step, layer, substream, first_row, row_blocks, strength, onto, out, width, column):
    """Noise of sixteen consecutive rows side by side.

    Row b has the indices from 8 b row_blocks on, so that rows begin with a block.

    Args:
        first_row: of the sixteen.
        row_blocks: blocks to a row: its number of draws, rounded up to a multiple of 8, divided by 8.
        out: int16, [4 row_blocks][width][2]: pairs of draws of a row, those of each row in a column.
        width, column: of `out`; the column of first_row.
    """
    last = stream + (layer << 8) + (substream << 16)
    s0, s1 = u32(step), u32(step >> 32)
    purpose = u32(last)
    rows = (u32(first_row) + to_u32(lane_numbers())) * u32(row_blocks)
    for block in range(row_blocks):
        w0, w1, w2, w3 = philox_of_key(s0, s1, rows + u32(block), purpose, key0, key1)
        base = first_row * row_blocks + block
        at = 4 * block * width + column
        _put_lanes(w0, w1, out, at, width, base, 0, key0, key1, last, step, row_blocks, strength, onto)
        at += 2 * width
        _put_lanes(w2, w3, out, at, width, base, 4, key0, key1, last, step, row_blocks, strength, onto)
