"""The reference engine: numpy, float64, one evaluation after another. The definition."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.datasets import Dataset
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.base import Engine
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

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._dataset.targets[samples])
