"""The simulated chip as a device: `sim:PRESET?option=value`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.concurrency.background import BackgroundWorker
from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.device.uri import split_uri
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_sim.engines import Engine, choose
from mgdhw_sim.ideal import address
from mgdhw_sim.ideal.device import IdealDevice
from mgdhw_sim.reference import cells, datapath
from mgdhw_sim.reference.cells import Cells
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import anchored, parse

Answer = TypeVar("Answer")

LONG_LOAD = 1 << 21
"""Numbers of a dataset from which on it is converted in a thread."""
INLINE_SECONDS = 0.25
"""Work that takes longer is done in a thread, so that the event loop stays free meanwhile."""
KINDS = 256
"""So many kinds of work a device knows the time of; one that is served sees the work of many hosts."""

SHORT_TABLE = 1 << 10
"""Points that a description has room for; the identity tells all of them apart."""
MOST_WORK_BYTES = 1 << 33
"""What the signals of one probe's samples may take."""

log = logging.getLogger("mgdhw.engine")


class SimDevice(HostCodes):
    """A simulated chip in this process. Deterministic: the same request gets the same answer, whenever it comes."""

    def __init__(self, uri: str, spec: ChipSpec) -> None:
        super().__init__(uri)
        self.spec = spec
        self._chip: Chip | None = None
        self._noted: set[str] = set()
        self._heavy = BackgroundWorker()
        self._loading = BackgroundWorker()
        """Which need not wait for what still computes with the samples of before."""
        self._seconds: dict[tuple[object, ...], float] = {}
        capabilities = Capability.MEASURE | Capability.DETERMINISTIC
        if spec.codes == "chip":
            capabilities |= Capability.PROBE | Capability.LEARN | Capability.AMPLITUDES
        if spec.codes == "chip" and spec.ideal:
            capabilities |= Capability.NODE_SUMS
        self.info = DeviceInfo(
            model=f"simulated chip {spec.name}",
            identity=spec.identity(),
            topology=spec.topology,
            theta_min=-spec.weight_range,
            theta_max=spec.weight_range - spec.weight_lsb,
            theta_lsb=spec.weight_lsb,
            n_inputs=spec.layers[0],
            n_outputs=spec.layers[-1],
            cost_kind=spec.cost,
            cost_lsb=spec.cost_lsb,
            capabilities=capabilities,
            exact_writes=spec.nonidealities.exact_writes,
            details=_details(spec),
            timing=spec.timing,
            node_lsb=2.0**-spec.signal_fraction_bits if Capability.NODE_SUMS in capabilities else None,
            signal_lsb=_signal_lsb(spec),
            input_range=(-1.0 if spec.input_bipolar else 0.0, 1.0),
        )

    def cost_function(self) -> CostFunction | None:
        table = self.spec.points().get("cost")
        if table is None:
            return super().cost_function()
        return lambda outputs, targets: np.asarray(
            np.interp(outputs - targets, table.inputs, table.outputs).sum(axis=1), dtype=np.float64
        )

    async def connect(self) -> None:
        if self.spec.engine != "auto":
            choose(self.spec.engine)  # says at once if it cannot be had here
        self._chip = Chip(self.spec)

    async def disconnect(self) -> None:
        self._chip = None

    @property
    def chip(self) -> Chip:
        """The chip itself. Raises DeviceUnavailable while the device is not open."""
        if self._chip is None:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)
        return self._chip

    async def load(self, dataset: Dataset) -> None:
        chip = copy(self.chip)
        try:
            if dataset.inputs.size + dataset.targets.size < LONG_LOAD:
                chip.load(dataset)
            else:
                await self._loading.do(chip.load, dataset)
        except ConfigError as error:
            raise ConfigError(f"{self.uri}: {error}") from None
        self.chip.share(chip)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.chip.write(theta, step)
        return await self.read()

    async def read(self) -> FloatArray:
        return self.chip.theta_actual()

    async def requested(self) -> FloatArray:
        return np.asarray(self.chip.codes * self.spec.weight_lsb, dtype=np.float64)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        return self.chip.cell_state()

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        if memory and self.chip.cells is not None:
            cells.check(self.spec, memory)
            self.chip.cells, self.chip.current_step = Cells.of(memory), 0  # the write that follows says what time it is

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        lsb = 2.0 ** -datapath.output_converter(self.spec).fraction_bits
        engine = choose(self.spec.engine)
        codes = await self._run(("infer",), samples.size, lambda chip: engine.infer(chip, samples, step))
        return np.asarray(codes * lsb, dtype=np.float64)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        return await self._run(("measure",), samples.size, lambda chip: chip.measure(samples, step, part))

    async def probe(self, block: Block) -> Costs:
        if self.spec.codes == "host":
            return await self.probe_with_host_codes(block)
        self.check_codes(block.codes)
        self.check_perturbed(await self.requested(), block.codes.parameter_swing)
        engine = self._engine(block)
        return await self._run(_kind("probe", block), block.n_probes, lambda chip: engine.probe(chip, block))

    def predict_costs(self, theta: FloatArray, block: Block) -> Costs | None:
        """The answer of a copy of the chip to a block at θ, (P,); None: no noise. See `training.signal_check`."""
        if not self.spec.nonidealities.noisy:
            return None
        apart = copy(self.chip)
        apart.write(theta, block.first_step)
        return choose("reference").probe(apart, block)

    async def learn(self, segment: Segment) -> SegmentResult:
        if self.spec.codes == "host":
            return await super().learn(segment)
        self.check_limits(segment.state.theta)
        engine = self._engine(segment)
        kind = _kind("learn", segment.rule)
        return await self._run(kind, segment.n_probes, lambda chip: engine.learn(chip, segment))

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        if self.spec.codes == "host" or not segments:
            return await super().learn_many(segments)
        for segment in segments:
            self.check_limits(segment.state.theta)
        engines = [self._engine(segment) for segment in segments]
        if any(engine is not engines[0] for engine in engines):
            return await super().learn_many(segments)
        probes = sum(segment.n_probes for segment in segments)
        kind = _kind("learn_many", segments[0].rule)
        return await self._run(kind, probes, lambda chip: engines[0].learn_many(chip, segments))

    def _engine(self, work: Block | Segment) -> Engine:
        """The chosen engine, or the reference where that does not support the work."""
        self._check_batch((work.rule if isinstance(work, Segment) else work).order.batch)
        engine = choose(self.spec.engine)
        why = engine.unsupported_reason(self.chip, work)
        if why is None:
            return engine
        if why not in self._noted:
            self._noted.add(why)
            log.warning("%s runs on the reference engine, which is slower", why)
        return choose("reference")

    def _check_batch(self, batch: int) -> None:
        room = batch * (self.spec.layers[0] + 4 * max(self.spec.layers))
        if room > MOST_WORK_BYTES:
            raise ConfigError(
                f"{self.uri}: a batch of {batch:,} samples would take {room / 2**30:.0f} GiB for its signals alone;"
                f" expected at most {MOST_WORK_BYTES / 2**30:.0f}: a smaller training.batch"
            )

    async def _run(self, kind: tuple[object, ...], size: int, work: Callable[[Chip], Answer]) -> Answer:
        """Do work on the chip: in a thread if it may take long, as the first of its kind, which may be compiled.

        Args:
            kind: of the work; what is of one kind takes as long as its size says.
            size: of this.
            work: what to do.
        """
        chip, began = self.chip, time.perf_counter()
        if self._seconds.get(kind, INLINE_SECONDS) * size < INLINE_SECONDS and not self._heavy.busy:
            answer = work(chip)
        else:
            apart = copy(chip)  # if this is cancelled, what the thread still does touches nothing that is used
            answer = await self._heavy.do(work, apart)
            chip.codes, chip.cells, chip.current_step = apart.codes, apart.cells, apart.current_step
        if len(self._seconds) >= KINDS:
            self._seconds.clear()
        self._seconds[kind] = (time.perf_counter() - began) / max(1, size)
        return answer


def _signal_lsb(spec: ChipSpec) -> tuple[float, ...]:
    """One code of what each layer takes in: inputs, then signals."""
    behind = len(spec.layers) - 2
    return (2.0**-spec.input_fraction_bits, *[2.0**-spec.signal_fraction_bits] * behind)


def _details(spec: ChipSpec) -> dict[str, Any]:
    """The whole chip, as a record of a run holds it."""
    details: dict[str, Any] = {f.name: getattr(spec, f.name) for f in fields(spec)}
    details["nonidealities"] = spec.nonidealities.given()
    details["timing"] = None if spec.timing is None else asdict(spec.timing)
    details["tables"] = {
        name: asdict(points) if len(points.inputs) <= SHORT_TABLE else str(points)
        for name, points in spec.points().items()
    }
    return details if details["tables"] else {name: value for name, value in details.items() if name != "tables"}


def _kind(method: str, named: Block | LearningRule) -> tuple[object, ...]:
    """What decides which loops work runs in, and how long a probe takes."""
    updates = type(named.optimizer) if isinstance(named, LearningRule) else None
    continuous = isinstance(named, LearningRule) and named.continuous
    codes, order = named.codes, named.order
    return method, codes.target, codes.family, codes.groups, named.baseline, order.batch, order.n, updates, continuous


def open_uri(uri: str) -> Device:
    """Entry point of scheme `sim`: an ideal network, or a chip."""
    if address.is_ideal(split_uri(uri).place):
        return IdealDevice(uri, address.parse(uri))
    return SimDevice(anchored(uri), parse(uri))
