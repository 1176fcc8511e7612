"""The device on the bench: every request is counted, and none goes beyond the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.datasets import Dataset
from mgdhw.device import Device, DeviceInfo
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.experiment.schema import LARGEST_PERIOD
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.events import Measured
from mgdhw.training.pacing import CooperativeYield
from mgdhw.training.readings import report_readings
from mgdhw.training.retry import Retries

MAX_EVALUATIONS = 20_000
"""What a check may cost where nobody says."""
LEAST_EVALUATIONS = 10_000
"""What it takes at least: some 5,000 before the first pilot, and pilots that say something."""
MOST_EVALUATIONS = 1_000_000_000
CHUNK = 256
"""Probes of one request: short enough to show progress."""
RETRIES = 3
FOR_EVER = LARGEST_PERIOD
"""τ_x of a batch that never changes."""


def check_budget(evaluations: int) -> None:
    """Raise ConfigError unless a check can be had for so many evaluations."""
    if not LEAST_EVALUATIONS <= evaluations <= MOST_EVALUATIONS:
        raise ConfigError(
            f"a budget of {evaluations:,} evaluations: expected {LEAST_EVALUATIONS:,} ... {MOST_EVALUATIONS:,};"
            f" {MAX_EVALUATIONS:,} is what a check takes where nothing is said"
        )


Watcher = Callable[[str, int], None]
"""Told what is being measured, and the evaluations so far."""


@dataclass(frozen=True)
class Pairs:
    """Costs of probes per sample, in the cost's units.

    Args:
        perturbed: (K,) C(θ + θ̃).
        reference: (K,) C(θ - θ̃), C₀, or zeros, as the baseline says.
    """

    perturbed: FloatArray
    reference: FloatArray


class Bench:
    """Asks an open device, and counts.

    Args:
        device: open, with `dataset` loaded.
        dataset: what it is tried on.
        seed: of codes and of the samples' order.
        limit: evaluations that may be spent.
        watch: is told how far it is.
    """

    def __init__(self, device: Device, dataset: Dataset, seed: int, limit: int, watch: Watcher) -> None:
        self.device = device
        self.dataset = dataset
        self.seed = seed
        self.limit = limit
        self.used = 0
        self.doing = ""
        self.whole = True
        """Whether costs come as integers, from a converter."""
        self._watch = watch
        self._retries = Retries(device, RETRIES, dataset)
        self._breath = CooperativeYield()
        self._step = 0

    @property
    def info(self) -> DeviceInfo:
        """Of the device."""
        return self.device.info

    @property
    def left(self) -> int:
        """Evaluations that may still be spent."""
        return self.limit - self.used

    def begin(self, doing: str) -> None:
        """Say what is measured next."""
        self.doing = doing
        self._watch(doing, self.used)

    def steps(self, count: int) -> int:
        """The first of `count` steps that no probe has had: a simulated device draws fresh noise at each."""
        first = self._step
        self._step += count
        return first

    async def write(self, theta: FloatArray, step: int | None = None) -> FloatArray:
        """Set the parameters, (P,), at the next step or another one; answers what the device holds."""
        at = self._step if step is None else step
        return await self._retries.write(theta, at)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """What a simulated chip's cells remember; hardware tells nothing, and every pilot inherits what was before."""
        return await self._retries.snapshot(self._step)

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Put that back."""
        if memory:
            await self._retries.restore(memory, self._step)

    async def ask(self, block: Block) -> Costs:
        """Have one block measured. Raises DeviceFault for an answer that is none."""

        async def request() -> Costs:
            if self.used + block.evaluations() > self.limit:
                raise DeviceFault(
                    f"the check's budget of {self.limit:,} evaluations is spent while {self.doing};"
                    " requests that the link lost have taken their part of it (--budget allows more)",
                    uri=self.device.uri,
                )
            self.used += block.evaluations()  # one whose answer is lost was paid for, too
            return await self.device.probe(block)

        before = self.used

        def hear(measured: Measured) -> None:
            self._watch(self.doing, min(before + measured.readings, self.used))

        with report_readings(self.device, hear):
            costs = await self._retries.repeat(request, block.first_step, perturbs=True)
        if costs.perturbed.shape != (block.n_probes,) or costs.reference.shape != (block.n_probes,):
            raise DeviceFault(
                f"answered {costs.perturbed.size} costs to a block of {block.n_probes} probes", uri=self.device.uri
            )
        if not (np.isfinite(costs.perturbed).all() and np.isfinite(costs.reference).all()):
            raise DeviceFault(
                f"a cost is not a number while {self.doing}; check the cost's range and wiring", uri=self.device.uri
            )
        self.whole = bool(np.issubdtype(costs.perturbed.dtype, np.integer))
        self._watch(self.doing, self.used)
        await self._breath.take()  # a device that never waits would not let Ctrl-C through
        return costs

    async def pairs(
        self,
        count: int,
        baseline: Baseline,
        *,
        amplitude: int = 1,
        batch: int = 1,
        tau_x: int = FOR_EVER,
        first_step: int | None = None,
    ) -> Pairs:
        """`count` probes with random codes, per sample; by default all of them on the same samples."""
        first = self.steps(count) if first_step is None else first_step
        order = SampleOrder(self.seed, self.dataset.n_train, batch, tau_x)
        codes = self.codes(amplitude)
        perturbed, reference = [], []
        held = None
        for start in range(0, count, CHUNK):
            block = Block(first + start, min(CHUNK, count - start), codes, order, baseline, held)
            costs = await self.ask(block)
            held = costs.held
            perturbed.append(costs.perturbed)
            reference.append(costs.reference)
        scale = self.info.cost_lsb / batch
        return Pairs(
            np.concatenate(perturbed).astype(np.float64) * scale, np.concatenate(reference).astype(np.float64) * scale
        )

    def codes(self, amplitude: int) -> CodeSpec:
        """Random signs of an amplitude, in steps of a parameter."""
        return CodeSpec("random", self.seed, amplitude)

    async def infer(self, count: int, batch: int) -> FloatArray:
        """(count, n_out) outputs where the parameters stand; an evaluation for each `batch` of them."""
        samples = self.samples(count)
        self.used += -(-count // batch)
        outputs = await self._retries.repeat(lambda: self.device.infer(samples, self._step), self._step)
        self._watch(self.doing, self.used)
        return outputs

    def samples(self, batch: int) -> NDArray[np.int64]:
        """(B,) the samples of a fixed batch."""
        return np.asarray(SampleOrder(self.seed, self.dataset.n_train, batch, FOR_EVER).samples(0)[0], dtype=np.int64)

    async def cost(self, batch: int, repeats: int) -> float:
        """C₀ per sample where the parameters stand, on a fixed batch, as the mean of some measurements."""
        return float((await self.pairs(repeats, Baseline.EVERY, batch=batch)).reference.mean())
