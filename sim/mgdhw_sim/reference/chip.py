"""A chip in memory: what it holds, and how it runs a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part, Target
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.errors import ConfigError
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.cells import Cells, program, theta_actual
from mgdhw_sim.reference.node_probes import probe_nodes
from mgdhw_sim.reference.nonideal import NonidealChip
from mgdhw_sim.spec import ChipSpec

CodeArray = NDArray[np.int16]

WORK_VALUES = 1 << 21
"""Parameter and input codes that are worked on at a time: bounds the memory of long blocks."""
SAMPLE_VALUES = 1 << 16
"""Values of a layer that are worked on at a time where there are many samples: there are ten arrays of them."""
SPARE_INPUTS = 16
"""Beyond the last sample: kernels read so many at a time (`mgdhw.compiled.kernels.transposed_loads.BYTES`)."""


def input_dtype(spec: ChipSpec) -> type[np.integer[Any]]:
    """A narrow integer that holds an input code: the sample memory is the largest thing that a chip has."""
    if spec.input_bits <= 8 and not spec.input_bipolar:
        return np.uint8
    return np.int16 if spec.input_bits < 16 or spec.input_bipolar else np.int32


class Chip:
    """Parameter registers, sample memory, code generator, network and cost unit.

    Args:
        spec: what the chip is.
    """

    def __init__(self, spec: ChipSpec) -> None:
        self.spec = spec
        self.topology = spec.topology
        self.codes: CodeArray = np.zeros(self.topology.n_parameters, dtype=np.int16)
        self._inputs: NDArray[Any] = np.zeros((0, spec.layers[0]), dtype=np.int16)
        self._targets: NDArray[np.int16] = np.zeros((0, spec.layers[-1]), dtype=np.int16)
        self.cells: Cells | None = None if spec.ideal else Cells.fresh(self.topology.n_parameters)
        """What holds the codes, on a nonideal chip."""
        self.current_step = 0
        """The last step that it was written or probed at."""
        self.engine_cache: dict[str, Any] = {}
        """What engines derive from the sample memory; emptied when it is loaded."""
        self.single_threaded = False
        """Whether one thread does all work on it, because others work on its copies."""

    def load(self, dataset: Dataset) -> None:
        """Convert inputs and targets once. Raises ConfigError if their sizes are not the chip's."""
        sizes = self.spec.layers
        if (dataset.n_inputs, dataset.n_outputs) != (sizes[0], sizes[-1]):
            fitting = "-".join(map(str, (dataset.n_inputs, *sizes[1:-1], dataset.n_outputs)))
            raise ConfigError(
                f"the chip's layers {self.topology} do not fit dataset {dataset.name!r}, which has"
                f" {dataset.n_inputs} inputs and {dataset.n_outputs} outputs; for example layers={fitting}"
            )
        size = dataset.n_samples * sizes[0]
        inputs = np.zeros(size + SPARE_INPUTS, dtype=input_dtype(self.spec))[:size].reshape(-1, sizes[0])
        rows = max(1, SAMPLE_VALUES // sizes[0])
        for start in range(0, dataset.n_samples, rows):
            index = np.arange(start, min(start + rows, dataset.n_samples))
            inputs[index] = datapath.input_codes(self.spec, dataset.values(index))
        self._inputs = inputs
        self.engine_cache = {}
        self._targets = datapath.target_codes(dataset.targets).astype(np.int16)

    def share(self, other: Chip) -> None:
        """Take over the sample memory of a chip of the same kind."""
        self._inputs, self._targets, self.engine_cache = other._inputs, other._targets, other.engine_cache

    @property
    def memory(self) -> tuple[NDArray[Any], NDArray[np.int16]]:
        """Input codes (N, n_in) and target codes (N, n_out) of every sample."""
        return self._inputs, self._targets

    def write(self, theta: FloatArray, step: int) -> None:
        """Store θ, (P,), before the probe of a step."""
        self.codes = datapath.stored_codes(self.spec, theta)
        if self.cells is not None:
            self.cells = program(self.spec, self.cells, self.codes, step)
        self.current_step = max(self.current_step, step)

    def begin_segment(self, cells: Mapping[str, NDArray[Any]], theta: FloatArray, step: int) -> None:
        """Restore the cells' state, or take fresh ones, and write θ to them."""
        if self.cells is not None:
            self.cells = Cells.of(cells) if cells else Cells.fresh(self.topology.n_parameters)
        self.write(theta, step)

    def cell_state(self) -> dict[str, NDArray[Any]]:
        """What a training state carries of this chip: its cells' arrays; empty where there are no cells."""
        return {} if self.cells is None else self.cells.memory()

    def theta_actual(self) -> FloatArray:
        """(P,) θ that the chip actually holds at its current step."""
        if self.cells is not None:
            return theta_actual(self.spec, self.cells, self.current_step)
        return np.asarray(self.codes * self.spec.weight_lsb, dtype=np.float64)

    def infer(self, samples: IntArray, step: int) -> IntArray:
        """(B, n_out) output codes for (B,) samples, as the chip is at a step."""
        rows = max(1, SAMPLE_VALUES // max(self.spec.layers))
        if self.cells is None:
            parts = [
                datapath.output_codes(self.spec, datapath.outputs(self.spec, self.codes, self._inputs[chosen]))
                for chosen in (samples[start : start + rows] for start in range(0, samples.size, rows))
            ]
        else:
            nonideal = NonidealChip(self.spec, self.cells, self._inputs, self._targets)
            parts = [nonideal.infer(samples[start : start + rows], step) for start in range(0, samples.size, rows)]
        return np.concatenate(parts) if parts else np.zeros((0, self.spec.layers[-1]), dtype=np.int64)

    def cost(self, codes: CodeArray, samples: IntArray) -> IntArray:
        """Cost codes summed over the B samples.

        Args:
            codes: (P,) or (K, P) parameter codes, perturbation included.
            samples: (B,), (1, B) or (K, B) sample indices.
        """
        rows = max(1, WORK_VALUES // (max(1, codes.size // self.topology.n_parameters) * max(self.spec.layers)))
        sums = []
        for start in range(0, samples.shape[-1], rows):
            seen = samples[..., start : start + rows]
            signals = datapath.outputs(self.spec, codes, self._inputs[seen])
            sums.append(datapath.cost_codes(self.spec, signals, self._targets[seen].astype(np.int64)).sum(axis=-1))
        return np.asarray(sums[0] if len(sums) == 1 else np.sum(sums, axis=0))

    def measure(self, samples: IntArray, step: int, part: Part) -> int:
        """Cost codes of one evaluation of (B,) samples, summed, with the parameters as they are."""
        if self.cells is None:
            return int(self.cost(self.codes, samples))
        return NonidealChip(self.spec, self.cells, self._inputs, self._targets).measure(samples, step, part)

    def probe(self, block: Block) -> Costs:
        """Run a block. The caller has made sure that θ + θ̃ stays within the range."""
        self.current_step = max(self.current_step, block.first_step + block.n_probes)
        if block.codes.target is Target.NODES:
            return probe_nodes(self.spec, self.codes, self._inputs, self._targets, block)
        if self.cells is not None:
            most = max(1, WORK_VALUES // (4 * (self.topology.n_parameters + block.order.batch * sum(self.spec.layers))))
            return NonidealChip(self.spec, self.cells, self._inputs, self._targets).probe(block, most)
        codes = Codes(block.codes, self.topology)
        samples = block.order.samples(block.first_batch(), block.n_batches())
        steps = np.arange(block.first_step, block.first_step + block.n_probes)
        batch = steps // block.order.tau_x - block.first_batch()

        baseline_steps = block.baseline_steps()
        measured = self._baselines(samples[[block.order.batch_of(s) - block.first_batch() for s in baseline_steps]])
        perturbed = np.empty(block.n_probes, dtype=np.int64)
        opposite = np.zeros(block.n_probes, dtype=np.int64)
        held = block.valid_held()
        size = max(1, WORK_VALUES // (self.topology.n_parameters + block.order.batch * max(self.spec.layers)))
        for start in range(0, block.n_probes, size):
            part = slice(start, min(start + size, block.n_probes))
            change = codes.values(block.first_step + start, part.stop - start)
            seen = samples if samples.shape[0] == 1 else samples[batch[part]]
            perturbed[part] = self.cost(self.codes + change, seen)
            if block.baseline is Baseline.ANTITHETIC:
                opposite[part] = self.cost(self.codes - change, seen)
        if block.baseline not in (Baseline.HELD, Baseline.EVERY):
            return Costs(perturbed, opposite, block.evaluations())

        known = [(s, int(c)) for s, c in zip(baseline_steps, measured, strict=True)]
        if held is not None:
            known.insert(0, (held.step, int(held.value)))
        # A carried baseline counts from the first probe on, even where it was taken at a later one of its batch.
        at = np.maximum(np.searchsorted([step for step, _ in known], steps, side="right") - 1, 0)
        reference = np.array([value for _, value in known], dtype=np.int64)[at]
        last = HeldBaseline(known[-1][1], known[-1][0]) if block.baseline is Baseline.HELD else None
        return Costs(perturbed, reference, block.evaluations(), last)

    def _baselines(self, samples: IntArray) -> IntArray:
        """Unperturbed costs, (M,), of (M, B) samples."""
        m, b = samples.shape
        if m == 0:
            return np.zeros(0, dtype=np.int64)
        if b * max(self.spec.layers) > WORK_VALUES:
            return np.array([self.cost(self.codes, batch) for batch in samples], dtype=np.int64)
        rows = max(1, WORK_VALUES // (b * max(self.spec.layers)))
        costs = []
        for start in range(0, m, rows):
            chosen = samples[start : start + rows]
            signals = datapath.outputs(self.spec, self.codes, self._inputs[chosen.ravel()])
            one_each = datapath.cost_codes(self.spec, signals, self._targets[chosen.ravel()].astype(np.int64))
            costs.append(one_each.reshape(chosen.shape).sum(axis=-1))
        return np.concatenate(costs)
