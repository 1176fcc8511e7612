"""The chip's arithmetic, compiled: what `datapath.py`, `codes/` and `philox.py` define, one probe at a time.

Every function equals a definition in readable numpy, which its docstring names. Integers alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import JIT
from mgdhw_sim.reference.tables import COST_FINE_BITS

RANDOM, RANK1, SEQUENTIAL, SINUSOIDAL, SPARSE, WALSH = range(6)
MSE, XENT, TABLE = range(3)
STREAM_CODES = 1


class Net(NamedTuple):
    """A chip's numbers and tables, as kernels take them; all shifts follow from `ChipSpec`."""

    sizes: Any
    """(L + 1,) layer sizes."""
    starts: Any
    """(L,) index of each layer's first parameter."""
    input_fraction: int
    signal_fraction: int
    weight_fraction: int
    signal_bits: int
    lut_bits: int
    hidden: Any
    """Activation table of the hidden layers."""
    output: Any
    """Activation table of the last layer."""
    int32_sums: bool
    """Whether 32 bits hold every sum of every layer."""
    cost: int
    cost_max: int
    divisor: int
    """mse: squared signals to one cost code."""
    divisor_bits: int
    """Its logarithm where it is a power of two, else -1."""
    target_shift: int
    """mse, table: target codes to signals."""
    exp: Any
    """xent: exp(-d); table: the cost of an error."""
    log: Any
    """xent: its other table, and the fraction bits of its exponential, mantissa and sum."""
    exp_bits: int
    exp_fraction: int
    log_segment: int
    mantissa_bits: int
    cost_shift: int


class CodePlan(NamedTuple):
    """A code family as kernels take it.

    `groups` is (G, 2): first parameter and size of each; `matrices` is (M, 4): start in θ, n_out, n_in, first line,
    and `first_matrix` (G + 1,) says which of them belong to which group. `windows` (G,) are the families' periods.
    """

    family: int
    key0: int
    key1: int
    amplitude: int
    threshold: int
    groups: Any
    matrices: Any
    first_matrix: Any
    windows: Any
    sine: Any


@njit(**JIT)
def philox(step, block, stream, key0, key1):
    """Four words of one counter: `mgdhw.random.philox.philox4x32`."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1 = np.uint64(step) & low, np.uint64(step) >> np.uint64(32)
    c2, c3 = np.uint64(block), np.uint64(stream)
    k0, k1 = np.uint64(key0), np.uint64(key1)
    for _ in range(10):
        p0 = c0 * np.uint64(0xD2511F53)
        p1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & low, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


@njit(**JIT)
def random_bits(step, first, count, key0, key1, bits):
    """Bits `first` ... `first + count - 1` of stream codes at a step, into bits[0 ... count - 1]."""
    block = np.int64(-1)
    w0 = w1 = w2 = w3 = np.uint64(0)
    for i in range(count):
        index = first + i
        if index >> 7 != block:
            block = index >> 7
            w0, w1, w2, w3 = philox(step, block, STREAM_CODES, key0, key1)
        which = (index >> 5) & 3
        word = w0 if which == 0 else w1 if which == 1 else w2 if which == 2 else w3
        bits[i] = np.uint8((word >> np.uint64(index & 31)) & np.uint64(1))


@njit(**JIT)
def restore(requested, first, end, perturbed):
    """Parameters `first` ... `end` - 1 without a perturbation."""
    for i in range(first, end):
        perturbed[i] = requested[i]


@njit(**JIT)
def fill_codes(plan, probe, bits, code):
    """θ̃ of a probe into code[first ... first + size - 1] of its group: `mgdhw.codes.Codes`.

    Returns:
        first, size of the group that the probe perturbs; nothing else of `code` is touched.
    """
    n_groups = plan.groups.shape[0]
    turn = probe % n_groups
    t = probe // n_groups
    first, size = plan.groups[turn, 0], plan.groups[turn, 1]
    a = plan.amplitude
    if plan.family == RANDOM:
        random_bits(t, first, size, plan.key0, plan.key1, bits)
        for i in range(size):
            code[first + i] = np.int16(2 * a * np.int64(bits[i]) - a)
    elif plan.family == WALSH:
        window = plan.windows[turn]
        random_bits(t // window, first, size, plan.key0, plan.key1, bits)
        phase = t % window
        for i in range(size):
            x = (i + 1) & phase
            x ^= x >> 32
            x ^= x >> 16
            x ^= x >> 8
            x ^= x >> 4
            x ^= x >> 2
            x ^= x >> 1
            code[first + i] = np.int16(2 * a * ((x & 1) ^ np.int64(bits[i])) - a)
    elif plan.family == SEQUENTIAL:
        for i in range(size):
            code[first + i] = 0
        code[first + t % size] = np.int16(a)
    elif plan.family == SPARSE:
        block = np.int64(-1)
        w0 = w1 = w2 = w3 = np.uint64(0)
        for i in range(size):
            index = first + i
            if index >> 3 != block:
                block = index >> 3
                w0, w1, w2, w3 = philox(t, block, STREAM_CODES, plan.key0, plan.key1)
            which = (index >> 1) & 3
            word = w0 if which == 0 else w1 if which == 1 else w2 if which == 2 else w3
            field = np.int64((word >> np.uint64(16 * (index & 1))) & np.uint64(0xFFFF))
            if field & 0x7FFF < plan.threshold:
                code[index] = np.int16(a if field >> 15 else -a)
            else:
                code[index] = 0
    elif plan.family == SINUSOIDAL:
        window = plan.windows[turn]
        turns = (np.int64(1) << 32) // window
        phase = t % window
        block = np.int64(-1)
        w0 = w1 = w2 = w3 = np.uint64(0)
        for i in range(size):
            index = first + i
            if index >> 2 != block:
                block = index >> 2
                w0, w1, w2, w3 = philox(0, block, STREAM_CODES, plan.key0, plan.key1)
            which = index & 3
            word = w0 if which == 0 else w1 if which == 1 else w2 if which == 2 else w3
            angle = (phase * ((window // 8 + 1 + i) * turns) + np.int64(word)) & np.int64(0xFFFFFFFF)
            code[index] = np.int16((plan.sine[angle >> 20] * a + 16384) >> 15)
    else:
        for m in range(plan.first_matrix[turn], plan.first_matrix[turn + 1]):
            start, n_out, n_in, line = plan.matrices[m]
            random_bits(t, line, n_out + n_in + 1, plan.key0, plan.key1, bits)
            for j in range(n_out):
                row = a if bits[j] else -a
                for i in range(n_in):
                    code[start + j * n_in + i] = np.int16(row if bits[n_out + i] else -row)
                code[start + n_out * n_in + j] = np.int16(row if bits[n_out + n_in] else -row)
    return first, size


@njit(**JIT)
def shift_round(value, bits):
    """`datapath.shift_round`."""
    if bits <= 0:
        return value << -bits
    return (value + (np.int64(1) << (bits - 1))) >> bits


@njit(**JIT)
def interpolate(table, position, segment_bits):
    """`datapath.interpolate`."""
    segment = position >> segment_bits
    within = position & ((np.int64(1) << segment_bits) - 1)
    left = np.int64(table[segment])
    return left + shift_round((np.int64(table[segment + 1]) - left) * within, segment_bits)


@njit(**JIT)
def dot_int32(w, x):
    """Σ w x where 32 bits hold it."""
    total = np.int32(0)
    for i in range(w.size):
        total = np.int32(total + np.int32(np.int32(w[i]) * np.int32(x[i])))
    return np.int64(total)


@njit(**JIT)
def dot_int64(w, x):
    """Σ w x in 64 bits."""
    total = np.int64(0)
    for i in range(w.size):
        total += np.int64(w[i]) * np.int64(x[i])
    return total


@njit(**JIT)
def dense(net, layer, w, x, n_rows, out):
    """One layer, crossbar and neurons: `datapath.preactivations` and `datapath.activate`."""
    n_in, n_out = net.sizes[layer], net.sizes[layer + 1]
    start = net.starts[layer]
    biases = start + n_in * n_out
    fraction = net.input_fraction if layer == 0 else net.signal_fraction
    excess = fraction + net.weight_fraction - net.signal_fraction
    top = (np.int64(1) << (net.signal_bits - 1)) - 1
    last = layer == net.sizes.size - 2
    segment_bits = net.signal_bits - net.lut_bits
    for j in range(n_out):
        bias = np.int64(w[biases + j]) << fraction
        weights = w[start + j * n_in : start + (j + 1) * n_in]
        for row in range(n_rows):
            total = dot_int32(weights, x[row, :n_in]) if net.int32_sums else dot_int64(weights, x[row, :n_in])
            z = shift_round(total + bias, excess)
            z = min(max(z, -top - 1), top) + top + 1
            out[row, j] = interpolate(net.output if last else net.hidden, z, segment_bits)


@njit(**JIT)
def sample_cost(net, signals, row, targets, sample):
    """Cost code of one sample: `datapath.cost_codes`."""
    n = net.sizes[-1]
    if net.cost == MSE:
        total = np.int64(0)
        for j in range(n):
            error = np.int64(signals[row, j]) - shift_round(np.int64(targets[sample, j]), net.target_shift)
            total += error * error
        total += net.divisor >> 1
        code = total >> net.divisor_bits if net.divisor_bits >= 0 else total // net.divisor
    elif net.cost == TABLE:
        bound = np.int64(1) << net.signal_bits
        total = np.int64(0)
        for j in range(n):
            error = np.int64(signals[row, j]) - shift_round(np.int64(targets[sample, j]), net.target_shift)
            position = min(max(error, -bound), bound - 1) + bound
            total += interpolate(net.exp, position, net.signal_bits - net.lut_bits)
        code = shift_round(total, np.int64(COST_FINE_BITS))
    else:
        top = np.int64(signals[row, 0])
        for j in range(1, n):
            top = max(top, np.int64(signals[row, j]))
        total = np.int64(0)
        target_dot = np.int64(0)
        for j in range(n):
            signal = np.int64(signals[row, j])
            total += interpolate(net.exp, top - signal, net.signal_bits - net.exp_bits)
            target_dot += np.int64(targets[sample, j]) * signal
        exponent = np.int64(0)
        rest = total >> 1
        while rest > 0:
            rest >>= 1
            exponent += 1
        up = net.mantissa_bits - exponent
        mantissa = (total << up if up >= 0 else total >> -up) - (np.int64(1) << net.mantissa_bits)
        logarithm = (exponent - net.exp_fraction) * np.int64(net.log[-1])
        logarithm += interpolate(net.log, mantissa, net.log_segment)
        code = shift_round((top << 12) + logarithm - target_dot, net.cost_shift)
    return min(max(code, 0), net.cost_max)


@njit(**JIT)
def cost(net, w, inputs, targets, samples, x, signals, spare):
    """Cost codes summed over (B,) samples: `Chip.cost`.

    `x` (R, n_in), `signals` and `spare` (R, widest) are work space, for R samples at a time.
    """
    total = np.int64(0)
    for start in range(0, samples.size, x.shape[0]):
        n_rows = min(x.shape[0], samples.size - start)
        for row in range(n_rows):
            for i in range(net.sizes[0]):
                x[row, i] = inputs[samples[start + row], i]
        dense(net, 0, w, x, n_rows, signals)
        for layer in range(1, net.sizes.size - 1):
            dense(net, layer, w, signals, n_rows, spare)
            signals, spare = spare, signals
        for row in range(n_rows):
            total += sample_cost(net, signals, row, targets, samples[start + row])
    return total
