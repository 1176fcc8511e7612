"""Sixteen replicas side by side: the same experiment with sixteen seeds, in step.

For small chips and few samples a probe (`small_batch.Int16Network`), and codes of random signs. Arrays of parameters
are [parameter][replica]; what differs between replicas is θ, codes and samples, not when anything happens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.block import Part
from mgdhw.compiled.kernels.codes_and_samples import CODES, ORDER, philox_lanes
from mgdhw.compiled.kernels.simd import LANES, gather, load, store
from mgdhw.compiled.kernels.vector_math import any_of, f64, i16, i32, i64, select, to_f64, to_i32, to_i64, u32
from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw.random.sample_order import ORDER_ROUNDS
from mgdhw_sim.engines.numba.kernels.large_batch import sample_costs
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH
from mgdhw_sim.engines.numba.kernels.small_batch import neurons
from mgdhw_sim.engines.numba.kernels.updates import SGD, apply_gradient, next_powers, place

BASELINE, PLUS, MINUS = (int(measurement) for measurement in (Part.BASELINE, Part.PLUS, Part.MINUS))


class Lanes(NamedTuple):
    """What sixteen replicas have of their own, and work space."""

    code_keys: Any
    """(2 * 16,) low words of the codes' keys, then high words."""
    order_keys: Any
    """(2 * 16,) the same of the orders' keys."""
    results: Any
    """[measurement of a probe][16] what was measured last: the baseline in force, and both signs."""
    words: Any
    """[probe][word][16] sign bits of a chunk of probes."""
    n_words: int
    samples: Any
    """[position][16] samples of a chunk's batches."""
    keys: Any
    """[16][16] an epoch's permutations."""
    perturbed: Any
    """[parameter][16] parameters with a perturbation."""
    x: Any
    signals: Any
    spare: Any
    """[node][16]."""
    totals: Any
    """(16,) sums of the perturbed costs."""


@njit(**JIT)
def draw_words(plan, first, count, lanes):
    """Sign bits of probes first ... first + count - 1: `codes_and_samples.sign_words` with a key for each lane."""
    n_groups = plan.groups.shape[0]
    k0, k1 = load(lanes.code_keys, 0), load(lanes.code_keys, LANES)
    stream = u32(CODES)
    for row in range(count):
        turn, t = (first + row) % n_groups, np.uint64((first + row) // n_groups)
        start, size = plan.groups[turn, 0], plan.groups[turn, 1]
        s0, s1 = u32(t & np.uint64(0xFFFFFFFF)), u32(t >> np.uint64(32))
        for block in range(start >> 7, (start + size + 127) >> 7):
            w0, w1, w2, w3 = philox_lanes(s0, s1, u32(block), stream, k0, k1)
            at = (row * lanes.n_words + 4 * block) * LANES
            store(lanes.words, at, w0)
            store(lanes.words, at + LANES, w1)
            store(lanes.words, at + 2 * LANES, w2)
            store(lanes.words, at + 3 * LANES, w3)


@njit(**JIT)
def draw_samples(order, first, count, lanes):
    """Samples of batches first ... first + count - 1: `codes_and_samples.fill_samples` with a key for each lane."""
    k0, k1 = load(lanes.order_keys, 0), load(lanes.order_keys, LANES)
    mask, fold = u32((np.int64(1) << order.bits) - 1), u32((order.bits + 1) // 2)
    stream, one, n = u32(ORDER), u32(1), u32(order.n)
    position = first * order.batch
    seen = np.int64(-1)
    for i in range(count * order.batch):
        epoch, place = (position + i) // order.n, (position + i) % order.n
        if epoch != seen:
            seen = epoch
            e0, e1 = u32(np.uint64(epoch) & np.uint64(0xFFFFFFFF)), u32(np.uint64(epoch) >> np.uint64(32))
            for block in range(ORDER_ROUNDS // 2):
                w0, w1, w2, w3 = philox_lanes(e0, e1, u32(block), stream, k0, k1)
                if block >= ORDER_ROUNDS // 4:
                    w0, w1, w2, w3 = w0 | one, w1 | one, w2 | one, w3 | one
                store(lanes.keys, 4 * block * LANES, w0)
                store(lanes.keys, (4 * block + 1) * LANES, w1)
                store(lanes.keys, (4 * block + 2) * LANES, w2)
                store(lanes.keys, (4 * block + 3) * LANES, w3)
        x = permuted(u32(place), mask, fold, lanes.keys)
        while any_of(x >= n):
            x = select(x >= n, permuted(x, mask, fold, lanes.keys), x)
        store(lanes.samples, i * LANES, to_i32(x))


@njit(**JIT)
def permuted(x, mask, fold, keys):
    """A place in each lane's epoch, once through the rounds."""
    for r in range(ORDER_ROUNDS):
        x = ((x + load(keys, r * LANES)) * load(keys, (ORDER_ROUNDS + r) * LANES)) & mask
        x = x ^ (x >> fold)
    return x


@njit(**INLINE)
def lane_cost(net, costs, w, inputs, targets, position, batch, lanes, tile):
    """Cost codes of each replica summed over its batch: `Chip.cost`.

    Args:
        w: [parameter][16] codes.
        inputs, targets: (N * n_in,) and (N * n_out,) codes of 32 bits.
        position: of the batch in the samples that are drawn.
        tile: for a last layer's signals and their targets.
    """
    summed = i32(0)
    n_in, n_out = net.sizes[0], net.sizes[-1]
    n_layers = net.sizes.size - 1
    for row in range(batch):
        sample = load(lanes.samples, (position + row) * LANES)
        for i in range(n_in):
            store(lanes.x, i * LANES, gather(inputs, sample * i32(n_in) + i32(i)))
        for j in range(n_out):
            store(tile.targets, j * LANES, gather(targets, sample * i32(n_out) + i32(j)))
        x, signals, spare = lanes.x, lanes.signals, lanes.spare
        for layer in range(n_layers):
            before, size, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
            fraction = net.input_fraction if layer == 0 else net.signal_fraction
            excess = fraction + net.weight_fraction - net.signal_fraction
            biases = start + before * size
            for j in range(size):
                sums = to_i32(load(w, (biases + j) * LANES)) << i32(fraction)
                at = (start + j * before) * LANES
                for i in range(before):
                    sums = sums + to_i32(load(w, at + i * LANES)) * load(x, i * LANES)
                if layer == n_layers - 1:
                    h = neurons(net.output, sums, excess, net.signal_bits, net.signal_bits - net.lut_bits)
                    store(tile.outputs, j * LANES, h)
                else:
                    h = neurons(net.hidden, sums, excess, net.signal_bits, net.signal_bits - net.lut_bits)
                    store(spare, j * LANES, h)
            x = spare
            signals, spare = spare, signals
        summed = summed + sample_costs(net, costs, tile, 0)
    return summed


@njit(**JIT)
def perturb_lanes(requested, words, at, first, end, amplitude, perturbed):
    """θ + θ̃ of parameters first ... end - 1 of each replica."""
    plus, minus = i16(amplitude), i16(-amplitude)
    for i in range(first, end):
        word = load(words, (at + (i >> 5)) * LANES)
        mask = (word & u32(np.int64(1) << (i & 31))) != u32(0)
        store(perturbed, i * LANES, load(requested, i * LANES) + select(mask, plus, minus))


@njit(**JIT)
def accumulate_lanes(update_state, words, at, first, end, change, amplitude):
    """Add a probe to each replica's window; `energy` is common to all."""
    plus, minus = to_i64(change) * i64(amplitude), to_i64(i32(0) - change) * i64(amplitude)
    for i in range(first, end):
        word = load(words, (at + (i >> 5)) * LANES)
        mask = (word & u32(np.int64(1) << (i & 31))) != u32(0)
        store(update_state.cross, i * LANES, load(update_state.cross, i * LANES) + select(mask, plus, minus))
        update_state.energy[i] += np.int64(amplitude) * np.int64(amplitude)


@njit(**JIT)
def update_lanes(rule, update_state, size, eta, last):
    """`updates.update` for each replica. The gradient's size is taken at the last update only."""
    scale = f64(rule.scale)
    for i in range(size):
        g = f64(0.0)
        if update_state.energy[i] > 0:
            divisor = np.float64(update_state.energy[i]) * rule.lsb
            g = (to_f64(load(update_state.cross, i * LANES)) * scale) / f64(divisor)
        store(update_state.cross, i * LANES, i64(0))
        update_state.energy[i] = 0
        if last:
            store(update_state.squares, 0, load(update_state.squares, 0) + g * g)
        apply_gradient(rule, update_state, i * LANES, g, eta)


@njit(**JIT)
def update_sign_lanes(rule, update_state, size, eta, words, at, change, amplitude, last):
    """`updates.update_signs` for each replica."""
    energy = np.float64(np.int64(amplitude) * np.int64(amplitude)) * rule.lsb
    plus = (to_f64(to_i64(change) * i64(amplitude)) * f64(rule.scale)) / f64(energy)
    minus = select(change == i32(0), f64(0.0), f64(-1.0) * plus)
    down, up = f64(eta) * plus, f64(eta) * minus
    for i in range(size):
        word = load(words, (at + (i >> 5)) * LANES)
        mask = (word & u32(np.int64(1) << (i & 31))) != u32(0)
        if last:
            store(update_state.squares, 0, load(update_state.squares, 0) + plus * plus)
        if rule.optimizer == SGD:
            place(rule, update_state, i * LANES, load(update_state.theta, i * LANES) - select(mask, down, up))
        else:
            apply_gradient(rule, update_state, i * LANES, select(mask, plus, minus), eta)


@njit(**ENTRY)
def run_lanes(setup, rule, update_state, first, count, period, alone, batch_held, etas, lanes, tile):
    """`segments.run_segment` for sixteen replicas.

    Args:
        batch_held: (1,) batch of the baselines in force, NO_BATCH if there are none; changed in place.

    Returns:
        evaluations of each, step of the last measured baseline (-1: none), updates done.
    """
    net, costs, plan, order = setup.net, setup.costs, setup.plan, setup.order
    inputs, targets, baseline = setup.inputs, setup.targets, setup.baseline
    n_groups = plan.groups.shape[0]
    size = plan.groups[n_groups - 1, 0] + plan.groups[n_groups - 1, 1]
    chunk = lanes.words.size // (lanes.n_words * LANES)
    evaluations, measured, updates = np.int64(0), np.int64(-1), 0
    n_updates = (first + count) // period - first // period
    for begin in range(0, count, chunk):
        drawn = min(chunk, count - begin)
        first_batch = (first + begin) // order.tau_x
        batches = (first + begin + drawn - 1) // order.tau_x - first_batch + 1
        draw_words(plan, first + begin, drawn, lanes)
        draw_samples(order, first_batch, batches, lanes)
        for row in range(drawn):
            step = first + begin + row
            batch = step // order.tau_x
            position = (batch - first_batch) * order.batch
            turn, at = step % n_groups, row * lanes.n_words
            start, end = plan.groups[turn, 0], plan.groups[turn, 0] + plan.groups[turn, 1]
            stale = baseline == EVERY or (baseline == HELD and batch_held[0] != batch)
            if stale:
                batch_held[0], measured = batch, step
            for measurement in range(3):
                if (measurement == BASELINE and not stale) or (measurement == MINUS and baseline != ANTITHETIC):
                    continue
                w = update_state.requested
                if measurement != BASELINE:
                    amplitude = plan.amplitude if measurement == PLUS else -plan.amplitude
                    perturb_lanes(update_state.requested, lanes.words, at, start, end, amplitude, lanes.perturbed)
                    w = lanes.perturbed
                value = lane_cost(net, costs, w, inputs, targets, position, order.batch, lanes, tile)
                store(lanes.results, measurement * LANES, value)
                evaluations += 1
            plus = load(lanes.results, PLUS * LANES)
            minus = load(lanes.results, (MINUS if baseline == ANTITHETIC else BASELINE) * LANES)
            store(lanes.totals, 0, load(lanes.totals, 0) + to_i64(plus))
            if n_groups > 1:
                for i in range(start, end):
                    store(lanes.perturbed, i * LANES, load(update_state.requested, i * LANES))
            change = plus - minus
            if alone:
                next_powers(rule, update_state)
                update_sign_lanes(
                    rule,
                    update_state,
                    size,
                    etas[updates],
                    lanes.words,
                    at,
                    change,
                    plan.amplitude,
                    updates == n_updates - 1,
                )
            else:
                accumulate_lanes(update_state, lanes.words, at, start, end, change, plan.amplitude)
                if (step + 1) % period == 0:
                    next_powers(rule, update_state)
                    update_lanes(rule, update_state, size, etas[updates], updates == n_updates - 1)
                    if n_groups > 1:
                        for i in range(size):
                            store(lanes.perturbed, i * LANES, load(update_state.requested, i * LANES))
            if (step + 1) % period == 0:
                updates += 1
                batch_held[0] = NO_BATCH
    return evaluations, measured, updates
