"""A measurement of one or a few samples on a nonideal chip of small numbers: `small_batch.py` with noise and mismatch.

All noise of a sample's measurement is drawn together, a block to a lane, whatever it is for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.gaussian_draws import far_draw, field_of, gaussian_pairs
from mgdhw.compiled.kernels.gaussian_noise import FIELDS, scaled
from mgdhw.compiled.kernels.int16_pairs import (
    add_pairs,
    choose_pairs,
    clip_pairs,
    narrow_products,
    scale_pairs,
    shift_pairs,
    upper_products,
)
from mgdhw.compiled.kernels.philox import in_order, philox_of_key
from mgdhw.compiled.kernels.products import pair_products
from mgdhw.compiled.kernels.simd import LANES, bits_at, gather, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import i32, lowest_bit, to_i64, total, u32
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import sample_cost
from mgdhw_sim.engines.numba.kernels.small_batch import clipped

BOUND = 1 << 30
"""Sums are clipped here before noise of 16 bits is added: far beyond what a signal holds."""


class Rows(NamedTuple):
    """The noise of one measurement of one sample, in blocks of eight draws: inputs, columns of each layer, cost."""

    n: int
    """Blocks."""
    blocks: Any
    strides: Any
    """(n,) number of a block in the first sample's row, and blocks from one sample to the next."""
    purposes: Any
    """(n,) what a block is for: stream + 256 layer."""
    strengths: Any
    """(8 n,) of each draw; 0 where nothing is behind it."""
    places: Any
    """(L + 2,) where the draws of inputs, of each layer's columns, and of the cost begin; behind all where there are
    none, where zeros lie."""
    noise: Any
    """The draws, scaled."""
    x: Any
    """(padded n_in,) inputs of a sample with their noise."""
    wide: Any
    """(16,) some of it in 32 bits."""
    settled: Any
    """(B, padded n_out) settled outputs of the last measurement."""


@njit(**INLINE)
def noisy(x, noise, fine, top):
    """Lanes of pairs of inputs in fine units, with their noise."""
    return clip_pairs(add_pairs(shift_pairs(x, fine), noise), top)


@njit(**INLINE)
def draw_row(nonideal, rows, step, measurement, row):
    """Draw the noise of a measurement of one sample: `nonideal.row_noise`."""
    s0, s1 = u32(step), u32(step >> 32)
    noise, strengths = rows.noise, rows.strengths
    for first in range(0, rows.n, LANES):
        blocks = load(rows.blocks, first) + load(rows.strides, first) * u32(row)
        purposes = load(rows.purposes, first) + u32(measurement << 16)
        w0, w1, w2, w3 = in_order(*philox_of_key(s0, s1, blocks, purposes, nonideal.key0, nonideal.key1))
        at = FIELDS * first
        g0, g1, far = gaussian_pairs(w0, w1)
        store_pairs(noise, at, scale_pairs(g0, load_pairs(strengths, at)))
        store_pairs(noise, at + 32, scale_pairs(g1, load_pairs(strengths, at + 32)))
        g2, g3, further = gaussian_pairs(w2, w3)
        store_pairs(noise, at + 64, scale_pairs(g2, load_pairs(strengths, at + 64)))
        store_pairs(noise, at + 96, scale_pairs(g3, load_pairs(strengths, at + 96)))
        while far != 0:
            bit = lowest_bit(far)
            place = (bit >> 1) + 32 * (bit & 1)
            put_far(nonideal, rows, field_of(w0, w1, bit), step, measurement, row, at + place)
            far &= far - np.uint64(1)
        while further != 0:
            bit = lowest_bit(further)
            place = 64 + (bit >> 1) + 32 * (bit & 1)
            put_far(nonideal, rows, field_of(w2, w3, bit), step, measurement, row, at + place)
            further &= further - np.uint64(1)


@njit(**JIT)
def put_far(nonideal, rows, field, step, measurement, row, place):
    """A tail draw of a second word."""
    size = np.int64(rows.strengths[place])
    if size == 0:
        return
    block = place // FIELDS
    index = FIELDS * (np.int64(rows.blocks[block]) + np.int64(rows.strides[block]) * row) + place % FIELDS
    purpose = np.int64(rows.purposes[block]) + (measurement << 16)
    rows.noise[place] = scaled(far_draw(field, nonideal.key0, nonideal.key1, purpose, step, index), size)


@njit(**INLINE)
def nonideal_neuron(net, nonideal, neurons, curve, neuron, sum_, noise):
    """One neuron, from its sum's signal on: `nonideal.signals`."""
    top = (np.int64(1) << (net.signal_bits - 1)) - 1
    bits = net.signal_bits - net.lut_bits
    z = min(max(sum_ + noise, -top - 1), top)
    z = ((z - neurons.midpoint[neuron]) * np.int64(neurons.steepness[neuron]) + 2048) >> 12
    position = min(max(z, -top - 1), top) + top + 1
    pair = np.int64(curve[position >> bits])
    within = position & ((np.int64(1) << bits) - 1)
    h = np.int64(np.int16(pair & 0xFFFF)) + (((pair >> 16) * within + ((np.int64(1) << bits) >> 1)) >> bits)
    h = ((h * np.int64(nonideal.amplitude[neuron]) + 2048) >> 12) + np.int64(nonideal.neuron_offset[neuron])
    return min(max(h, -top - 1), top)


@njit(**INLINE)
def nonideal_neurons(net, curve, midpoint, steepness, amplitude, offset, sums, noise):
    """Sixteen neurons, or one of sixteen samples."""
    position = positions(net, midpoint, steepness, sums, noise)
    return signals_at(net, gather(curve, position >> i32(net.signal_bits - net.lut_bits)), position, amplitude, offset)


@njit(**INLINE)
def positions(net, midpoint, steepness, sums, noise):
    """Where on their curve they are, from its beginning."""
    top, bottom = i32((1 << (net.signal_bits - 1)) - 1), i32(-(1 << (net.signal_bits - 1)))
    z = clipped(sums + noise, bottom, top)
    z = ((z - midpoint) * steepness + i32(2048)) >> i32(12)
    return clipped(z, bottom, top) - bottom


@njit(**INLINE)
def signals_at(net, pair, position, amplitude, offset):
    """Their signals, from the pieces of their curves."""
    bits = net.signal_bits - net.lut_bits
    top, bottom = i32((1 << (net.signal_bits - 1)) - 1), i32(-(1 << (net.signal_bits - 1)))
    within = position & i32((1 << bits) - 1)
    h = ((pair << i32(16)) >> i32(16)) + ((upper_products(pair, within) + i32((1 << bits) >> 1)) >> i32(bits))
    return clipped(((narrow_products(h, amplitude) + i32(2048)) >> i32(12)) + offset, bottom, top)


@njit(**INLINE)
def rounded_sum(sum_, excess):
    """The signal of a sum, before its noise."""
    z = sum_ << -excess if excess <= 0 else (sum_ + (np.int64(1) << (excess - 1))) >> excess
    return min(max(z, -BOUND), BOUND)


@njit(**INLINE)
def signals_of(net, nonideal, neurons, plus, minus, signs, x, at, rows, space):
    """One sample through the network; the last layer's signals go into the space's outputs.

    Args:
        plus: (P,) fine weights, padded.
        minus: those that take their place where a sign is not set.
        signs: which; amplitude 0 is none.
        x, at: inputs of the sample from x[at] on, padded with zeros to a multiple of 32.
    """
    signals, spare, sums, noise = space.signals, space.spare, space.sums, rows.noise
    n_layers, neuron = net.sizes.size - 1, 0
    for i in range(0, net.strides[0], 32):
        drawn = load_pairs(noise, rows.places[0] + i)
        store_pairs(rows.x, i, noisy(load_pairs(x, at + i), drawn, nonideal.input_fine, nonideal.input_top))
    x = rows.x
    for layer in range(n_layers):
        n_in, n_out, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
        fraction = net.input_fraction if layer == 0 else net.signal_fraction
        excess = fraction + net.weight_fraction - net.signal_fraction
        curve = net.output if layer == n_layers - 1 else net.hidden
        biases, reach = start + n_in * n_out, LANES * net.spans[layer]
        wide = n_out >= 16
        signed = signs.amplitude != 0 and signs.first <= start < signs.end
        words, place = signs.words, rows.places[layer + 1]
        for j in range(n_out):
            row = start + j * n_in
            bias = np.int64(plus[biases + j])
            if signed and not (words[(biases + j) >> 5] >> np.uint32((biases + j) & 31)) & 1:
                bias = np.int64(minus[biases + j])
            sum_ = bias << fraction
            if n_in <= 4 and layer > 0:  # signals that were stored one by one just before: `small_batch.signals_of`
                bits = bits_at(words, row) if signed else np.uint32(15)
                for i in range(n_in):
                    w = np.int64(plus[row + i]) if (bits >> np.uint32(i)) & 1 else np.int64(minus[row + i])
                    sum_ += w * np.int64(x[i])
            else:
                for low in range(0, n_in, reach):
                    lanes = i32(0)
                    for i in range(low, min(n_in, low + reach), 32):
                        w = load_pairs(plus, row + i)
                        if signed:
                            w = choose_pairs(bits_at(words, row + i), w, load_pairs(minus, row + i))
                        lanes = lanes + pair_products(w, load_pairs(x, i))
                    sum_ += np.int64(total(lanes)) if n_in <= net.spans[layer] else total(to_i64(lanes))
            z = rounded_sum(sum_, excess)
            if wide:
                sums[j] = z
            else:
                spare[j] = nonideal_neuron(net, nonideal, neurons, curve, neuron + j, z, np.int64(noise[place + j]))
        if wide:
            for j in range(0, n_out, 16):
                for k in range(16):  # noise in 32 bits; what lies beyond the last neuron is ignored
                    rows.wide[k] = noise[place + j + k]
                h = nonideal_neurons(
                    net, curve, load(neurons.midpoint, neuron + j), load(neurons.steepness, neuron + j),
                    load(nonideal.amplitude, neuron + j), load(nonideal.neuron_offset, neuron + j), load(sums, j),
                    load(rows.wide, 0),
                )  # fmt: skip
                store(sums, j, h)
            for j in range(n_out):
                spare[j] = np.int16(sums[j])
        neuron += n_out
        if layer == n_layers - 1:
            for j in range(n_out):
                space.outputs[0, j] = spare[j]
            return
        store_pairs(spare, n_out, i32(0))  # the next layer's products read whole vectors
        x = spare
        signals, spare = spare, signals


@njit(**INLINE)
def measure_few(setup, nonideal, neurons, plus, minus, signs, chosen, step, measurement, follows, rows, space):
    """One evaluation of (B,) samples, `rows.settled` being the settled outputs of the one before.

    Args:
        follows: whether anything of that one is left.

    Returns:
        Cost codes summed over the samples, with their noise.
    """
    net, summed, stride = setup.net, np.int64(0), setup.net.strides[0]
    n_out, residue = net.sizes[-1], nonideal.settling
    for row in range(chosen.size):
        draw_row(nonideal, rows, step, measurement, row)
        if setup.samples.size > 0:
            signals_of(net, nonideal, neurons, plus, minus, signs, setup.samples, chosen[row] * stride, rows, space)
        else:
            signals_of(net, nonideal, neurons, plus, minus, signs, space.x, row * stride, rows, space)
        if residue != 0:
            for j in range(n_out):
                h = np.int64(space.outputs[0, j])
                if follows:
                    space.outputs[0, j] = h + ((residue * (np.int64(rows.settled[row, j]) - h) + 16384) >> 15)
                rows.settled[row, j] = h
        code = sample_cost(setup.costs, space.outputs, 0, setup.targets, chosen[row])
        code += np.int64(rows.noise[rows.places[-1]])
        summed += min(max(code, 0), setup.costs.cost_max)
    return summed
