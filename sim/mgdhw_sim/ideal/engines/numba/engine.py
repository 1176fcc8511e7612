"""The engine that numba compiles: on CPUs several times faster than libraries made for many channels.

float32 signals, float64 costs. A batch is run sixteen samples at a time, on all cores where it is large; the sums are
those of the parts in order, whichever core ran them, so results do not depend on the number of cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.datasets import Dataset
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.numba.kernels.evaluate import (
    AT_ONCE,
    BASE,
    BY_LAYER,
    evaluate,
    outputs_of,
    pack_parameters,
)
from mgdhw_sim.ideal.engines.numba.program import LANES, Program
from mgdhw_sim.ideal.engines.unit_engine import Evaluated, UnitCodes, UnitEngine
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import node_variation

WORTH_A_THREAD = 1 << 22
"""Products of weights and signals from which on a batch is shared between cores: waking one takes some 50 µs."""

Float32Array = NDArray[np.float32]
Packed = tuple[Float32Array, Float32Array]
"""Weights and biases as kernels read them."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """What a thread works in: signals, and the costs of sixteen samples."""

    signals: Float32Array
    costs: FloatArray


class NumbaEngine(UnitEngine):
    """Batches compiled; updates in numpy, by the functions that the host uses."""

    name = "numba"

    def __init__(self, spec: IdealSpec) -> None:
        super().__init__(spec)
        network = spec.network
        self._program = Program.of(network)
        variation = node_variation(spec)
        self._nodes = np.zeros((4, 0), dtype=np.float32)
        if variation is not None:
            rows = (variation.midpoint, variation.steepness, variation.amplitude, variation.offset)
            self._nodes = np.stack(rows).astype(np.float32)
        self._products = sum(layer.n_in * layer.n_nodes for layer in network.topology.layers)
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads: ThreadPoolExecutor | None = None
        self._scratch: list[Scratch] = []
        self._packed = [self._empty(), self._empty()]

    def load(self, dataset: Dataset) -> None:
        self._targets = dataset.targets
        self._data = (dataset.inputs, dataset.input_scale, dataset.targets)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def outputs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        network = self.spec.network
        packed = self._pack(theta, 0)
        found = np.empty((samples.size, network.n_outputs))
        program, samples = self._program, np.ascontiguousarray(samples, dtype=np.int64)

        def some(parts: tuple[int, int], scratch: Scratch) -> None:
            outputs_of(
                program.rows, program.kept, packed, self._nodes, self._data, samples, parts, scratch.signals, found
            )

        self._shared(samples.size, self._products, some)
        return found

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._targets[samples])

    def evaluate(self, theta: FloatArray, samples: IntArray, codes: UnitCodes, first: int, count: int) -> Evaluated:
        parts = -(-samples.size // LANES)
        base, samples = np.zeros((parts, LANES)), np.ascontiguousarray(samples, dtype=np.int64)
        unperturbed = self._pack(theta, 0)
        plus, minus = np.zeros((count, codes.probes)), np.zeros((count, codes.probes))
        what = BY_LAYER if codes.by_layer else AT_ONCE
        if what == AT_ONCE:  # layer by layer, the unperturbed signals are run anyway
            self._run(BASE, unperturbed, unperturbed, samples, base, 1)
        for at, code in enumerate(codes.values(first, count)):
            change = code * self.spec.theta_lsb
            plus[at] = self._run(what, unperturbed, self._pack(theta + change, 1), samples, base, codes.probes)
            if codes.antithetic:
                minus[at] = self._run(what, unperturbed, self._pack(theta - change, 1), samples, base, codes.probes)
        return Evaluated(float(base.sum()), plus, minus)

    def _run(
        self, what: int, unperturbed: Packed, moved: Packed, samples: IntArray, base: FloatArray, probes: int
    ) -> FloatArray:
        """(probes,) sums over a batch; see the kernel `evaluate`."""
        found, program = np.zeros((base.shape[0], probes)), self._program
        cross_entropy = self.spec.cost == "xent"

        def some(parts: tuple[int, int], scratch: Scratch) -> None:
            evaluate(
                what,
                program.rows,
                program.kept,
                unperturbed,
                moved,
                self._nodes,
                cross_entropy,
                self._data,
                samples,
                parts,
                scratch.signals,
                scratch.costs,
                base,
                found,
            )

        runs = (probes + 3) // 2 if what == BY_LAYER else 1  # a layer's own and what follows: half of all, about
        self._shared(samples.size, runs * self._products, some)
        return np.asarray(found.sum(axis=0))

    def _shared(self, samples: int, products: int, some: Callable[[tuple[int, int], Scratch], None]) -> None:
        """Do the parts of a batch, on several cores where that is worth it."""
        parts = -(-samples // LANES)
        count = max(1, min(self._cores, parts, samples * products // WORTH_A_THREAD))
        while len(self._scratch) < count:
            self._scratch.append(Scratch(np.zeros(self._program.scratch, np.float32), np.zeros((1, LANES))))
        borders = [parts * number // count for number in range(count + 1)]
        if count == 1:
            some((0, parts), self._scratch[0])
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._cores - 1, thread_name_prefix="mgdhw-ideal")
        others = [
            self._threads.submit(some, (borders[number], borders[number + 1]), self._scratch[number])
            for number in range(1, count)
        ]
        try:
            some((borders[0], borders[1]), self._scratch[0])
        finally:
            for other in others:
                other.result()

    def _empty(self) -> Packed:
        program = self._program
        return np.zeros(program.n_weights, dtype=np.float32), np.zeros(program.n_biases, dtype=np.float32)

    def _pack(self, theta: FloatArray, place: int) -> Packed:
        packed: Any = self._packed[place]
        pack_parameters(self._program.rows, theta.astype(np.float32), *packed)
        return packed[0], packed[1]
