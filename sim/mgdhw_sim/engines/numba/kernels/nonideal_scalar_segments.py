"""Blocks and segments of an imperfect chip, compiled: what `imperfect.Bench` and `mgdhw.learning.loop` define.

One probe at a time, in 64 bits, for every chip.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.block import Part
from mgdhw.compiled.kernels.gaussian_noise import RAW, fill_row, scaled
from mgdhw.compiled.options import ENTRY, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernels.cell_writes import write
from mgdhw_sim.engines.numba.kernels.conditions import keep_up, perturb, same_era
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import fill_codes, interpolate, sample_cost, shift_round
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH, NONE
from mgdhw_sim.engines.numba.kernels.updates import next_powers, take_in_codes, update

BASELINE, PLUS, MINUS = (int(part) for part in (Part.BASELINE, Part.PLUS, Part.MINUS))
INPUT, READ, COST = (int(stream) for stream in (Stream.INPUT, Stream.READ, Stream.COST))


class Plain(NamedTuple):
    """What one run of the plain kernels works with."""

    net: Any
    plan: Any
    inputs: Any
    targets: Any
    samples: Any
    """(batches, B) of the run."""
    tau_x: int
    baseline: int
    code: Any
    """(P,) θ̃ of a probe."""
    bits: Any
    moved: Any
    """(P,) fine weights with a perturbation."""
    pen: Any
    """`cell_writes.Pen`."""
    draws: Any
    """Draws of one row, in whole blocks."""
    spare: Any
    x: Any
    z: Any
    """(widest,) of one sample."""
    going: Any
    """(B, n_out) towards which the outputs were going in the last measurement."""
    left: Any
    """(1, n_out) signals of the last layer of one sample, with what is left of the measurement before."""


@njit(**JIT)
def row_noise(flaws, stream, step, layer, part, row, n, size, run):
    """Draws of a row into `run.draws`, if they are of any strength: `imperfect.row_noise`, still to be scaled."""
    blocks = (n + 7) // 8
    if size != 0:
        fill_row(
            flaws.key0, flaws.key1, stream, step, layer, part, row * blocks, blocks, RAW, False, run.spare, run.draws
        )


@njit(**JIT)
def settle(flaws, neurons, w, sample, row, step, part, run):
    """Where the outputs of one sample go, into `run.x`: `imperfect.signals`."""
    net, x, z = run.net, run.x, run.z
    n_in = net.sizes[0]
    row_noise(flaws, INPUT, step, 0, part, row, n_in, flaws.input_size, run)
    for i in range(n_in):
        value = np.int64(run.inputs[sample, i]) << flaws.input_fine
        if flaws.input_size != 0:
            value += scaled(np.int64(run.draws[i]), flaws.input_size)
        x[i] = min(max(value, -flaws.input_top), flaws.input_top)
    top = (np.int64(1) << (net.signal_bits - 1)) - 1
    segment_bits = net.signal_bits - net.lut_bits
    last = net.sizes.size - 2
    neuron = 0
    for layer in range(last + 1):
        n_in, n_out, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
        biases = start + n_in * n_out
        fraction = flaws.input_fraction if layer == 0 else net.signal_fraction
        excess = fraction + flaws.weight_fraction - net.signal_fraction
        row_noise(flaws, READ, step, layer, part, row, n_out, flaws.read_size, run)
        for j in range(n_out):
            total = np.int64(w[biases + j]) << fraction
            at = start + j * n_in
            for i in range(n_in):
                total += np.int64(w[at + i]) * np.int64(x[i])
            value = shift_round(total, excess)
            if flaws.read_size != 0:
                value += scaled(np.int64(run.draws[j]), flaws.read_size)
            value = min(max(value, -top - 1), top)
            value = shift_round((value - neurons.midpoint[neuron]) * np.int64(neurons.steepness[neuron]), 12)
            value = min(max(value, -top - 1), top)
            value = interpolate(net.output if layer == last else net.hidden, value + top + 1, segment_bits)
            value = shift_round(value * np.int64(flaws.amplitude[neuron]), 12) + flaws.neuron_offset[neuron]
            z[j] = min(max(value, -top - 1), top)
            neuron += 1
        for j in range(n_out):
            x[j] = z[j]


@njit(**JIT)
def measure(flaws, neurons, w, chosen, step, part, follows, run):
    """One evaluation of (B,) samples, `run.going` being where the one before went.

    Args:
        follows: whether anything of that one is left.

    Returns:
        Cost codes summed over the samples, with their noise.
    """
    summed, n_out = np.int64(0), run.net.sizes[-1]
    for row in range(chosen.size):
        settle(flaws, neurons, w, chosen[row], row, step, part, run)
        for j in range(n_out):
            h = np.int64(run.x[j])
            before = np.int64(run.going[row, j]) if follows else h
            run.left[0, j] = h + shift_round(flaws.settling * (before - h), 15)
            run.going[row, j] = h
        code = sample_cost(run.net, run.left, 0, run.targets, chosen[row])
        if flaws.cost_size != 0:
            row_noise(flaws, COST, step, 0, part, row, 1, flaws.cost_size, run)
            code += scaled(np.int64(run.draws[0]), flaws.cost_size)
        summed += min(max(code, 0), run.net.cost_max)
    return summed


@njit(**JIT)
def perturbed(flaws, weights, step, sign, run):
    """Fine weights with the perturbation of a step, times a sign, into `run.moved`; where it is none, they are as made.

    Returns:
        First and size of what is perturbed.
    """
    start, size = fill_codes(run.plan, step, run.bits, run.code)
    if run.plan.groups.shape[0] > 1:
        for i in range(flaws.n):
            run.moved[i] = weights.fine[i]
    perturb(flaws, weights, run.code, start, size, sign, run.moved)
    return start, size


@njit(**JIT)
def begin(flaws, memory, weights, neurons, first, written, run):
    """Make the chip what it is at a run's first step, and the outputs what they were just before.

    Returns:
        Whether anything is left of the step before.
    """
    keep_up(flaws, memory, weights, neurons, 0, flaws.n, first)
    before = first - 1
    if flaws.settling == 0 or before < max(0, written) or not same_era(flaws, before, first):
        return False
    sign, part = (-1, MINUS) if run.baseline == ANTITHETIC else (1, PLUS)
    perturbed(flaws, weights, before, sign, run)
    batch = before // run.tau_x - first // run.tau_x + 1  # the run's samples begin with the batch of the step before
    for row in range(run.samples.shape[1]):
        settle(flaws, neurons, run.moved, run.samples[batch, row], row, before, part, run)
        for j in range(run.net.sizes[-1]):
            run.going[row, j] = run.x[j]
    return True


@njit(**JIT)
def probe(flaws, memory, weights, neurons, chosen, batch, step, held, follows, run):
    """One probe of `imperfect.Bench.probe`; leaves θ̃ in `run.code`.

    Args:
        held: (2,) value and batch of the baseline in force, batch NO_BATCH if there is none; changed in place.
        follows: whether anything is left of the probe before.

    Returns:
        cost, its reference, whether a baseline was measured, first and size of what was perturbed.
    """
    if keep_up(flaws, memory, weights, neurons, 0, flaws.n, step):
        follows = False
    stale = run.baseline == EVERY or (run.baseline == HELD and held[1] != batch)
    if stale:
        held[0] = measure(flaws, neurons, weights.fine, chosen, step, BASELINE, follows, run)
        held[1] = batch
        follows = True
    start, size = perturbed(flaws, weights, step, 1, run)
    plus = measure(flaws, neurons, run.moved, chosen, step, PLUS, follows, run)
    minus = np.int64(0)
    if run.baseline == ANTITHETIC:
        perturb(flaws, weights, run.code, start, size, -1, run.moved)
        minus = measure(flaws, neurons, run.moved, chosen, step, MINUS, True, run)
    elif run.baseline != NONE:
        minus = held[0]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def probe_block(flaws, memory, weights, neurons, first, count, written, held, run, plus, minus):
    """`imperfect.Bench.probe`: costs into plus and minus (references).

    Args:
        written: step of the last write.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    measured = np.int64(-1)
    follows = begin(flaws, memory, weights, neurons, first, written, run)
    for k in range(count):
        step = first + k
        batch = step // run.tau_x
        chosen = run.samples[batch - first // run.tau_x + 1]
        plus[k], minus[k], stale, _, _ = probe(flaws, memory, weights, neurons, chosen, batch, step, held, follows, run)
        follows = True
        if stale:
            measured = step
    return measured


@njit(**ENTRY)
def learn_segment(flaws, memory, weights, neurons, rule, moving, first, count, period, written, held, etas, run):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows, updates, writes. Changes `moving` and `memory`.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done, step of
        the last write.
    """
    evaluations, total = np.int64(0), np.int64(0)
    measured, updates = np.int64(-1), 0
    follows = begin(flaws, memory, weights, neurons, first, written, run)
    for k in range(count):
        step = first + k
        batch = step // run.tau_x
        chosen = run.samples[batch - first // run.tau_x + 1]
        plus, minus, stale, start, size = probe(
            flaws, memory, weights, neurons, chosen, batch, step, held, follows, run
        )
        follows = True
        evaluations += 2 if stale or run.baseline == ANTITHETIC else 1
        if stale:
            measured = step
        total += plus
        take_in_codes(moving, start, size, run.code, plus - minus)
        if (step + 1) % period == 0:
            next_powers(rule, moving)
            update(rule, moving, 0, flaws.n, etas[updates], (step + 1 + period) > first + count)
            updates += 1
            held[1] = NO_BATCH
            if write(flaws, memory, weights, moving.stored, 0, flaws.n, step + 1, run.pen):
                written = step + 1
            follows = step >= written
    return evaluations, total, measured, updates, written
