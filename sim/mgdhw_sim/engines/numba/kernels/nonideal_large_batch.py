"""A measurement of many samples on a nonideal chip of small numbers: `large_batch.py` with noise and mismatch.

A strip of samples goes through all layers before the next one: what it needs stays in the nearest caches. Sums are
taken in 32 bits (`nonideal_args.NonidealInt16Network.bits`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import prefetch_later
from mgdhw.compiled.kernels.int16_pairs import perturbed_pairs, shift_pairs
from mgdhw.compiled.kernels.products import add_products
from mgdhw.compiled.kernels.simd import LANES, bits_at, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.transposed_loads import BYTES, column_pairs, store_columns
from mgdhw.compiled.kernels.vector_math import i32, lane_numbers, select, total
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernels.large_batch import add_rows, sample_costs, store_rows
from mgdhw_sim.engines.numba.kernels.nonideal_batch_noise import STRIP, draw_lanes, put_far
from mgdhw_sim.engines.numba.kernels.nonideal_batch_remainder import few_sums
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import nonideal_neurons
from mgdhw_sim.engines.numba.kernels.small_batch import clipped

INPUT, READ, COST = (np.int64(stream) for stream in (Stream.INPUT, Stream.READ, Stream.COST))
NOTHING, ONE, WIDTH, ANY = (np.int64(number) for number in (0, 1, STRIP, (1 << 15) - 1))
"""Arguments that are no constants to numba, which would make a variety of a kernel for each."""
LINE = 64
"""Bytes of a cache line."""
INPUTS = 256
"""That are drawn for between two fetches of what comes next."""


class NonidealTile(NamedTuple):
    """Signals and sums of B samples, [..][width], where width is B padded to a multiple of sixteen; or of a strip."""

    width: int
    few: int
    """Column from which on there are but a few samples (`nonideal_batch_remainder.py`); the width if there is none."""
    places: Any
    """(width,) where each sample begins among all inputs; those beyond the batch repeat its first one."""
    noisy: Any
    shorts: Any
    """[pair of inputs][STRIP] inputs with their noise, up to a multiple of eight; and this array as one of 16 bits."""
    words: Any
    """Words that become draws."""
    tail: Any
    """`nonideal_batch_noise.TailDraws`."""
    draws: Any
    """[pair of columns][STRIP] read noise of a layer, and [4][width] of costs, in 16 bits."""
    sums: Any
    """[widest][STRIP], without their lowest bits."""
    signals: Any
    spare: Any
    """[widest / 2][STRIP], twice; some more rows of the one hold few samples' sums while they are made."""
    raw: Any
    outputs: Any
    targets: Any
    """[n_out][width] settled outputs, outputs with the residue of the measurement before, and target codes."""
    settled: Any
    """[n_out][width] settled outputs of the last measurement."""


class NextBatch(NamedTuple):
    """Where inputs come from; and the batch after this one, which is fetched while this one is worked on."""

    inputs: Any
    """All inputs, one sample after the other."""
    chosen: Any
    """(B,) samples of the batch that follows; empty if it is unknown."""
    size: int
    """Inputs of one."""


class SplitProbe(NamedTuple):
    """For a team of two that shares a probe of two measurements: each does one of them by itself."""

    works: bool
    """There is such a team, and codes are signs of all parameters."""
    team: Any
    """Of this thread alone."""
    tile: Any
    """Its own work space."""
    perturbed: Any
    """(P,) its own room for fine weights with a perturbation."""
    ready: Any
    """(1,) the step for whose probe those of its own cells are there already."""
    theirs: Any
    changed_weights: Any
    """(P,) the other thread's fine weights, and the list of those that it has written."""
    one: Any
    other: Any
    """[n_out][width] settled outputs of the first thread's measurement, and of the second's."""


@njit(**JIT)
def load_batch(inputs, targets, chosen, tile, low, high):
    """Of a batch, where the samples in columns low ... high - 1 begin, and their targets."""
    for column in range(low, high):
        index = np.int64(chosen[column if column < chosen.size else 0])
        tile.places[column] = index * inputs.shape[1]
        for j in range(targets.shape[1]):
            tile.targets[j * tile.width + column] = targets[index, j]


@njit(**JIT)
def load_inputs(inputs, first, end, low, high, tile):
    """Inputs first ... end - 1 of samples in columns low ... high - 1, side by side.

    Args:
        inputs: of all samples, one after the other.
        first: a multiple of sixteen.
    """
    size = BYTES // inputs.itemsize
    for i in range(first, end, size):
        for column in range(low, high, LANES):
            pairs, at = column_pairs(inputs, tile.places, column, i), i * STRIP + 2 * (column - low)
            store_columns(pairs, tile.shorts, at, 2 * STRIP, (end - i + 1) >> 1)


@njit(**JIT)
def add_noise(nonideal, n_in, step, measurement, first, end, low, high, tile):
    """Noise of inputs first ... end - 1 (first is a multiple of eight) onto what was taken."""
    if nonideal.input_size == 0:
        for i in range(first, end, 2):
            for column in range(low, high, LANES):
                at = i * STRIP + 2 * (column - low)
                store_pairs(tile.shorts, at, shift_pairs(load_pairs(tile.shorts, at), nonideal.input_fine))
    else:
        draw_lanes(
            nonideal.key0, nonideal.key1, INPUT, step, NOTHING, measurement, (n_in + 7) // 8, first // 8,
            (end + 7) // 8, low, high, nonideal.input_size, tile.noisy, nonideal.input_fine, nonideal.input_top,
            tile.words, tile.tail, tile.shorts, STRIP,
        )  # fmt: skip
        if end == n_in:
            put_far(
                nonideal.key0, nonideal.key1, INPUT, step, NOTHING, measurement, nonideal.input_size,
                nonideal.input_top, tile.tail, tile.shorts,
            )  # fmt: skip
    if n_in & 1 and end == n_in:  # the place beside the last input meets a weight that isn't its own
        for column in range(0, high - low, LANES):
            at = (end - 1) * STRIP + 2 * column
            store_pairs(tile.shorts, at, load_pairs(tile.shorts, at) & i32(0xFFFF))


@njit(**INLINE)
def eight(value):
    """The same for eight rows."""
    return value, value, value, value, value, value, value, value


@njit(**INLINE)
def rests_of(sums, bits):
    """What the lowest bits of eight rows' sums hold."""
    mask = i32((1 << bits) - 1)
    return (
        sums[0] & mask, sums[1] & mask, sums[2] & mask, sums[3] & mask,
        sums[4] & mask, sums[5] & mask, sums[6] & mask, sums[7] & mask,
    )  # fmt: skip


@njit(**INLINE)
def add_shifted(whole, sums, bits):
    """Eight rows' sums without those bits, onto others."""
    by = i32(bits)
    return (
        whole[0] + (sums[0] >> by), whole[1] + (sums[1] >> by), whole[2] + (sums[2] >> by), whole[3] + (sums[3] >> by),
        whole[4] + (sums[4] >> by), whole[5] + (sums[5] >> by), whole[6] + (sums[6] >> by), whole[7] + (sums[7] >> by),
    )  # fmt: skip


@njit(**JIT)
def eight_rows(w, row, n_in, span, bits, x, both, out, at):
    """Eight rows of weights times 16 samples, or 32: `sums_of`."""
    one = other = whole = more = eight(i32(0))
    for low in range(0, n_in, span):
        high, place = min(n_in, low + span), (low >> 1) * STRIP
        if both:
            for i in range(row + low, row + high, 2):
                one = add_rows(one, w, i, n_in, load(x, place))
                other = add_rows(other, w, i, n_in, load(x, place + LANES))
                place += STRIP
            more, other = add_shifted(more, other, bits), rests_of(other, bits)
        else:
            for i in range(row + low, row + high, 2):
                one = add_rows(one, w, i, n_in, load(x, place))
                place += STRIP
        whole, one = add_shifted(whole, one, bits), rests_of(one, bits)
    store_rows(out, at, STRIP, whole)
    if both:
        store_rows(out, at + LANES, STRIP, more)


@njit(**JIT)
def sums_of(w, start, n_in, n_out, x, columns, span, bits, out):
    """⌊Σᵢ w[j][i] x[i] / 2ᵇ⌋ for all rows and a strip of 16 or 32 samples.

    Of as many inputs at a time as 32 bits hold, the upper bits are added up by themselves, and the lower ones carried
    over. Eight rows are finished before the next ones: their sums stay in the nearest cache.
    """
    whole = n_out // 8 * 8
    for j in range(0, whole, 8):
        eight_rows(w, start + j * n_in, n_in, span, bits, x, columns > LANES, out, j * STRIP)
    for j in range(whole, n_out, 2):
        two_rows(w, start + j * n_in, min(j + 1, n_out - 1) - j, n_in, span, bits, x, out, j * STRIP)


@njit(**JIT)
def two_rows(w, row, more, n_in, span, bits, x, out, at):
    """A row of weights and the one that is `more` (1 or 0) rows further, times 32 samples: `sums_of`."""
    a = b = c = d = e = f = g = h = i32(0)
    by, mask, further = i32(bits), i32((1 << bits) - 1), more * n_in
    for low in range(0, n_in, span):
        place = (low >> 1) * STRIP
        for i in range(row + low, row + min(n_in, low + span), 2):
            one, other = load(x, place), load(x, place + LANES)
            a, b = add_products(a, w, i, one), add_products(b, w, i, other)
            c, d = add_products(c, w, i + further, one), add_products(d, w, i + further, other)
            place += STRIP
        e, f, g, h = e + (a >> by), f + (b >> by), g + (c >> by), h + (d >> by)
        a, b, c, d = a & mask, b & mask, c & mask, d & mask
    store(out, at, e)
    store(out, at + LANES, f)
    store(out, at + more * STRIP, g)
    store(out, at + more * STRIP + LANES, h)


@njit(**JIT)
def layer_signals(net, nonideal, neurons, layer, neuron, w, tile, low, high, out):
    """From sums, without their lowest bits, to signals: biases, noise, rounding, the neurons. Into pairs, or the tile's
    outputs.

    Args:
        neuron: number of the layer's first.
        low, high: columns of the strip.
    """
    n_in, n_out, width = net.sizes[layer], net.sizes[layer + 1], tile.width
    last = layer == net.sizes.size - 2
    fraction = net.input_fraction if layer == 0 else net.signal_fraction
    excess = fraction + net.weight_fraction - net.signal_fraction
    curve = net.output if last else net.hidden
    biases = net.starts[layer] + n_in * n_out
    bits = net.bits[layer]
    half = (np.int64(1) << (excess - 1)) >> bits if excess > 0 else np.int64(0)
    for j in range(0, n_out, 2):
        for column in range(0, high - low, LANES):
            pair, drawn = i32(0), i32(0)
            if nonideal.read_size != 0:
                drawn = load_pairs(tile.draws, 2 * ((j >> 1) * STRIP + column))
            for which in range(2):
                if j + which < n_out:
                    k = neuron + j + which
                    more = (np.int64(w[biases + j + which]) << (fraction - bits)) + half
                    z = (load(tile.sums, (j + which) * STRIP + column) + i32(more)) >> i32(excess - bits)
                    noise = drawn >> i32(16) if which == 1 else (drawn << i32(16)) >> i32(16)
                    h = nonideal_neurons(
                        net, curve, i32(neurons.midpoint[k]), i32(neurons.steepness[k]), i32(nonideal.amplitude[k]),
                        i32(nonideal.neuron_offset[k]), z, noise,
                    )  # fmt: skip
                    if last:
                        store(tile.raw, (j + which) * width + low + column, h)
                    elif which == 0:
                        pair = h & i32(0xFFFF)
                    else:
                        pair = pair | (h << i32(16))
            if not last:
                store(out, (j >> 1) * STRIP + column, pair)


@njit(**JIT)
def prefetch_inputs(next_batch, low, high, first, end):
    """Have inputs first ... end - 1 of the next batch's samples low ... high - 1 ready soon."""
    for k in range(low, min(high, next_batch.chosen.size)):
        at = np.int64(next_batch.chosen[k]) * next_batch.size
        for i in range(at + first, at + end, LINE // next_batch.inputs.itemsize):
            prefetch_later(next_batch.inputs, i)


@njit(**JIT)
def outputs_of(net, nonideal, neurons, w, step, measurement, tile, team, next_batch):
    """Settled outputs of one measurement, into the tile's `raw`: `nonideal.signals`, of this thread's samples.

    Args:
        w: (P,) fine weights, perturbation included, padded.
        next_batch: all inputs, and the batch that follows.
    """
    high = team.low
    while high < team.high:
        low, few = high, high == tile.few
        high = min(low + STRIP, team.high)
        if low < tile.few < high:
            high = tile.few
        spare, signals = tile.spare, tile.signals
        neuron = 0
        for layer in range(net.sizes.size - 1):
            n_in, n_out, start, span = net.sizes[layer], net.sizes[layer + 1], net.starts[layer], net.spans[layer]
            bits = net.bits[layer]
            if layer == 0 and few:
                prefetch_inputs(next_batch, low, high, 0, n_in)
                few_sums(net, nonideal, w, next_batch.inputs, step, measurement, low, STRIP, tile)
            elif layer == 0:
                for i in range(0, n_in, INPUTS):
                    end = min(n_in, i + INPUTS)
                    prefetch_inputs(next_batch, low, high, i, end)
                    load_inputs(next_batch.inputs, i, end, low, high, tile)
                    add_noise(nonideal, n_in, step, measurement, i, end, low, high, tile)
                sums_of(w, start, n_in, n_out, tile.noisy, high - low, span, bits, tile.sums)
            else:
                sums_of(w, start, n_in, n_out, signals, high - low, span, bits, tile.sums)
            if nonideal.read_size != 0:
                draw_lanes(
                    nonideal.key0, nonideal.key1, READ, step, layer, measurement, (n_out + 7) // 8, NOTHING,
                    (n_out + 7) // 8, low, high, nonideal.read_size, None, NOTHING, ANY, tile.words, tile.tail,
                    tile.draws, WIDTH,
                )  # fmt: skip
                put_far(
                    nonideal.key0,
                    nonideal.key1,
                    READ,
                    step,
                    layer,
                    measurement,
                    nonideal.read_size,
                    ANY,
                    tile.tail,
                    tile.draws,
                )
            layer_signals(net, nonideal, neurons, layer, neuron, w, tile, low, high, spare)
            neuron += n_out
            signals, spare = spare, signals


@njit(**JIT)
def costs_of(setup, nonideal, step, measurement, settled, before, batch, tile, team):
    """Cost codes of this thread's samples, summed, with their noise: `nonideal.costs`.

    Args:
        settled: [n_out][width] settled outputs.
        before: those of the measurement before, of which there is a residue.
    """
    net, residue, half = setup.net, i32(nonideal.settling), i32(1 << 14)
    for j in range(net.sizes[-1]):
        for column in range(team.low, team.high, LANES):
            at = j * tile.width + column
            h = load(settled, at)
            store(tile.outputs, at, h + ((residue * (load(before, at) - h) + half) >> i32(15)))
    if nonideal.cost_size != 0:
        draw_lanes(
            nonideal.key0, nonideal.key1, COST, step, NOTHING, measurement, ONE, NOTHING, ONE, team.low, team.high,
            nonideal.cost_size, None, NOTHING, ANY, tile.words, tile.tail, tile.draws, tile.width,
        )  # fmt: skip
        put_far(
            nonideal.key0,
            nonideal.key1,
            COST,
            step,
            NOTHING,
            measurement,
            nonideal.cost_size,
            ANY,
            tile.tail,
            tile.draws,
        )
    summed = np.int64(0)
    for column in range(team.low, team.high, LANES):
        codes = sample_costs(net, setup.costs, tile, column)
        if nonideal.cost_size != 0:
            codes = codes + ((load_pairs(tile.draws, 2 * (column - team.low)) << i32(16)) >> i32(16))
            codes = clipped(codes, i32(0), i32(setup.costs.cost_max))
        inside = i32(column) + lane_numbers() < i32(batch)
        summed += np.int64(total(select(inside, codes, i32(0))))
    return summed


@njit(**JIT)
def save_outputs(settled, n_out, tile, team):
    """Keep the settled outputs of this thread's samples: the next measurement has a residue of them."""
    for j in range(n_out):
        for column in range(team.low, team.high, LANES):
            store(tile.settled, j * tile.width + column, load(settled, j * tile.width + column))


@njit(**JIT)
def choose_weights(weights, top, words, start, end, sign, perturbed):
    """Fine weights, of `top` at most, of cells start ... end - 1 with a sign each of the perturbation, times a sign."""
    flip = np.uint32(0xFFFFFFFF) if sign < 0 else np.uint32(0)
    whole = start + (end - start) // 32 * 32
    for at in range(start, whole, 32):
        bits = bits_at(words, at) ^ flip
        store_pairs(
            perturbed, at, perturbed_pairs(bits, load_pairs(weights.fine, at), load_pairs(weights.change, at), top)
        )
    for at in range(whole, end):
        change = np.int64(weights.change[at])
        bit = ((words[at >> 5] ^ flip) >> np.uint32(at & 31)) & 1
        perturbed[at] = min(max(np.int64(weights.fine[at]) + (change if bit else -change), -top - 1), top)
