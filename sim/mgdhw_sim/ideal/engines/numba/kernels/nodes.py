"""Probes of nodes: a code is added to pre-activations that are kept, and what follows is run again."""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.kernels.simd import load, store
from mgdhw.compiled.kernels.vector_math import f32, multiply_add
from mgdhw.compiled.options import ENTRY, JIT
from mgdhw_sim.ideal.engines.numba.kernels.activations import activate
from mgdhw_sim.ideal.engines.numba.kernels.evaluate import copy_inputs, run_on, write_costs
from mgdhw_sim.ideal.engines.numba.kernels.layers import (
    ACTIVATION,
    CHANNELS,
    COLUMNS,
    HEIGHT,
    KEPT,
    KERNEL_HEIGHT,
    KERNEL_WIDTH,
    KIND,
    LEFT,
    NODES,
    OF_WEIGHTS,
    OUTPUTS,
    ROWS,
    STRIDE,
    THETA,
    TOP,
    WIDTH,
    run_stage,
    weighted,
)
from mgdhw_sim.ideal.engines.numba.program import LANES, TILE


@njit(**JIT)
def copied(signals, source, target, count):
    """Copy what `count` nodes are at, of sixteen samples."""
    for at in range(0, count * LANES, LANES):
        store(signals, target + at, load(signals, source + at))


@njit(**JIT)
def shift(codes, probe, node, unit, signals, source, target, count):
    """Pre-activations of `count` nodes with their code added, the same for sixteen samples."""
    for at in range(count):
        z = load(signals, source + at * LANES)
        store(signals, target + at * LANES, z + f32(codes[probe, node + at] * unit))


@njit(**JIT)
def run_perturbed(program, kept, widest, parameters, nodes, codes, probe, stages, unit, signals):
    """Run what follows from a probe's first perturbed stage on; answers where the outputs are."""
    here = 2 * kept
    there, source = here + widest, 0
    for number in range(stages[probe, 0], stages[probe, 1] + 1):
        stage = program[number]
        if stage[KIND] == OF_WEIGHTS:
            count = stage[ROWS] * stage[COLUMNS] * stage[OUTPUTS]
            if number == stages[probe, 0]:
                shift(codes, probe, stage[NODES], unit, signals, kept + stage[KEPT], here, count)
            else:
                weighted(stage, parameters[0], parameters[1], signals, source, here)
                shift(codes, probe, stage[NODES], unit, signals, here, here, count)
            activate(stage[ACTIVATION], nodes, stage[NODES], signals, here, count)
        else:
            run_stage(stage, parameters[0], parameters[1], nodes, signals, source, here)
        source = here
        here, there = there, here
    return run_on(program, stages[probe, 1] + 1, parameters, nodes, signals, source, here, there)


@njit(**JIT)
def add_sums(stage, codes, probe, signals, source, change, sums, part):
    """Add Σ C̃ θ̃ x of a layer and sixteen samples: four channels at a time, and for each what all positions take in."""
    height, width, channels = stage[HEIGHT], stage[WIDTH], stage[CHANNELS]
    rows, columns, outputs, stride = stage[ROWS], stage[COLUMNS], stage[OUTPUTS], stage[STRIDE]
    kernel_height, kernel_width, theta = stage[KERNEL_HEIGHT], stage[KERNEL_WIDTH], stage[THETA]
    n_in = kernel_height * kernel_width * channels
    total = 0.0
    for lane in range(LANES):
        total += change[lane]
    for first in range(0, outputs, TILE):
        count = min(TILE, outputs - first)
        for i in range(kernel_height):
            for j in range(kernel_width):
                for channel in range(channels):
                    s0, s1, s2, s3 = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
                    for row in range(rows):
                        y = row * stride - stage[TOP] + i
                        if y < 0 or y >= height:
                            continue
                        for column in range(columns):
                            x = column * stride - stage[LEFT] + j
                            if x < 0 or x >= width:
                                continue
                            taken_in = load(signals, source + ((y * width + x) * channels + channel) * LANES)
                            node = stage[NODES] + (row * columns + column) * outputs + first
                            s0 = multiply_add(f32(codes[probe, node]), taken_in, s0)
                            s1 = multiply_add(f32(codes[probe, node + 1]), taken_in, s1)
                            s2 = multiply_add(f32(codes[probe, node + 2]), taken_in, s2)
                            s3 = multiply_add(f32(codes[probe, node + 3]), taken_in, s3)
                    # The last of the scratch memory: a tile of sums.
                    place = signals.size - TILE * LANES
                    store(signals, place, s0)
                    store(signals, place + LANES, s1)
                    store(signals, place + 2 * LANES, s2)
                    store(signals, place + 3 * LANES, s3)
                    k = (i * kernel_width + j) * channels + channel
                    for output in range(count):
                        found = 0.0
                        for lane in range(LANES):
                            found += change[lane] * signals[place + output * LANES + lane]
                        sums[part, theta + (first + output) * n_in + k] += found
        for output in range(count):
            code = 0.0
            for position in range(rows * columns):
                code += codes[probe, stage[NODES] + position * outputs + first + output]
            sums[part, theta + outputs * n_in + first + output] += code * total


@njit(**ENTRY)
def evaluate_nodes(
    program,
    sizes,
    parameters,
    nodes,
    cross_entropy,
    inputs,
    targets,
    parts,
    perturbation,
    signals,
    costs,
    base,
    found,
    noise,
    sums,
):
    """Evaluate probes of nodes for some parts of a batch.

    Args:
        program: (stages, columns).
        sizes: float32 of what is kept of a forward pass, and of the widest stage's outputs. `signals` holds the first
            twice: outputs, and pre-activations at the same places; then two stages' outputs in turn.
        parameters: packed weights, and biases.
        nodes: (4, n_nodes) variation, or (4, 0).
        cross_entropy: the cost; else mean square.
        inputs: (all parts, 16 n_in) float32, sixteen samples side by side.
        targets: (B, n_out).
        parts: first part of sixteen samples, and the one after the last.
        perturbation: (K, n_nodes + 4) codes in float32; (K, 2) first and last stage that each perturbs; a code unit in
            float32; whether -θ̃ is wanted, too.
        signals, costs: scratch; costs is (1, 16).
        base: (all parts, 16) costs, written.
        found: (2, K, all parts, 16) what θ̃ and -θ̃ add to them, written.
        noise: (K, B) of C̃, filled up with zeros.
        sums: (all parts, P) Σ C̃ θ̃ x, added to.
    """
    kept, widest = sizes
    codes, stages, unit, antithetic = perturbation
    for part in range(parts[0], parts[1]):
        count = min(LANES, targets.shape[0] - part * LANES)
        copy_inputs(inputs, part, signals)
        source = 0
        for number in range(program.shape[0]):
            stage = program[number]
            target = stage[KEPT]
            if stage[KIND] == OF_WEIGHTS:
                size = stage[ROWS] * stage[COLUMNS] * stage[OUTPUTS]
                weighted(stage, parameters[0], parameters[1], signals, source, target)
                copied(signals, target, kept + target, size)
                activate(stage[ACTIVATION], nodes, stage[NODES], signals, target, size)
            else:
                run_stage(stage, parameters[0], parameters[1], nodes, signals, source, target)
            source = target
        write_costs(cross_entropy, signals, source, targets, part, base, part)
        for probe in range(codes.shape[0]):
            for side in range(2 if antithetic else 1):
                outputs = run_perturbed(
                    program, kept, widest, parameters, nodes, codes, probe, stages, -unit if side else unit, signals
                )
                write_costs(cross_entropy, signals, outputs, targets, part, costs, 0)
                for lane in range(count):
                    found[side, probe, part, lane] = costs[0, lane] - base[part, lane]
            for lane in range(LANES):
                costs[0, lane] = 0.0
            for lane in range(count):
                change = found[0, probe, part, lane] - found[1, probe, part, lane]
                costs[0, lane] = change + noise[probe, part * LANES + lane]
            for number in range(stages[probe, 0], stages[probe, 1] + 1):
                if program[number, KIND] == OF_WEIGHTS:
                    before = program[number - 1, KEPT] if number else 0
                    add_sums(program[number], codes, probe, signals, before, costs[0], sums, part)
