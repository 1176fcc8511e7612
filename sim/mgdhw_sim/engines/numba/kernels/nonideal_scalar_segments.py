"""Blocks and segments of a nonideal chip, compiled: what `nonideal.NonidealChip` and `mgdhw.learning.loop` define.

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
from mgdhw_sim.engines.numba.kernels.conditions import perturb, same_conditions, update_conditions
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import fill_codes, interpolate, sample_cost, shift_round
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH, NONE
from mgdhw_sim.engines.numba.kernels.updates import accumulate_codes, next_powers, update

BASELINE, PLUS, MINUS = (int(measurement) for measurement in (Part.BASELINE, Part.PLUS, Part.MINUS))
INPUT, READ, COST = (int(stream) for stream in (Stream.INPUT, Stream.READ, Stream.COST))


class ScalarRun(NamedTuple):
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
    perturbed: Any
    """(P,) fine weights with a perturbation."""
    buffers: Any
    """`cell_writes.WriteBuffers`."""
    draws: Any
    """Draws of one row, in whole blocks."""
    spare: Any
    x: Any
    z: Any
    """(widest,) of one sample."""
    settled: Any
    """(B, n_out) settled outputs of the last measurement."""
    observed: Any
    """(1, n_out) signals of the last layer of one sample, with what is left of the measurement before."""


@njit(**JIT)
def row_noise(nonideal, stream, step, layer, measurement, row, n, size, run):
    """Draws of a row into `run.draws`, if they are of any strength: `nonideal.row_noise`, still to be scaled."""
    blocks = (n + 7) // 8
    if size != 0:
        fill_row(
            nonideal.key0,
            nonideal.key1,
            stream,
            step,
            layer,
            measurement,
            row * blocks,
            blocks,
            RAW,
            False,
            run.spare,
            run.draws,
        )


@njit(**JIT)
def settle(nonideal, neurons, w, sample, row, step, measurement, run):
    """Settled outputs of one sample, into `run.x`: `nonideal.signals`."""
    net, x, z = run.net, run.x, run.z
    n_in = net.sizes[0]
    row_noise(nonideal, INPUT, step, 0, measurement, row, n_in, nonideal.input_size, run)
    for i in range(n_in):
        value = np.int64(run.inputs[sample, i]) << nonideal.input_fine
        if nonideal.input_size != 0:
            value += scaled(np.int64(run.draws[i]), nonideal.input_size)
        x[i] = min(max(value, -nonideal.input_top), nonideal.input_top)
    top = (np.int64(1) << (net.signal_bits - 1)) - 1
    segment_bits = net.signal_bits - net.lut_bits
    last = net.sizes.size - 2
    neuron = 0
    for layer in range(last + 1):
        n_in, n_out, start = net.sizes[layer], net.sizes[layer + 1], net.starts[layer]
        biases = start + n_in * n_out
        fraction = nonideal.input_fraction if layer == 0 else net.signal_fraction
        excess = fraction + nonideal.weight_fraction - net.signal_fraction
        row_noise(nonideal, READ, step, layer, measurement, row, n_out, nonideal.read_size, run)
        for j in range(n_out):
            total = np.int64(w[biases + j]) << fraction
            at = start + j * n_in
            for i in range(n_in):
                total += np.int64(w[at + i]) * np.int64(x[i])
            value = shift_round(total, excess)
            if nonideal.read_size != 0:
                value += scaled(np.int64(run.draws[j]), nonideal.read_size)
            value = min(max(value, -top - 1), top)
            value = shift_round((value - neurons.midpoint[neuron]) * np.int64(neurons.steepness[neuron]), 12)
            value = min(max(value, -top - 1), top)
            value = interpolate(net.output if layer == last else net.hidden, value + top + 1, segment_bits)
            value = shift_round(value * np.int64(nonideal.amplitude[neuron]), 12) + nonideal.neuron_offset[neuron]
            z[j] = min(max(value, -top - 1), top)
            neuron += 1
        for j in range(n_out):
            x[j] = z[j]


@njit(**JIT)
def measure(nonideal, neurons, w, chosen, step, measurement, follows, run):
    """One evaluation of (B,) samples, `run.settled` being the settled outputs of the one before.

    Args:
        follows: whether anything of that one is left.

    Returns:
        Cost codes summed over the samples, with their noise.
    """
    summed, n_out = np.int64(0), run.net.sizes[-1]
    for row in range(chosen.size):
        settle(nonideal, neurons, w, chosen[row], row, step, measurement, run)
        for j in range(n_out):
            h = np.int64(run.x[j])
            before = np.int64(run.settled[row, j]) if follows else h
            run.observed[0, j] = h + shift_round(nonideal.settling * (before - h), 15)
            run.settled[row, j] = h
        code = sample_cost(run.net, run.observed, 0, run.targets, chosen[row])
        if nonideal.cost_size != 0:
            row_noise(nonideal, COST, step, 0, measurement, row, 1, nonideal.cost_size, run)
            code += scaled(np.int64(run.draws[0]), nonideal.cost_size)
        summed += min(max(code, 0), run.net.cost_max)
    return summed


@njit(**JIT)
def perturbed(nonideal, weights, step, sign, run):
    """Fine weights with the perturbation of a step, times a sign, into `run.perturbed`; elsewhere without.

    Returns:
        First and size of what is perturbed.
    """
    start, size = fill_codes(run.plan, step, run.bits, run.code)
    if run.plan.groups.shape[0] > 1:
        for i in range(nonideal.n):
            run.perturbed[i] = weights.fine[i]
    perturb(nonideal, weights, run.code, start, size, sign, run.perturbed)
    return start, size


@njit(**JIT)
def begin(nonideal, cell_arrays, weights, neurons, first, written, run):
    """Bring the chip to a run's first step, and the outputs to what they were just before.

    Returns:
        Whether anything is left of the step before.
    """
    update_conditions(nonideal, cell_arrays, weights, neurons, 0, nonideal.n, first)
    before = first - 1
    if nonideal.settling == 0 or before < max(0, written) or not same_conditions(nonideal, before, first):
        return False
    sign, measurement = (-1, MINUS) if run.baseline == ANTITHETIC else (1, PLUS)
    perturbed(nonideal, weights, before, sign, run)
    batch = before // run.tau_x - first // run.tau_x + 1  # the run's samples begin with the batch of the step before
    for row in range(run.samples.shape[1]):
        settle(nonideal, neurons, run.perturbed, run.samples[batch, row], row, before, measurement, run)
        for j in range(run.net.sizes[-1]):
            run.settled[row, j] = run.x[j]
    return True


@njit(**JIT)
def probe(nonideal, cell_arrays, weights, neurons, chosen, batch, step, held_baseline, follows, run):
    """One probe of `nonideal.NonidealChip.probe`; leaves θ̃ in `run.code`.

    Args:
        held_baseline: (2,) value and batch of the baseline in force, batch NO_BATCH if there is none; changed in place.
        follows: whether anything is left of the probe before.

    Returns:
        cost, its reference, whether a baseline was measured, first and size of what was perturbed.
    """
    if update_conditions(nonideal, cell_arrays, weights, neurons, 0, nonideal.n, step):
        follows = False
    stale = run.baseline == EVERY or (run.baseline == HELD and held_baseline[1] != batch)
    if stale:
        held_baseline[0] = measure(nonideal, neurons, weights.fine, chosen, step, BASELINE, follows, run)
        held_baseline[1] = batch
        follows = True
    start, size = perturbed(nonideal, weights, step, 1, run)
    plus = measure(nonideal, neurons, run.perturbed, chosen, step, PLUS, follows, run)
    minus = np.int64(0)
    if run.baseline == ANTITHETIC:
        perturb(nonideal, weights, run.code, start, size, -1, run.perturbed)
        minus = measure(nonideal, neurons, run.perturbed, chosen, step, MINUS, True, run)
    elif run.baseline != NONE:
        minus = held_baseline[0]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def probe_block(nonideal, cell_arrays, weights, neurons, first, count, written, held_baseline, run, plus, minus):
    """`nonideal.NonidealChip.probe`: costs into plus and minus (references).

    Args:
        written: step of the last write.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    measured = np.int64(-1)
    follows = begin(nonideal, cell_arrays, weights, neurons, first, written, run)
    for k in range(count):
        step = first + k
        batch = step // run.tau_x
        chosen = run.samples[batch - first // run.tau_x + 1]
        plus[k], minus[k], stale, _, _ = probe(
            nonideal, cell_arrays, weights, neurons, chosen, batch, step, held_baseline, follows, run
        )
        follows = True
        if stale:
            measured = step
    return measured


@njit(**ENTRY)
def learn_segment(
    nonideal, cell_arrays, weights, neurons, rule, update_state, first, count, period, written, held_baseline, etas, run
):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows, updates, writes. Changes its state and cells.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done, step of
        the last write.
    """
    evaluations, total = np.int64(0), np.int64(0)
    measured, updates = np.int64(-1), 0
    follows = begin(nonideal, cell_arrays, weights, neurons, first, written, run)
    for k in range(count):
        step = first + k
        batch = step // run.tau_x
        chosen = run.samples[batch - first // run.tau_x + 1]
        plus, minus, stale, start, size = probe(
            nonideal, cell_arrays, weights, neurons, chosen, batch, step, held_baseline, follows, run
        )
        follows = True
        evaluations += 2 if stale or run.baseline == ANTITHETIC else 1
        if stale:
            measured = step
        total += plus
        accumulate_codes(update_state, start, size, run.code, plus - minus)
        if (step + 1) % period == 0:
            next_powers(rule, update_state)
            update(rule, update_state, 0, nonideal.n, etas[updates], (step + 1 + period) > first + count)
            updates += 1
            held_baseline[1] = NO_BATCH
            if write(nonideal, cell_arrays, weights, update_state.requested, 0, nonideal.n, step + 1, run.buffers):
                written = step + 1
            follows = step >= written
    return evaluations, total, measured, updates, written
