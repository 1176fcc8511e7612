"""Evaluations: sixteen samples at a time through the network, and their costs."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, JIT
from mgdhw_sim.ideal.engines.numba.kernels.layers import KEPT, KIND, OF_WEIGHTS, pack, run_stage
from mgdhw_sim.ideal.engines.numba.program import LANES

BASE, AT_ONCE, BY_LAYER = 0, 1, 2
"""What is evaluated: costs at θ, a change of all parameters, or one of each layer in turn."""


@njit(**ENTRY)
def pack_parameters(program, theta, weights, biases):
    """See `layers.pack`."""
    pack(program, theta, weights, biases)


@njit(**JIT)
def copy_inputs(inputs, part, signals):
    """The inputs of a part's samples, to the beginning of the scratch memory."""
    for i in range(inputs.shape[1]):
        signals[i] = inputs[part, i]


@njit(**JIT)
def write_costs(cross_entropy, signals, outputs, targets, part, costs, row):
    """Costs of a part's samples, to a row of `costs` (.., 16): cross-entropy of logits or mean square, in float64."""
    n_out = targets.shape[1]
    for lane in range(min(LANES, targets.shape[0] - part * LANES)):
        sample, at = part * LANES + lane, outputs + lane
        cost = 0.0
        if cross_entropy:
            top = np.float64(signals[at])
            for i in range(1, n_out):
                top = max(top, np.float64(signals[at + i * LANES]))
            scale = weight = 0.0
            for i in range(n_out):
                shifted = np.float64(signals[at + i * LANES]) - top
                scale += math.exp(shifted)
                weight += targets[sample, i]
                cost -= targets[sample, i] * shifted
            cost += weight * math.log(scale)
        else:
            for i in range(n_out):
                error = np.float64(signals[at + i * LANES]) - targets[sample, i]
                cost += error * error
            cost /= n_out
        costs[row, lane] = cost


@njit(**JIT)
def difference(costs, row, base, part, count):
    """Σ (cost - base) over the samples of a part."""
    total = 0.0
    for lane in range(count):
        total += costs[row, lane] - base[part, lane]
    return total


@njit(**JIT)
def run_on(program, first, parameters, nodes, signals, source, here, there):
    """Run the stages from one on, their outputs in two places in turn; answers where the last ones are."""
    for number in range(first, program.shape[0]):
        run_stage(program[number], parameters[0], parameters[1], nodes, signals, source, here)
        source = here
        here, there = there, here
    return source


@njit(**JIT)
def by_layer(program, kept, unperturbed, moved, nodes, signals, number, source):
    """The outputs behind a perturbed stage, from its kept input on; answers where they are."""
    here, there = kept, kept + (signals.size - kept) // 2
    run_stage(program[number], moved[0], moved[1], nodes, signals, source, here)
    return run_on(program, number + 1, unperturbed, nodes, signals, here, there, here)


@njit(**ENTRY)
def evaluate(
    what, program, kept, unperturbed, moved, nodes, cross_entropy, inputs, targets, parts, signals, costs, base, found
):
    """Evaluate some parts of a batch.

    Args:
        what: BASE, AT_ONCE or BY_LAYER.
        program: (stages, columns).
        kept: float32 of what is kept of a forward pass: two outputs of stages come behind it in `signals`.
        unperturbed, moved: packed weights, and biases.
        nodes: (4, n_nodes) variation, or (4, 0).
        cross_entropy: the cost; else mean square.
        inputs: (all parts, 16 n_in) float32, sixteen samples side by side.
        targets: (B, n_out).
        parts: first part of sixteen samples, and the one after the last.
        signals: scratch.
        costs: (1, 16) scratch.
        base: (all parts, 16) costs at θ; written for BASE, read for AT_ONCE, both for BY_LAYER.
        found: (all parts, probes) sums over a part's samples: of costs for BASE, else of what they differ by.
    """
    second = kept + (signals.size - kept) // 2
    for part in range(parts[0], parts[1]):
        count = min(LANES, targets.shape[0] - part * LANES)
        copy_inputs(inputs, part, signals)
        if what == AT_ONCE:
            outputs = run_on(program, 0, moved, nodes, signals, 0, kept, second)
            write_costs(cross_entropy, signals, outputs, targets, part, costs, 0)
            found[part, 0] = difference(costs, 0, base, part, count)
            continue
        source = 0
        for number in range(program.shape[0]):
            target = program[number, KEPT]
            run_stage(program[number], unperturbed[0], unperturbed[1], nodes, signals, source, target)
            source = target
        write_costs(cross_entropy, signals, source, targets, part, base, part)
        if what == BASE:
            found[part, 0] = 0.0
            for lane in range(count):
                found[part, 0] += base[part, lane]
            continue
        probe = source = 0
        for number in range(program.shape[0]):
            if program[number, KIND] == OF_WEIGHTS:
                outputs = by_layer(program, kept, unperturbed, moved, nodes, signals, number, source)
                write_costs(cross_entropy, signals, outputs, targets, part, costs, 0)
                found[part, probe] = difference(costs, 0, base, part, count)
                probe += 1
            source = program[number, KEPT]


@njit(**ENTRY)
def outputs_of(program, kept, unperturbed, nodes, inputs, parts, signals, found):
    """(B, n_out) outputs of some parts of a batch."""
    second = kept + (signals.size - kept) // 2
    for part in range(parts[0], parts[1]):
        copy_inputs(inputs, part, signals)
        place = run_on(program, 0, unperturbed, nodes, signals, 0, kept, second)
        for lane in range(min(LANES, found.shape[0] - part * LANES)):
            for i in range(found.shape[1]):
                found[part * LANES + lane, i] = signals[place + i * LANES + lane]
