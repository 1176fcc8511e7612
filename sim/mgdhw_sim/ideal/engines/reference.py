"""The reference engine: numpy, float64, one evaluation after another. The definition."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.codes import CodeArray
from mgdhw.datasets import Dataset
from mgdhw.learning.nodes import node_sums
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.node_blocks import NodesEvaluated
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import node_variation

SIGNALS_AT_ONCE = 1 << 22
"""A large batch is run in parts, so that its signals stay within some megabytes."""


class Reference(Engine):
    """Readable, and slow where networks are large."""

    name = "reference"

    def __init__(self, spec: IdealSpec) -> None:
        super().__init__(spec)
        self._variation = node_variation(spec)

    def load(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def outputs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        network = self.spec.network
        found = np.empty((samples.size, network.n_outputs))
        at_once = max(1, SIGNALS_AT_ONCE // (10 * network.most_signals))
        for start in range(0, samples.size, at_once):
            part = slice(start, start + at_once)
            x = self._dataset.values(samples[part])
            found[part] = reference.forward(network, theta, x, variation=self._variation).outputs
        return found

    def evaluate_nodes(
        self, theta: FloatArray, samples: IntArray, codes: CodeArray, noise: FloatArray, *, antithetic: bool
    ) -> NodesEvaluated:
        network, x, targets = self.spec.network, self._dataset.values(samples), self._dataset.targets[samples]
        trace = reference.forward(network, theta, x, variation=self._variation)
        base = reference.costs(self.spec.cost, trace.outputs, targets)

        def shifted(shift: FloatArray) -> FloatArray:
            """(B,) what a shift of pre-activations adds to the costs: run from the first layer that it is in."""
            layers = self.topology.layers
            shifts = {number: shift[layer.nodes] for number, layer in enumerate(layers) if shift[layer.nodes].any()}
            start = min(shifts, default=0)
            after = reference.forward(
                network, theta, trace.inputs[start], start=start, shifts=shifts, variation=self._variation
            )
            return reference.costs(self.spec.cost, after.outputs, targets) - base

        unit = self.spec.node_lsb
        plus = np.array([shifted(code * unit) for code in codes])
        minus = np.array([shifted(code * -unit) for code in codes]) if antithetic else np.zeros_like(plus)
        sums = node_sums(self.topology, codes, plus - minus + noise, reference.taken_in(network, trace))
        return NodesEvaluated(base, plus, minus, sums)

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._dataset.targets[samples])
