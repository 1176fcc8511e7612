"""Blocks that perturb the nodes of an ideal chip, bit by bit.

A node's code is added to its pre-activation behind the integrator, one code for one step of a signal, and the result
saturates like any signal. Costs are codes of single samples; what a layer takes in are input codes (the first) or
signals, as they are without a perturbation. All sums are integers, so exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.codes import Codes
from mgdhw.learning.nodes import node_sums
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.datapath import CodeArray
from mgdhw_sim.spec import ChipSpec

WORK_VALUES = 1 << 21
"""Values of a layer that are worked on at a time."""


def forward(
    spec: ChipSpec, codes: CodeArray, x: CodeArray, shift: IntArray | None = None
) -> tuple[IntArray, list[NDArray[Any]]]:
    """The whole network, and what its layers take in.

    Args:
        spec: the chip.
        codes: (P,) parameter codes.
        x: (B, n_in) input codes.
        shift: (K, n_nodes) what is added to pre-activations; None for nothing.

    Returns:
        (B, n_out) signals of the last layer, with K in front where there is a shift; what each layer takes in.
    """
    signal: CodeArray = x
    taken_in: list[NDArray[Any]] = []
    last = len(spec.topology.layers) - 1
    for number, layer in enumerate(spec.topology.layers):
        taken_in.append(signal)
        weights = codes[layer.weights].reshape(layer.n_out, layer.n_in)
        z = datapath.preactivations(spec, number, signal, weights, codes[layer.biases])
        if shift is not None:
            z = datapath.saturate(z + shift[:, None, layer.nodes], spec.signal_bits)
        signal = datapath.activate(spec, z, last=number == last)
    return np.asarray(signal, dtype=np.int64), taken_in


def probe_nodes(spec: ChipSpec, codes: CodeArray, inputs: NDArray[Any], targets: NDArray[Any], block: Block) -> Costs:
    """Run a block that perturbs nodes.

    Args:
        spec: an ideal chip.
        codes: (P,) parameter codes.
        inputs, targets: (N, n_in) and (N, n_out) codes of all samples.
        block: what is asked for.
    """
    values = Codes(block.codes, spec.topology).values(block.first_step, block.n_probes).astype(np.int64)
    order, held = block.order, block.valid_held()
    samples = order.samples(block.first_batch(), block.n_batches())
    perturbed, compared = (np.zeros(block.n_probes, dtype=np.int64) for _ in range(2))
    sums = np.zeros(spec.topology.n_parameters, dtype=np.int64)
    most = max(1, WORK_VALUES // (order.batch * max(spec.layers)))
    step, end = block.first_step, block.first_step + block.n_probes
    while step < end:
        number = order.batch_of(step)
        until = min(end, (number + 1) * order.tau_x, step + most)
        own = slice(step - block.first_step, until - block.first_step)
        chosen = samples[number - block.first_batch()]
        x, wanted = inputs[chosen], targets[chosen].astype(np.int64)
        outputs, taken_in = forward(spec, codes, x)
        base = datapath.cost_codes(spec, outputs, wanted)

        def of(shift: IntArray, x: NDArray[Any] = x, wanted: IntArray = wanted) -> IntArray:
            """(K, B) costs under a shift of the nodes."""
            shifted, _ = forward(spec, codes, x, shift)
            return np.asarray(datapath.cost_codes(spec, shifted, wanted[None]))

        plus = of(values[own])
        reference = of(-values[own]) if block.baseline is Baseline.ANTITHETIC else np.broadcast_to(base, plus.shape)
        sums += node_sums(spec.topology, values[own], plus - reference, [each[:, None] for each in taken_in])
        perturbed[own], compared[own] = plus.sum(axis=1), reference.sum(axis=1)
        if block.baseline is Baseline.HELD:
            if held is None or order.batch_of(held.step) != number:
                held = HeldBaseline(int(base.sum()), step)
            compared[own] = held.value
        step = until
    carried = held if block.baseline is Baseline.HELD else None
    return Costs(perturbed, compared, block.evaluations(), carried, node_sums=sums)
