"""The engine that numba compiles: on CPUs several times faster than libraries made for many channels.

float32 signals, float64 costs. A batch is run sixteen samples at a time, on all cores where it is large; the sums are
those of the parts in order, whichever core ran them, so results do not depend on the number of cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.codes.base import CodeArray
from mgdhw.datasets import Dataset
from mgdhw.learning.rule import UpdateInfo
from mgdhw.learning.segment import Segment
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.numba.kernels.evaluate import (
    AT_ONCE,
    BASE,
    BY_LAYER,
    evaluate,
    outputs_of,
    pack_parameters,
)
from mgdhw_sim.ideal.engines.numba.kernels.nodes import evaluate_nodes
from mgdhw_sim.ideal.engines.numba.program import LANES, TILE, Program
from mgdhw_sim.ideal.engines.unit_engine import BYTES_AT_ONCE, Evaluated, UnitCodes
from mgdhw_sim.ideal.engines.window_engine import Course, Pattern, Trained, WindowEngine, factor_of
from mgdhw_sim.ideal.node_blocks import NodesEvaluated
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import node_variation

WORTH_A_THREAD = 1 << 22
"""Products of weights and signals from which on a batch is shared between cores: waking one takes some 50 µs."""

WINDOWS_AT_ONCE = 256
"""Windows whose codes, samples and noise are drawn together."""

INFERRED_AT_ONCE = 1 << 12

Float32Array = NDArray[np.float32]
Packed = tuple[Float32Array, Float32Array]
"""Weights and biases as kernels read them."""


@dataclass(slots=True)
class Scratch:
    """What a thread works in: signals, and the costs of sixteen samples."""

    signals: Float32Array
    costs: FloatArray


class NumbaEngine(WindowEngine):
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
        self._dataset = dataset

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def outputs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        packed = self._pack(theta, 0)
        found = np.empty((samples.size, self.spec.network.n_outputs))
        for start in range(0, samples.size, INFERRED_AT_ONCE):
            chosen = samples[start : start + INFERRED_AT_ONCE]
            self._infer(packed, self._inputs(chosen), found[start : start + INFERRED_AT_ONCE])
        return found

    def _infer(self, packed: Packed, inputs: Float32Array, found: FloatArray) -> None:
        program = self._program

        def some(parts: tuple[int, int], scratch: Scratch) -> None:
            outputs_of(program.rows, program.kept, packed, self._nodes, inputs, parts, scratch.signals, found)

        self._shared(found.shape[0], self._products, some)

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._dataset.targets[samples])

    def _inputs(self, samples: IntArray) -> Float32Array:
        """(parts, 16 n_in) inputs of (B,) samples, sixteen side by side; those that fill up the last part are zero."""
        parts, dataset = -(-samples.size // LANES), self._dataset
        rows = np.zeros((parts * LANES, dataset.n_inputs), dtype=np.float32)
        np.multiply(
            dataset.inputs[samples], np.float32(dataset.input_scale), out=rows[: samples.size], casting="unsafe"
        )
        side_by_side = rows.reshape(parts, LANES, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(side_by_side).reshape(parts, -1)

    def evaluate_nodes(
        self, theta: FloatArray, samples: IntArray, codes: CodeArray, noise: FloatArray, *, antithetic: bool
    ) -> NodesEvaluated:
        program, batch = self._program, samples.size
        parts, probes = -(-batch // LANES), len(codes)
        base, inputs, targets = np.zeros((parts, LANES)), self._inputs(samples), self._dataset.targets[samples]
        unperturbed, stages = self._pack(theta, 0), self._perturbed_stages(codes)
        values = np.zeros((probes, codes.shape[1] + TILE), dtype=np.float32)  # kernels read whole tiles
        values[:, : codes.shape[1]] = codes
        found = np.zeros((2, probes, parts, LANES))
        added = np.zeros((probes, parts * LANES))
        added[:, :batch] = noise
        sums = np.zeros((parts, theta.size))
        cross_entropy, unit = self.spec.cost == "xent", np.float32(self.spec.node_lsb)

        def some(of: tuple[int, int], scratch: Scratch) -> None:
            if scratch.signals.size < program.node_scratch:
                scratch.signals = np.zeros(program.node_scratch, np.float32)
            evaluate_nodes(
                program.rows,
                (program.kept, program.widest),
                unperturbed,
                self._nodes,
                cross_entropy,
                inputs,
                targets,
                of,
                (values, stages, unit, antithetic),
                scratch.signals,
                scratch.costs,
                base,
                found,
                added,
                sums,
            )

        runs = 1 + (probes + 1) // 2 * (2 if antithetic else 1)
        self._shared(batch, runs * self._products, some)
        plus, minus = found.reshape(2, probes, -1)[:, :, :batch]
        return NodesEvaluated(base.ravel()[:batch], plus, minus, np.asarray(sums.sum(axis=0)))

    def _perturbed_stages(self, codes: CodeArray) -> IntArray:
        """(K, 2) for each probe the first stage that its code perturbs, and the last."""
        weighted = [at for at, stage in enumerate(self.spec.network.stages) if stage.parameters is not None]
        touched = np.stack([codes[:, layer.nodes].any(axis=1) for layer in self.topology.layers], axis=1)
        first, last = touched.argmax(axis=1), touched.shape[1] - 1 - touched[:, ::-1].argmax(axis=1)
        return np.stack([np.array(weighted)[first], np.array(weighted)[last]], axis=1)

    def evaluate(self, theta: FloatArray, samples: IntArray, codes: UnitCodes, first: int, count: int) -> Evaluated:
        return self._evaluate(theta, samples, codes, codes.values(first, count))

    def train(self, segments: Sequence[Segment], codes: UnitCodes, pattern: Pattern, windows: int) -> list[Trained]:
        return [self._train(segment, pattern, windows) for segment in segments]

    def _train(self, segment: Segment, pattern: Pattern, windows: int) -> Trained:
        rule, codes = segment.rule, self.unit_codes(segment.rule)
        factor, counts_energy = factor_of(rule, codes.codes)
        theta, optimizer, held = segment.state.theta, segment.state.optimizer, self.written(segment)
        cost, norm = 0.0, 0.0
        units = pattern.batches * pattern.units
        at_once = max(1, min(WINDOWS_AT_ONCE, BYTES_AT_ONCE // (16 * units * theta.size)))
        for start in range(0, windows, at_once):
            count = min(at_once, windows - start)
            course = Course.of(self.spec, segment, pattern, codes.probes, start, count)
            values = codes.values(course.first_unit, count * units).reshape(count, units, -1)
            for window in range(count):
                cross, energy = np.zeros(theta.size), np.zeros(theta.size)
                for batch, samples in enumerate(course.samples[window]):
                    own = values[window, batch * pattern.units : (batch + 1) * pattern.units]
                    found = self._evaluate(held, samples, codes, own)
                    differences = found.plus - found.minus
                    if course.noise is not None:
                        noise = course.noise[window].reshape(pattern.batches, pattern.units, -1)
                        differences = differences + noise[batch]
                    for each, code in zip(differences, own, strict=True):
                        cross += codes.spread(each) * code
                        if counts_energy:
                            energy += np.square(code, dtype=np.float64)
                    cost += found.base * found.plus.size + float(found.plus.sum())
                gradient = cross * factor
                if counts_energy:
                    gradient = np.divide(gradient, energy, out=np.zeros_like(gradient), where=energy > 0)
                theta, optimizer = rule.optimizer.update(theta, gradient, float(course.eta[window]), optimizer)
                theta = np.clip(theta, rule.low, rule.high)
                held = theta if course.write_noise is None else theta + course.write_noise[window]
                norm = UpdateInfo.of(0.0, gradient).gradient_norm
        return Trained(theta, optimizer, cost, norm)

    def _evaluate(self, theta: FloatArray, samples: IntArray, codes: UnitCodes, values: CodeArray) -> Evaluated:
        """Units with (units, P) codes."""
        parts = -(-samples.size // LANES)
        base, inputs, targets = np.zeros((parts, LANES)), self._inputs(samples), self._dataset.targets[samples]
        unperturbed = self._pack(theta, 0)
        plus, minus = np.zeros((len(values), codes.probes)), np.zeros((len(values), codes.probes))
        what = BY_LAYER if codes.by_layer else AT_ONCE
        if what == AT_ONCE:  # layer by layer, the unperturbed signals are run anyway
            self._run(BASE, unperturbed, unperturbed, inputs, targets, base, 1)
        for at, code in enumerate(values):
            change = code * self.spec.theta_lsb
            plus[at] = self._run(what, unperturbed, self._pack(theta + change, 1), inputs, targets, base, codes.probes)
            if codes.antithetic:
                minus[at] = self._run(
                    what, unperturbed, self._pack(theta - change, 1), inputs, targets, base, codes.probes
                )
        return Evaluated(float(base.sum()), plus, minus)

    def _run(
        self,
        what: int,
        unperturbed: Packed,
        moved: Packed,
        inputs: Float32Array,
        targets: FloatArray,
        base: FloatArray,
        probes: int,
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
                inputs,
                targets,
                parts,
                scratch.signals,
                scratch.costs,
                base,
                found,
            )

        runs = (probes + 3) // 2 if what == BY_LAYER else 1  # a layer's own and what follows: half of all, about
        self._shared(targets.shape[0], runs * self._products, some)
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
