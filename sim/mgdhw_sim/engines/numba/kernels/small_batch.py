"""A probe of one or a few samples: each neuron's sum is a product of two vectors of 16-bit numbers.

For chips whose inputs, signals and parameters fit into 16 bits and whose sums fit into 32 (`Int16Network`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.products import add_signs, pair_products, short_product
from mgdhw.compiled.kernels.simd import bits_at, gather, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import i32, select, total
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import sample_cost


class Int16Network(NamedTuple):
    """A chip whose numbers are small, as the kernels of this and the next files take it.

    Curves are tables of pairs: a border's signal in the low 16 bits, the way to the next border's in the high ones.
    """

    sizes: Any
    """(L + 1,) layer sizes."""
    starts: Any
    """(L,) index of each layer's first parameter."""
    strides: Any
    """(L + 1,) room for a layer's signals: its size, padded to a multiple of 32."""
    input_fraction: int
    signal_fraction: int
    weight_fraction: int
    signal_bits: int
    lut_bits: int
    hidden: Any
    output: Any


class Signs(NamedTuple):
    """A perturbation of parameters first ... end - 1 by plus or minus one amplitude each; amplitude 0 is none."""

    words: Any
    """Bit i is parameter i's: plus for 1."""
    amplitude: int
    first: int
    end: int


class Space(NamedTuple):
    """Work space for B samples."""

    x: Any
    """(B * padded n_in,) inputs."""
    signals: Any
    spare: Any
    """(4 * (widest + 32),) signals of one sample, for one probe or for four; twice."""
    sums: Any
    """(4 * widest,) pre-activations."""
    outputs: Any
    """(4, n_out) signals of the last layer, of one probe or of four."""
    four: Any
    """(4,) costs of four probes."""


@njit(**INLINE)
def neuron(curve, sum_, excess, signal_bits, segment_bits):
    """`datapath.preactivations` from the exact sum on, and `datapath.activate`."""
    z = sum_ << -excess if excess <= 0 else (sum_ + (np.int64(1) << (excess - 1))) >> excess
    top = (np.int64(1) << (signal_bits - 1)) - 1
    position = min(max(z, -top - 1), top) + top + 1
    pair = np.int64(curve[position >> segment_bits])
    within = position & ((np.int64(1) << segment_bits) - 1)
    left, way = np.int64(np.int16(pair & 0xFFFF)), pair >> 16
    return left + ((way * within + ((np.int64(1) << segment_bits) >> 1)) >> segment_bits)


@njit(**INLINE)
def clipped(value, low, high):
    """Sixteen numbers within limits."""
    value = select(value > high, high, value)
    return select(value < low, low, value)


@njit(**INLINE)
def neurons(curve, sums, excess, signal_bits, segment_bits):
    """Sixteen neurons."""
    z = (sums + i32(1 << (excess - 1))) >> i32(excess) if excess > 0 else sums << i32(-excess)
    top = i32((1 << (signal_bits - 1)) - 1)
    bottom = i32(-(1 << (signal_bits - 1)))
    position = clipped(z, bottom, top) - bottom
    pair = gather(curve, position >> i32(segment_bits))
    within = position & i32((1 << segment_bits) - 1)
    left, way = (pair << i32(16)) >> i32(16), pair >> i32(16)
    return left + ((way * within + i32((1 << segment_bits) >> 1)) >> i32(segment_bits))


@njit(**INLINE)
def signals_of(net, parameters, signs, x, at, space):
    """One sample through the network; the last layer's signals go into the space's outputs.

    Args:
        parameters: (P,) codes, padded.
        signs: what is added to them on the way.
        x, at: inputs of the sample from x[at] on, padded with zeros to a multiple of 32.
    """
    signals, spare, sums = space.signals, space.spare, space.sums
    segment_bits = net.signal_bits - net.lut_bits
    n_layers = net.sizes.size - 1
    for layer in range(n_layers):
        n_in, n_out, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
        fraction = net.input_fraction if layer == 0 else net.signal_fraction
        excess = fraction + net.weight_fraction - net.signal_fraction
        curve = net.output if layer == n_layers - 1 else net.hidden
        biases = start + n_in * n_out
        wide = n_out >= 16
        size = signs.amplitude if signs.first <= start < signs.end else 0
        words = signs.words
        for j in range(n_out):
            row = start + j * n_in
            bias = np.int64(parameters[biases + j])
            if size != 0:
                bias += size if (words[(biases + j) >> 5] >> np.uint32((biases + j) & 31)) & 1 else -size
            if n_in <= 8 and layer == 0:
                sum_ = np.int64(short_product(parameters, row, bits_at(words, row), size, x, at))
            elif n_in <= 4:
                # Signals that were stored one by one a moment ago are loaded one by one: a vector of them would have to
                # wait until all of them are in the cache.
                bits = bits_at(words, row)
                sum_ = np.int64(0)
                for i in range(4):
                    w = np.int64(parameters[row + i]) + (size if (bits >> np.uint32(i)) & 1 else -size)
                    sum_ += w * np.int64(x[at + i])
            else:
                lanes = i32(0)
                if size != 0:
                    for i in range(0, n_in, 32):
                        w = add_signs(load_pairs(parameters, row + i), bits_at(words, row + i), size)
                        lanes = lanes + pair_products(w, load_pairs(x, at + i))
                else:
                    for i in range(0, n_in, 32):
                        lanes = lanes + pair_products(load_pairs(parameters, row + i), load_pairs(x, at + i))
                sum_ = np.int64(total(lanes))
            sum_ += bias << fraction
            if wide:
                sums[j] = sum_
            else:
                spare[j] = neuron(curve, sum_, excess, net.signal_bits, segment_bits)
        if wide:
            for j in range(0, n_out, 16):
                h = neurons(curve, load(sums, j), excess, net.signal_bits, segment_bits)
                store(sums, j, h)
            for j in range(n_out):
                spare[j] = np.int16(sums[j])
        if layer == n_layers - 1:
            for j in range(n_out):
                space.outputs[0, j] = spare[j]
            return
        store_pairs(spare, n_out, i32(0))  # the next layer's products read whole vectors
        x, at = spare, 0
        signals, spare = spare, signals


@njit(**JIT)
def signals_of_four(net, parameters, words0, words1, words2, words3, amplitude, x, at, space):
    """One sample through the network for four probes that differ in their signs: the weights are read once for all.

    The last layer's signals go into the space's outputs. All parameters have a sign; else as `signals_of`.
    """
    signals, spare, sums = space.signals, space.spare, space.sums
    room, widest = space.signals.size // 4, space.sums.size // 4
    segment_bits = net.signal_bits - net.lut_bits
    n_layers = net.sizes.size - 1
    stride = 0  # all see the same inputs
    for layer in range(n_layers):
        n_in, n_out, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
        fraction = net.input_fraction if layer == 0 else net.signal_fraction
        excess = fraction + net.weight_fraction - net.signal_fraction
        curve = net.output if layer == n_layers - 1 else net.hidden
        biases = start + n_in * n_out
        for j in range(n_out):
            row = start + j * n_in
            a = b = c = d = i32(0)
            for i in range(0, n_in, 32):
                w, here, bit = load_pairs(parameters, row + i), at + i, row + i
                a = a + pair_products(add_signs(w, bits_at(words0, bit), amplitude), load_pairs(x, here))
                b = b + pair_products(add_signs(w, bits_at(words1, bit), amplitude), load_pairs(x, here + stride))
                c = c + pair_products(add_signs(w, bits_at(words2, bit), amplitude), load_pairs(x, here + 2 * stride))
                d = d + pair_products(add_signs(w, bits_at(words3, bit), amplitude), load_pairs(x, here + 3 * stride))
            bias, bit = np.int32(parameters[biases + j]), biases + j
            sums[j] = total(a) + (bias + signed(words0, bit, amplitude) << fraction)
            sums[widest + j] = total(b) + (bias + signed(words1, bit, amplitude) << fraction)
            sums[2 * widest + j] = total(c) + (bias + signed(words2, bit, amplitude) << fraction)
            sums[3 * widest + j] = total(d) + (bias + signed(words3, bit, amplitude) << fraction)
        for k in range(4):
            for j in range(0, n_out, 16):
                place = k * widest + j
                store(sums, place, neurons(curve, load(sums, place), excess, net.signal_bits, segment_bits))
            if layer == n_layers - 1:
                for j in range(n_out):
                    space.outputs[k, j] = sums[k * widest + j]
            else:
                for j in range(n_out):
                    spare[k * room + j] = np.int16(sums[k * widest + j])
                store_pairs(spare, k * room + n_out, i32(0))
        x, at, stride = spare, 0, room
        signals, spare = spare, signals


@njit(**INLINE)
def signed(words, bit, amplitude):
    """The amplitude, with the sign of one bit."""
    return amplitude if (words[bit >> 5] >> np.uint32(bit & 31)) & 1 else -amplitude


@njit(**INLINE)
def cost_of(net, costs, parameters, signs, samples, targets, chosen, space):
    """Cost codes summed over (B,) samples: `Chip.cost`.

    Args:
        samples: inputs of all samples, padded; empty if those of the batch are in the space instead.
    """
    summed, stride = np.int64(0), net.strides[0]
    for row in range(chosen.size):
        if samples.size > 0:
            signals_of(net, parameters, signs, samples, chosen[row] * stride, space)
        else:
            signals_of(net, parameters, signs, space.x, row * stride, space)
        summed += sample_cost(costs, space.outputs, 0, targets, chosen[row])
    return summed


@njit(**JIT)
def load_inputs(setup, chosen, space):
    """Inputs of a batch into the space, unless they are ready already."""
    if setup.samples.size > 0:
        return
    n_in, stride = setup.net.sizes[0], setup.net.strides[0]
    for row in range(chosen.size):
        sample = chosen[row]
        for i in range(n_in):
            space.x[row * stride + i] = setup.inputs[sample, i]


@njit(**JIT)
def perturb_by_codes(requested, code, start, size, sign, perturbed):
    """θ + sign · θ̃ for any codes."""
    for i in range(start, start + size):
        perturbed[i] = requested[i] + np.int16(sign) * code[i]
