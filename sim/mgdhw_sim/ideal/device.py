"""The ideal network as a device: `sim:ideal?layers=...`, `sim:ideal-fashion?d=4`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.concurrency.background import BackgroundWorker
from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import requested_theta
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines import Engine, make_engine
from mgdhw_sim.ideal.engines.base import written_step
from mgdhw_sim.ideal.spec import THETA_RANGE, IdealSpec
from mgdhw_sim.ideal.variation import write_noise

Answer = TypeVar("Answer")

INLINE_SECONDS = 0.1
"""Work that takes longer is done in a thread, so that the event loop stays free meanwhile."""
KINDS = 256
MOST_BATCH_BYTES = 1 << 32
"""What the inputs and targets of one probe's samples may take."""


class IdealDevice(HostCodes):
    """A network in floating point, in this process. It holds θ as float64, and rounds nothing that is written.

    Repeatable, not deterministic: see `Capability.REPEATABLE`.
    """

    def __init__(self, uri: str, spec: IdealSpec) -> None:
        super().__init__(uri)
        self.spec = spec
        self._engine: Engine | None = None
        self._worker = BackgroundWorker()
        self._seconds: dict[tuple[object, ...], float] = {}
        self._requested = np.zeros(spec.network.topology.n_parameters)
        self._actual = self._requested
        network = spec.network
        self.info = DeviceInfo(
            model=f"{'ideal network' if spec.name == 'ideal' else spec.name} in floating point",
            identity=spec.identity(),
            topology=network.topology,
            theta_min=-THETA_RANGE,
            theta_max=THETA_RANGE,
            theta_lsb=spec.theta_lsb,
            node_lsb=spec.node_lsb,
            n_inputs=network.n_inputs,
            n_outputs=network.n_outputs,
            cost_kind=spec.cost,
            cost_lsb=1.0,
            capabilities=Capability.MEASURE
            | Capability.PROBE
            | Capability.LEARN
            | Capability.AMPLITUDES
            | Capability.NODE_SUMS
            | Capability.REPEATABLE,
            exact_writes=spec.exact_writes,
            details=spec.details(),
        )

    def cost_function(self) -> CostFunction | None:
        if self.own_cost is not None:
            return self.own_cost
        return lambda outputs, targets: reference.costs(self.spec.cost, outputs, targets)

    async def connect(self) -> None:
        self._engine = make_engine(self.spec)
        self.info.details["engine"] = self._engine.name

    async def disconnect(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await self._worker.do(engine.close)  # after what still computes for a request that was cancelled

    @property
    def engine(self) -> Engine:
        """What computes. Raises DeviceUnavailable while the device is not open."""
        if self._engine is None:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)
        return self._engine

    async def load(self, dataset: Dataset) -> None:
        await super().load(dataset)
        engine = self.engine
        await self._run(("load",), dataset.inputs.size, lambda: engine.load(dataset))

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self._requested = theta.copy()
        self._actual = theta + write_noise(self.spec, np.array([step]))[0]
        return self._actual.copy()

    async def read(self) -> FloatArray:
        self.check_open()
        return self._actual.copy()

    async def requested(self) -> FloatArray:
        return self._requested.copy()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        engine, theta = self.engine, self._actual
        return await self._run(("infer",), samples.size, lambda: engine.outputs(theta, samples))

    async def measure(self, samples: IntArray, step: int, part: Part) -> float:
        engine, theta = self.engine, self._actual
        return await self._run(("measure",), samples.size, lambda: engine.measure(theta, samples, step, part))

    async def probe(self, block: Block) -> Costs:
        self.check_codes(block.codes)
        self.check_perturbed(self._requested, block.codes.parameter_swing)
        self._check_batch(block.order.batch)
        engine, theta = self.engine, self._actual
        return await self._run(("probe", *_kind(block)), block.n_probes, lambda: engine.probe(theta, block))

    async def learn(self, segment: Segment) -> SegmentResult:
        return (await self.learn_many([segment]))[0]

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        if not segments:
            return []
        for segment in segments:
            self.check_limits(segment.state.theta)
            self._check_batch(segment.rule.order.batch)
        engine, probes = self.engine, sum(segment.n_probes for segment in segments)
        kind = ("learn", len(segments), *_kind(segments[0].rule))
        results = await self._run(kind, probes, lambda: engine.learn_many(segments))
        last = Segment(results[-1].state, segments[-1].rule, 0)
        await self.apply(requested_theta(last.state, last.rule), written_step(last))
        return results

    async def true_gradient(self, theta: FloatArray, samples: IntArray) -> tuple[float, FloatArray]:
        """Mean cost of (B,) samples at θ, (P,), and its gradient, (P,), by back-propagation; without noise."""
        from mgdhw_sim.ideal.backprop import true_gradient

        self.check_open()
        return await self._run(
            ("gradient",), samples.size, lambda: true_gradient(self.spec, theta, self.dataset, samples)
        )

    def _check_batch(self, batch: int) -> None:
        room = 8 * batch * (self.info.n_inputs + self.info.n_outputs)
        if room > MOST_BATCH_BYTES:
            raise ConfigError(
                f"{self.uri}: a batch of {batch:,} samples would take {room / 2**30:.0f} GiB; expected at most"
                f" {MOST_BATCH_BYTES / 2**30:.0f}: a smaller training.batch"
            )

    async def _run(self, kind: tuple[object, ...], size: int, work: Callable[[], Answer]) -> Answer:
        """Do work that touches nothing of the device: in a thread if it may take long, as the first of its kind."""
        began = time.perf_counter()
        if self._seconds.get(kind, INLINE_SECONDS) * size < INLINE_SECONDS and not self._worker.busy:
            answer = work()
        else:
            answer = await self._worker.do(work)
        if len(self._seconds) >= KINDS:
            self._seconds.clear()
        self._seconds[kind] = (time.perf_counter() - began) / max(1, size)
        return answer


def _kind(named: Block | LearningRule) -> tuple[object, ...]:
    """What decides how long a probe takes, and which code has to be compiled for it."""
    return named.codes.target, named.codes.family, named.codes.groups, named.baseline, named.order.batch, named.order.n
