"""The first layer's sums of the last few samples of a batch on a nonideal chip, which would leave most of a vector
empty: four pairs of inputs of four samples side by side (`nonideal_large_batch.py` has a pair of inputs of sixteen).

Inputs lie as [eight inputs][sample][pair of inputs].
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import turned
from mgdhw.compiled.kernels.gaussian_draws import far_draw, field_of, gaussian_pairs
from mgdhw.compiled.kernels.gaussian_noise import FIELDS, scaled
from mgdhw.compiled.kernels.int16_pairs import scaled_pairs, shift_pairs
from mgdhw.compiled.kernels.philox import philox_of_key
from mgdhw.compiled.kernels.products import add_fours
from mgdhw.compiled.kernels.simd import LANES, load, store, store_pairs
from mgdhw.compiled.kernels.transposed_loads import PARTS, row_pairs, store_fours
from mgdhw.compiled.kernels.vector_math import i32, lane_numbers, lowest_bit, to_u32, u32
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import noisy

INPUT = int(Stream.INPUT)
FEW = PARTS
"""Samples at most."""


@njit(**JIT)
def few_sums(net, nonideal, w, inputs, step, measurement, column, stride, tile):
    """⌊Σᵢ w[j][i] x[i] / 2ᵇ⌋ of the first layer for the samples from a column on; b is
    `nonideal_args.NonidealInt16Network.bits`.

    A lane adds up every fourth pair of inputs, so that 32 bits hold the sums of four times as many.

    Args:
        stride: from one row of sums to the next.
    """
    n_in, n_out = net.sizes[0], net.sizes[1]
    span = min(FEW * net.spans[0], tile.noisy.size // LANES * FIELDS // 32 * 32)
    for low in range(0, n_in, span):
        high = min(n_in, low + span)
        load_few_inputs(
            nonideal, inputs, n_in, step, measurement, low // FIELDS, (high + FIELDS - 1) // FIELDS, column, tile
        )
        add_few(w, net.starts[0], n_in, n_out, low, high, net.bits[0], stride, tile)


@njit(**INLINE)
def put_few(out, at, drawn, size, x, fine, top):
    """Four pairs of inputs of four samples, with their noise."""
    store_pairs(out, at, noisy(x, scaled_pairs(drawn, size), fine, top) if size != 0 else shift_pairs(x, fine))


@njit(**JIT)
def load_few_inputs(nonideal, inputs, n_in, step, measurement, first, end, column, tile):
    """Eights first ... end - 1 of inputs of the samples from a column on, with their noise: `nonideal.row_noise`."""
    size, fine, top, out = nonideal.input_size, nonideal.input_fine, nonideal.input_top, tile.shorts
    last, row_blocks, places = INPUT + (measurement << 16), (n_in + 7) // 8, tile.places
    s0, s1, purpose, lanes = u32(step), u32(step >> 32), u32(last), lane_numbers()
    rows = to_u32((i32(column) + (lanes >> i32(2))) * i32(row_blocks) + (lanes & i32(3)))
    for block in range(first, end, 4):
        w0, w1, w2, w3 = philox_of_key(s0, s1, rows + u32(block), purpose, nonideal.key0, nonideal.key1)
        g0, g1, far = gaussian_pairs(w0, w1)
        g2, g3, further = gaussian_pairs(w2, w3)
        t0, t1, t2, t3 = turned(g0, g1, g2, g3)  # lanes: from a block of a sample to one of its pairs
        at, i = 2 * LANES * (block - first), FIELDS * block
        put_few(out, at, t0, size, row_pairs(inputs, places, column, i), fine, top)
        if block + 1 < end:
            put_few(out, at + 2 * LANES, t1, size, row_pairs(inputs, places, column, i + FIELDS), fine, top)
        if block + 2 < end:
            put_few(out, at + 4 * LANES, t2, size, row_pairs(inputs, places, column, i + 2 * FIELDS), fine, top)
        if block + 3 < end:
            put_few(out, at + 6 * LANES, t3, size, row_pairs(inputs, places, column, i + 3 * FIELDS), fine, top)
        if size != 0 and far | further != 0:
            put_far(nonideal, w0, w1, far, 0, block, end, column, row_blocks, last, step, size, at, out)
            put_far(nonideal, w2, w3, further, 2, block, end, column, row_blocks, last, step, size, at, out)
    if end * FIELDS > n_in:  # the places behind the last input meet weights that aren't their own
        for sample_ in range(FEW):
            for k in range(n_in % FIELDS, FIELDS):
                out[2 * (LANES * (end - 1 - first) + 4 * sample_) + k] = 0


@njit(**JIT)
def put_far(nonideal, w0, w1, far, pair, block, end, column, row_blocks, last, step, size, at, out):
    """The tail draws of second words among two pairs of sixteen blocks' fields."""
    while far != 0:
        bit = lowest_bit(far)
        far &= far - np.uint64(1)
        which, half, quarter, sample = pair + (bit & 1), (bit >> 1) & 1, (bit >> 2) & 3, bit >> 4
        if block + quarter >= end:
            continue
        index = FIELDS * ((column + sample) * row_blocks + block + quarter) + 2 * which + half
        place = at + 2 * (LANES * quarter + 4 * sample + which) + half
        drawn = far_draw(field_of(w0, w1, bit), nonideal.key0, nonideal.key1, last, step, index)
        out[place] = min(max(np.int64(out[place]) + scaled(drawn, size), -nonideal.input_top), nonideal.input_top)


@njit(**INLINE)
def add_rows(sums, w, at, n_in, x):
    """Eight rows' sums, each plus four pairs of its weights times those of the inputs."""
    return (
        add_fours(sums[0], w, at, x),
        add_fours(sums[1], w, at + n_in, x),
        add_fours(sums[2], w, at + 2 * n_in, x),
        add_fours(sums[3], w, at + 3 * n_in, x),
        add_fours(sums[4], w, at + 4 * n_in, x),
        add_fours(sums[5], w, at + 5 * n_in, x),
        add_fours(sums[6], w, at + 6 * n_in, x),
        add_fours(sums[7], w, at + 7 * n_in, x),
    )


@njit(**INLINE)
def put_sums(a, b, c, d, bits, count, begun, room, at, out, row, stride):
    """Sums of four rows, each vector with four quarters of each of few samples, onto those of the inputs before.

    Args:
        bits: `nonideal_args.NonidealInt16Network.bits`.
        count: of rows; the others mean nothing.
        room, at: where all but the lowest bits, and those, are kept.
        out, row, stride: [row][stride] where the former go.
    """
    t0, t1, t2, t3 = turned(a, b, c, d)
    by, mask = i32(bits), i32((1 << bits) - 1)
    whole = (t0 >> by) + (t1 >> by) + (t2 >> by) + (t3 >> by)
    rest = (t0 & mask) + (t1 & mask) + (t2 & mask) + (t3 & mask)
    if begun:
        whole, rest = whole + load(room, at), rest + load(room, at + LANES)
    whole = whole + (rest >> by)
    store(room, at, whole)
    store(room, at + LANES, rest & mask)
    store_fours(whole, out, row * stride, stride, count)


@njit(**JIT)
def add_few(w, start, n_in, n_out, low, high, bits, stride, tile):
    """Inputs low ... high - 1 of all rows times those of few samples, onto the sums over inputs before."""
    x, room, out, begun, zero = tile.noisy, tile.signals, tile.sums, low > 0, i32(0)
    whole = n_out // 8 * 8
    for j in range(0, whole, 8):
        place = 0
        sums = (zero, zero, zero, zero, zero, zero, zero, zero)
        for i in range(start + j * n_in + low, start + j * n_in + high, FIELDS):
            sums = add_rows(sums, w, i, n_in, load(x, place))
            place += LANES
        at = LANES // 2 * j
        put_sums(sums[0], sums[1], sums[2], sums[3], bits, 4, begun, room, at, out, j, stride)
        put_sums(sums[4], sums[5], sums[6], sums[7], bits, 4, begun, room, at + 2 * LANES, out, j + 4, stride)
    for j in range(whole, n_out):
        one, place = zero, 0
        for i in range(start + j * n_in + low, start + j * n_in + high, FIELDS):
            one = add_fours(one, w, i, load(x, place))
            place += LANES
        at = LANES // 2 * whole + 2 * LANES * (j - whole)
        put_sums(one, zero, zero, zero, bits, 1, begun, room, at, out, j, stride)
