"""A device with a budget: every evaluation is counted, and none goes beyond the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.datasets import Dataset
from mgdhw.device import Device, DeviceInfo, guarded, guarded_probing
from mgdhw.device.interlock import require_closed
from mgdhw.device.linked_limits import LinkedConstraint
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.experiment.schema import LARGEST_PERIOD
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.amplitude import default_amplitude
from mgdhw.training.events import Measured
from mgdhw.training.pacing import CooperativeYield
from mgdhw.training.readings import report_readings
from mgdhw.training.retry import Retries

MAX_EVALUATIONS = 20_000
"""Default budget."""
LEAST_EVALUATIONS = 10_000
"""Some 5,000 go before the first pilot; fewer than this leave too little for the pilots to be conclusive."""
MOST_EVALUATIONS = 1_000_000_000
CHUNK = 256
"""Probes per request: short enough to show progress."""
RETRIES = 3
FIXED_BATCH = LARGEST_PERIOD
"""τ_x of a batch that never changes."""


def check_budget(evaluations: int) -> None:
    """Raise ConfigError unless a check can be done within this many evaluations."""
    if not LEAST_EVALUATIONS <= evaluations <= MOST_EVALUATIONS:
        raise ConfigError(
            f"a budget of {evaluations:,} evaluations: expected {LEAST_EVALUATIONS:,} to {MOST_EVALUATIONS:,}"
            f" (default: {MAX_EVALUATIONS:,})"
        )


ProgressCallback = Callable[[str, int], None]
"""Called with what is being measured and the number of evaluations so far."""


@dataclass(frozen=True)
class PairedCosts:
    """Costs of probes per sample, in the cost's units.

    Args:
        perturbed: (K,) C(θ + θ̃).
        reference: (K,) C(θ - θ̃), C₀, or zeros, as the baseline says.
    """

    perturbed: FloatArray
    reference: FloatArray


class BudgetedDevice:
    """An open device that counts evaluations and refuses those beyond a budget.

    Args:
        device: open, with `dataset` loaded.
        dataset: what it is measured on.
        seed: of the codes and the sample order.
        limit: evaluations that may be spent.
        watch: called as evaluations are made.
    """

    def __init__(self, device: Device, dataset: Dataset, seed: int, limit: int, watch: ProgressCallback) -> None:
        self.device = device
        self.dataset = dataset
        self.seed = seed
        self.limit = limit
        self.used = 0
        self.stage = ""
        self.integer_costs = True
        """Whether costs are integers, from a converter."""
        self._watch = watch
        self._retries = Retries(device, RETRIES, dataset)
        self._cooperative_yield = CooperativeYield()
        self._step = 0
        info = device.info
        usual = (max(2, default_amplitude("random", info)) + 0.5) * np.asarray(info.theta_lsb)
        self._constraint: LinkedConstraint | None = None
        if info.linked_limits:
            self._constraint = LinkedConstraint(info.linked_limits, usual, info.theta_min, info.theta_max)

    @property
    def info(self) -> DeviceInfo:
        """Description of the device."""
        return self.device.info

    @property
    def remaining(self) -> int:
        """Evaluations left in the budget."""
        return self.limit - self.used

    def begin_stage(self, stage: str) -> None:
        """Announce what is measured next."""
        self.stage = stage
        self._watch(stage, self.used)

    def reserve_steps(self, count: int) -> int:
        """Reserve `count` unused steps and return the first: a simulated device draws fresh noise at each step."""
        first = self._step
        self._step += count
        return first

    async def write(self, theta: FloatArray, step: int | None = None) -> FloatArray:
        """Set the parameters, (P,), at the next step or another one. Returns the actual values, (P,).

        Values beyond the limits on several parameters together are moved within them first, with room for the usual
        perturbation.
        """
        await self._require_closed()
        at = self._step if step is None else step
        if self._constraint is not None:
            inside = self._constraint.close_to(theta)
            theta = theta if inside is None else inside
        return await self._retries.write(theta, at)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """State of a simulated chip's cells; empty for hardware, where each pilot starts from the state left before."""
        return await self._retries.snapshot(self._step)

    async def restore(self, cells: Mapping[str, NDArray[Any]]) -> None:
        """Restore a state from `snapshot`."""
        if cells:
            await self._retries.restore(cells, self._step)

    async def probe(self, block: Block) -> Costs:
        """Measure one block. Raises DeviceFault if the budget is spent or the costs are invalid."""

        async def request() -> Costs:
            if self.used + block.evaluations() > self.limit:
                raise DeviceFault(
                    f"the check's budget of {self.limit:,} evaluations ran out ({self.stage}); requests repeated after"
                    " a link fault count, too; increase it with --budget",
                    uri=self.device.uri,
                )
            self.used += block.evaluations()  # counts even if the answer is lost
            return await guarded_probing.probe(self.device, block)

        await self._require_closed()
        before = self.used

        def report_progress(measured: Measured) -> None:
            self._watch(self.stage, min(before + measured.readings, self.used))

        with report_readings(self.device, report_progress):
            costs = await self._retries.repeat(request, block.first_step, perturbs=True)
        if costs.perturbed.shape != (block.n_probes,) or costs.reference.shape != (block.n_probes,):
            raise DeviceFault(
                f"returned {costs.perturbed.size} costs for a block of {block.n_probes} probes", uri=self.device.uri
            )
        if not (np.isfinite(costs.perturbed).all() and np.isfinite(costs.reference).all()):
            raise DeviceFault(
                f"a cost is NaN or infinite ({self.stage}); check the cost's range and wiring", uri=self.device.uri
            )
        self.integer_costs = bool(np.issubdtype(costs.perturbed.dtype, np.integer))
        self._watch(self.stage, self.used)
        await self._cooperative_yield.take()  # a device that never waits would block Ctrl-C
        return costs

    async def measure_pairs(
        self,
        count: int,
        baseline: Baseline,
        *,
        amplitude: int = 1,
        batch: int = 1,
        tau_x: int = FIXED_BATCH,
        first_step: int | None = None,
    ) -> PairedCosts:
        """Costs of `count` probes with random codes; by default all of them on the same samples."""
        first = self.reserve_steps(count) if first_step is None else first_step
        order = SampleOrder(self.seed, self.dataset.n_train, batch, tau_x)
        codes = self.codes(amplitude)
        perturbed, reference = [], []
        baseline_held = None
        for start in range(0, count, CHUNK):
            block = Block(first + start, min(CHUNK, count - start), codes, order, baseline, baseline_held)
            costs = await self.probe(block)
            baseline_held = costs.held
            perturbed.append(costs.perturbed)
            reference.append(costs.reference)
        scale = self.info.cost_lsb / batch
        return PairedCosts(
            np.concatenate(perturbed).astype(np.float64) * scale, np.concatenate(reference).astype(np.float64) * scale
        )

    def codes(self, amplitude: int) -> CodeSpec:
        """Random codes with an amplitude in parameter steps."""
        return CodeSpec("random", self.seed, amplitude)

    async def infer(self, count: int, batch: int) -> FloatArray:
        """(count, n_out) outputs at the current parameters; counts one evaluation per `batch` samples."""
        await self._require_closed()
        samples = self.samples(count)
        self.used += -(-count // batch)
        before = self.used - -(-count // batch)

        def report_progress(measured: Measured) -> None:
            self._watch(self.stage, min(before + measured.readings, self.used))

        with report_readings(self.device, report_progress):
            outputs = await self._retries.repeat(lambda: guarded.infer(self.device, samples, self._step), self._step)
        self._watch(self.stage, self.used)
        return outputs

    async def _require_closed(self) -> None:
        await require_closed(self.device.interlocks, self.device.uri)

    def samples(self, batch: int) -> NDArray[np.int64]:
        """(B,) sample indices of a fixed batch."""
        return np.asarray(
            SampleOrder(self.seed, self.dataset.n_train, batch, FIXED_BATCH).samples(0)[0], dtype=np.int64
        )

    async def cost(self, batch: int, repeats: int) -> float:
        """C₀ per sample at the current parameters on a fixed batch: the mean of `repeats` measurements."""
        return float((await self.measure_pairs(repeats, Baseline.EVERY, batch=batch)).reference.mean())
