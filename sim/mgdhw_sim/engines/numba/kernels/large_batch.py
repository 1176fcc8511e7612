"""A probe of many samples: sixteen side by side, products of pairs of 16-bit numbers (`small_batch.Int16Network`).

Signals lie as [pair of neurons][sample], the even neuron in the low half of 32 bits. Pre-activations are exact sums in
32 bits, so whatever is common to several probes is summed once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.products import add_products, add_signs, group_size, narrow_bytes, perturb_bytes
from mgdhw.compiled.kernels.simd import LANES, bits_at, gather, gather_words, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import (
    f64,
    floor,
    i32,
    i64,
    lane_numbers,
    leading_zeros,
    select,
    to_f64,
    to_i32,
    to_i64,
    total,
)
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import MSE
from mgdhw_sim.engines.numba.kernels.small_batch import neurons
from mgdhw_sim.engines.numba.kernels.thread_team import barrier, rows_of


class Tile(NamedTuple):
    """Signals and sums of B samples, [..][width], where width is B padded to a multiple of sixteen."""

    width: int
    x: Any
    """[n_in / 2][width] inputs."""
    base: Any
    """[n_1][width] the first layer's sums for the requested parameters."""
    sums: Any
    """[widest][width]."""
    line: Any
    """[width] what one row of a rank-1 code adds to a layer's sums."""
    signals: Any
    spare: Any
    """[widest / 2][width], twice."""
    outputs: Any
    """[n_out][width] the last layer's signals."""
    targets: Any
    """[n_out][width] target codes."""
    columns: Any
    byte_columns: Any
    """(widest,) column signs of a rank-1 code, times its amplitude, in 16 and in 8 bits."""
    bytes: bool
    """Inputs, and the first layer's weights, are bytes: x is [n_in / 4][width] fours of them."""
    weights: Any
    perturbed_weights: Any
    """Those weights without and with a perturbation."""


class Rank1Lines(NamedTuple):
    """A rank-1 code: line signs by `words`, of matrices first ... last - 1; amplitude 0 is no code."""

    words: Any
    amplitude: int
    first: int
    last: int


@njit(**JIT)
def load_batch(inputs, targets, chosen, tile, low, high):
    """Inputs and targets of a batch into the tile: those in columns low ... high - 1."""
    n_in, n_out, width = inputs.shape[1], targets.shape[1], tile.width
    batch = chosen.size
    fours = n_in // 4 if inputs.itemsize == 1 else 0
    for column in range(low, high, LANES):
        if fours > 0:
            # Lanes beyond the batch repeat its first sample; their costs are not counted.
            inside = i32(column) + lane_numbers() < i32(batch)
            start = select(inside, load(chosen, column), i32(chosen[0])) * i32(n_in)
            for four in range(fours):
                x = gather_words(inputs, start + i32(4 * four))
                if tile.bytes:
                    store(tile.x, four * width + column, x)
                else:
                    one, other = x & i32(0xFF), (x >> i32(8)) & i32(0xFF)
                    third, last = (x >> i32(16)) & i32(0xFF), (x >> i32(24)) & i32(0xFF)
                    store(tile.x, (2 * four) * width + column, one | (other << i32(16)))
                    store(tile.x, (2 * four + 1) * width + column, third | (last << i32(16)))
        size = 4 if tile.bytes else 2
        bits = 32 // size
        for lane in range(min(LANES, batch - column)):
            index = chosen[column + lane]
            for group in range(4 * fours // size, (n_in + size - 1) // size):
                value = np.int64(0)
                for k in range(min(size, n_in - size * group)):
                    value |= (np.int64(inputs[index, size * group + k]) & ((1 << bits) - 1)) << (bits * k)
                tile.x[group * width + column + lane] = np.int32(value)
            for j in range(n_out):
                tile.targets[j * width + column + lane] = targets[index, j]


@njit(**INLINE)
def add_rows(sums, w, at, n_in, x):
    """Eight rows' sums, each plus a group of its weights times that of the inputs."""
    return (
        add_products(sums[0], w, at, x),
        add_products(sums[1], w, at + n_in, x),
        add_products(sums[2], w, at + 2 * n_in, x),
        add_products(sums[3], w, at + 3 * n_in, x),
        add_products(sums[4], w, at + 4 * n_in, x),
        add_products(sums[5], w, at + 5 * n_in, x),
        add_products(sums[6], w, at + 6 * n_in, x),
        add_products(sums[7], w, at + 7 * n_in, x),
    )


@njit(**INLINE)
def store_rows(out, at, width, sums):
    """Eight rows' sums of sixteen samples."""
    store(out, at, sums[0])
    store(out, at + width, sums[1])
    store(out, at + 2 * width, sums[2])
    store(out, at + 3 * width, sums[3])
    store(out, at + 4 * width, sums[4])
    store(out, at + 5 * width, sums[5])
    store(out, at + 6 * width, sums[6])
    store(out, at + 7 * width, sums[7])


@njit(**JIT)
def eight_rows(w, row, n_in, x, width, column, both, out, at):
    """Eight rows of weights times 16 samples, or 32."""
    size, zero = group_size(w), i32(0)
    one = other = (zero, zero, zero, zero, zero, zero, zero, zero)
    if both:
        for i in range(0, n_in, size):
            place = i // size * width + column
            one = add_rows(one, w, row + i, n_in, load(x, place))
            other = add_rows(other, w, row + i, n_in, load(x, place + LANES))
        store_rows(out, at + LANES, width, other)
    else:
        for i in range(0, n_in, size):
            one = add_rows(one, w, row + i, n_in, load(x, i // size * width + column))
    store_rows(out, at, width, one)


@njit(**JIT)
def one_row(w, row, n_in, x, width, low, high, out, at):
    """One row of weights times the samples in columns low ... high - 1, into out from at + low on."""
    size, zero = group_size(w), i32(0)
    column = low
    while column + 4 * LANES <= high:
        a = b = c = d = zero
        for i in range(0, n_in, size):
            place = i // size * width + column
            a = add_products(a, w, row + i, load(x, place))
            b = add_products(b, w, row + i, load(x, place + LANES))
            c = add_products(c, w, row + i, load(x, place + 2 * LANES))
            d = add_products(d, w, row + i, load(x, place + 3 * LANES))
        store(out, at + column, a)
        store(out, at + column + LANES, b)
        store(out, at + column + 2 * LANES, c)
        store(out, at + column + 3 * LANES, d)
        column += 4 * LANES
    while column < high:
        a = b = zero
        whole = n_in // (2 * size) * (2 * size)
        for i in range(0, whole, 2 * size):
            place = i // size * width + column
            a = add_products(a, w, row + i, load(x, place))
            b = add_products(b, w, row + i + size, load(x, place + width))
        for i in range(whole, n_in, size):
            a = add_products(a, w, row + i, load(x, i // size * width + column))
        store(out, at + column, a + b)
        column += LANES


@njit(**JIT)
def sums_of(w, start, n_in, first, end, x, width, low, high, out):
    """Σᵢ w[j][i] x[i] for rows first ... end - 1 and the samples in columns low ... high - 1."""
    whole = first + (end - first) // 8 * 8
    for column in range(low, high, 2 * LANES):
        both = column + 2 * LANES <= high
        for j in range(first, whole, 8):
            eight_rows(w, start + j * n_in, n_in, x, width, column, both, out, j * width + column)
    for j in range(whole, end):
        one_row(w, start + j * n_in, n_in, x, width, low, high, out, j * width)


@njit(**JIT)
def line_sums(lines, line, n_out, n_in, columns, x, tile, low, high):
    """What a row of +1 adds to a layer's sums, but for the bias: A Σᵢ c[i] x[i], into the tile's line."""
    zero, first = i32(0), line + n_out
    for i in range(0, n_in, 32):
        store_pairs(tile.columns, i, add_signs(zero, bits_at(lines.words, first + i), lines.amplitude))
        narrow_bytes(tile.columns, i, tile.byte_columns)
    one_row(columns, 0, n_in, x, tile.width, low, high, tile.line, 0)


@njit(**JIT)
def layer_signals(net, plan, layer, w, sums, lines, tile, first, end, low, high, out):
    """From exact sums to signals: biases, a rank-1 code, rounding, the curve. Into pairs, or the tile's outputs.

    Args:
        first, end: rows, first an even one.
        low, high: columns.
    """
    n_in, n_out, width = net.sizes[layer], net.sizes[layer + 1], tile.width
    last = layer == net.sizes.size - 2
    fraction = net.input_fraction if layer == 0 else net.signal_fraction
    excess = fraction + net.weight_fraction - net.signal_fraction
    segment_bits = net.signal_bits - net.lut_bits
    biases = net.starts[layer] + n_in * n_out
    perturbed = lines.amplitude != 0 and lines.first <= layer < lines.last
    line = plan.matrices[layer, 3] if perturbed else 0
    bias_sign = 0
    if perturbed:
        at = line + n_out + n_in
        bias_sign = lines.amplitude if (lines.words[at >> 5] >> np.uint32(at & 31)) & 1 else -lines.amplitude
    for j in range(first, end, 2):
        for column in range(low, high, LANES):
            pair = i32(0)
            for half in range(2):
                if j + half < n_out:
                    at = (j + half) * width + column
                    sum_ = load(sums, at)
                    bias = np.int32(w[biases + j + half])
                    if perturbed:
                        row = line + j + half
                        if (lines.words[row >> 5] >> np.uint32(row & 31)) & 1:
                            sum_, bias = sum_ + load(tile.line, column), bias + bias_sign
                        else:
                            sum_, bias = sum_ - load(tile.line, column), bias - bias_sign
                    sum_ = sum_ + i32(bias << fraction)
                    curve = net.output if last else net.hidden
                    h = neurons(curve, sum_, excess, net.signal_bits, segment_bits)
                    if last:
                        store(tile.outputs, at, h)
                    elif half == 0:
                        pair = h & i32(0xFFFF)
                    else:
                        pair = pair | (h << i32(16))
            if not last:
                store(out, (j >> 1) * width + column, pair)


@njit(**JIT)
def tile_cost(net, costs, plan, w, weights, lines, known, keep, tile, batch, team):
    """Cost codes summed over the samples of this thread: `Chip.cost`.

    All layers but the last are shared by rows: what a thread needs of the weights is then mostly what it wrote itself,
    and need not come from another core's cache. The last layer and the costs are shared by samples; so is everything
    where the first layer's sums stay known, because then no weights move.

    Args:
        w: (P,) parameter codes, padded.
        weights: those of the first layer in bytes, where the tile works on bytes.
        lines: a rank-1 code on top of them.
        known: the tile's base holds the first layer's sums for w already.
        keep: leave them there.
    """
    x, signals, spare = tile.x, tile.signals, tile.spare
    last = net.sizes.size - 2
    for layer in range(last + 1):
        n_in, n_out = net.sizes[layer], net.sizes[layer + 1]
        first, end, low, high = 0, n_out, team.low, team.high
        if layer < last and not keep:
            first, end = rows_of(team, n_out)
            low, high = 0, tile.width
        sums = tile.base if layer == 0 and (known or keep) else tile.sums
        if layer == 0 and not known and tile.bytes:
            sums_of(weights, 0, n_in, first, end, x, tile.width, low, high, sums)
        elif layer > 0 or not known:
            sums_of(w, net.starts[layer], n_in, first, end, x, tile.width, low, high, sums)
        if lines.amplitude != 0 and lines.first <= layer < lines.last:
            if layer == 0 and tile.bytes:
                line_sums(lines, plan.matrices[layer, 3], n_out, n_in, tile.byte_columns, x, tile, low, high)
            else:
                line_sums(lines, plan.matrices[layer, 3], n_out, n_in, tile.columns, x, tile, low, high)
        layer_signals(net, plan, layer, w, sums, lines, tile, first, end, low, high, spare)
        if layer < last and not keep:
            barrier(team)
        x = spare
        signals, spare = spare, signals
    summed = np.int64(0)
    for column in range(team.low, team.high, LANES):
        codes = sample_costs(net, costs, tile, column)
        inside = i32(column) + lane_numbers() < i32(batch)
        summed += np.int64(total(select(inside, codes, i32(0))))
    return summed


@njit(**INLINE)
def sample_costs(net, costs, tile, column):
    """Cost codes of sixteen samples: `datapath.cost_codes`."""
    n_out, width = net.sizes[-1], tile.width
    if costs.cost == MSE:
        squares = i64(0)
        for j in range(n_out):
            t = load(tile.targets, j * width + column)
            shift = costs.target_shift
            if shift > 0:
                t = (t + i32(1 << (shift - 1))) >> i32(shift)
            elif shift < 0:
                t = t << i32(-shift)
            error = to_i64(load(tile.outputs, j * width + column) - t)
            squares = squares + error * error
        code = squares + i64(costs.divisor >> 1)
        if costs.divisor_bits >= 0:
            code = code >> i64(costs.divisor_bits)
        else:  # below 2**52, so the quotient's floor is exact
            code = to_i64(floor(to_f64(code) / f64(costs.divisor)))
    else:
        top = load(tile.outputs, column)
        for j in range(1, n_out):
            h = load(tile.outputs, j * width + column)
            top = select(h > top, h, top)
        summed, target_dot = i32(0), i64(0)
        for j in range(n_out):
            h = load(tile.outputs, j * width + column)
            summed = summed + to_i32(table_values(costs.exp, top - h, net.signal_bits - costs.exp_bits))
            target_dot = target_dot + to_i64(load(tile.targets, j * width + column)) * to_i64(h)
        exponent = i32(31) - leading_zeros(summed)
        mantissa = (summed << (i32(costs.mantissa_bits) - exponent)) - i32(1 << costs.mantissa_bits)
        logarithm = to_i64(exponent - i32(costs.exp_fraction)) * i64(costs.log[-1])
        logarithm = logarithm + table_values(costs.log, mantissa, costs.log_segment)
        code = (to_i64(top) << i64(12)) + logarithm - target_dot
        code = rounded(code, costs.cost_shift)
    code = select(code < i64(0), i64(0), code)
    return to_i32(select(code > i64(costs.cost_max), i64(costs.cost_max), code))


@njit(**INLINE)
def table_values(table, position, segment_bits):
    """`datapath.interpolate` of sixteen positions."""
    segment = position >> i32(segment_bits)
    within = to_i64(position & i32((1 << segment_bits) - 1))
    left = gather(table, segment)
    way = (gather(table, segment + i32(1)) - left) * within
    return left + rounded(way, segment_bits)


@njit(**JIT)
def rounded(value, bits):
    """`datapath.shift_round` of sixteen numbers of 64 bits."""
    if bits <= 0:
        return value << i64(-bits)
    return (value + i64(np.int64(1) << (bits - 1))) >> i64(bits)


@njit(**JIT)
def load_weights(w, first, end, weights):
    """Parameters first ... end - 1, and some beyond, into a tile's weights, without or with a perturbation."""
    for at in range(first, end, 32):
        narrow_bytes(w, at, weights)


@njit(**JIT)
def perturb_weights(words, first, end, amplitude, tile):
    """The tile's weights first ... end - 1, and some beyond, with one sign of an amplitude each."""
    for at in range(first, end, 32):
        perturb_bytes(tile.weights, at, bits_at(words, at), amplitude, tile.perturbed_weights)


@njit(**JIT)
def perturb_by_signs(requested, words, start, end, amplitude, perturbed):
    """θ + θ̃ for parameters start ... end - 1 (start a multiple of 32 or the first), where θ̃ is one sign each."""
    whole = start + (end - start) // 32 * 32
    for at in range(start, whole, 32):
        store_pairs(perturbed, at, add_signs(load_pairs(requested, at), bits_at(words, at), amplitude))
    for at in range(whole, end):
        plus = (words[at >> 5] >> np.uint32(at & 31)) & 1
        perturbed[at] = requested[at] + np.int16(amplitude if plus else -amplitude)
