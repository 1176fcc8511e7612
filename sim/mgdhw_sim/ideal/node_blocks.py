"""Blocks that perturb nodes: batch by batch, with noise sample by sample."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import CodeArray, Codes
from mgdhw.topology import Topology
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import sample_noise


class NodesEvaluated(NamedTuple):
    """Probes of nodes that share a batch.

    Args:
        base: (B,) unperturbed costs, without noise.
        plus, minus: (K, B) what θ̃, and -θ̃, add to each; without noise.
        sums: (P,) Σ C̃ θ̃ x in units of the cost × code units, C̃ with its noise.
    """

    base: FloatArray
    plus: FloatArray
    minus: FloatArray
    sums: FloatArray


class PerturbsNodes(Protocol):
    """What of an engine evaluates probes of nodes."""

    spec: IdealSpec
    topology: Topology

    def evaluate_nodes(
        self, theta: FloatArray, samples: IntArray, codes: CodeArray, noise: FloatArray, *, antithetic: bool
    ) -> NodesEvaluated:
        """See `Engine.evaluate_nodes`."""


def probe_nodes(engine: PerturbsNodes, theta: FloatArray, block: Block) -> Costs:
    """K probes of nodes around the parameters (P,) that the network has."""
    spec, order, batch = engine.spec, block.order, block.order.batch
    codes = Codes(block.codes, engine.topology).values(block.first_step, block.n_probes)
    samples = order.samples(block.first_batch(), block.n_batches())
    antithetic, held = block.baseline is Baseline.ANTITHETIC, block.valid_held()
    perturbed, compared = np.zeros(block.n_probes), np.zeros(block.n_probes)
    sums = np.zeros(engine.topology.n_parameters)
    step, end = block.first_step, block.first_step + block.n_probes
    while step < end:
        number = order.batch_of(step)
        until = min(end, (number + 1) * order.tau_x)
        steps, own = np.arange(step, until), slice(step - block.first_step, until - block.first_step)
        if block.baseline is Baseline.HELD:
            measured = held.step if held is not None and order.batch_of(held.step) == number else step
            of_reference = sample_noise(spec, np.array([measured]), batch, Part.BASELINE)
        else:
            part = Part.MINUS if antithetic else Part.BASELINE
            of_reference = sample_noise(spec, steps, batch, part)
        of_perturbed = sample_noise(spec, steps, batch, Part.PLUS)
        found = engine.evaluate_nodes(
            theta, samples[number - block.first_batch()], codes[own], of_perturbed - of_reference, antithetic=antithetic
        )
        base = float(found.base.sum())
        if block.baseline is Baseline.HELD:
            if held is None or order.batch_of(held.step) != number:
                held = HeldBaseline(base + float(of_reference.sum()), step)
            compared[own] = held.value
        else:
            compared[own] = base + found.minus.sum(axis=1) + of_reference.sum(axis=1)
        perturbed[own] = base + found.plus.sum(axis=1) + of_perturbed.sum(axis=1)
        sums += found.sums
        step = until
    carried = held if block.baseline is Baseline.HELD else None
    return Costs(perturbed, compared, block.evaluations(), carried, node_sums=sums)
