"""The simulated chip as a device: `sim:PRESET?option=value`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Block, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.loop import Recipe
from mgdhw.segment import Segment, SegmentResult
from mgdhw_sim import datapath
from mgdhw_sim.address import anchored, parse
from mgdhw_sim.cells import Cells
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines import Engine, choose
from mgdhw_sim.spec import ChipSpec

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Work = TypeVar("Work", Block, Segment, tuple[Segment, ...], IntArray)
Answer = TypeVar("Answer")

log = logging.getLogger("mgdhw.engine")


class SimDevice(HostCodes):
    """A simulated chip in this process. Deterministic: the same request gets the same answer, whenever it comes."""

    def __init__(self, uri: str, spec: ChipSpec) -> None:
        super().__init__(uri)
        self.spec = spec
        self._chip: Chip | None = None
        self._told: set[str] = set()
        self._seen: set[tuple[object, ...]] = set()
        capabilities = Capability.MEASURE | Capability.DETERMINISTIC
        if spec.codes == "chip":
            capabilities |= Capability.PROBE | Capability.LEARN
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
            exact_writes=spec.effects.exact_writes,
            details=asdict(spec) | {"effects": spec.effects.given()},
            timing=spec.timing,
        )

    async def open(self) -> None:
        if self.spec.engine != "auto":
            choose(self.spec.engine)  # says at once if it cannot be had here
        self._chip = Chip(self.spec)

    async def close(self) -> None:
        self._chip = None

    @property
    def chip(self) -> Chip:
        """The chip itself. Raises DeviceUnavailable while the device is not open."""
        if self._chip is None:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)
        return self._chip

    async def load(self, dataset: Dataset) -> None:
        try:
            self.chip.load(dataset)
        except ConfigError as error:
            raise ConfigError(f"{self.uri}: {error}") from None

    async def write(self, theta: FloatArray, step: int = 0) -> FloatArray:
        self.check_limits(theta)
        self.chip.write(theta, step)
        return await self.read()

    async def read(self) -> FloatArray:
        return self.chip.held()

    async def requested(self) -> FloatArray:
        return np.asarray(self.chip.codes * self.spec.weight_lsb, dtype=np.float64)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        return self.chip.remembered()

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        if memory and self.chip.cells is not None:
            self.chip.cells, self.chip.now = Cells.of(memory), 0  # the write that follows says what time it is

    async def infer(self, samples: IntArray) -> FloatArray:
        lsb = 2.0 ** -datapath.output_converter(self.spec).fraction_bits
        codes = await self._run(choose(self.spec.engine).infer, samples)
        return np.asarray(codes * lsb, dtype=np.float64)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        return self.chip.measure(samples, step, part)

    async def probe(self, block: Block) -> Costs:
        if self.spec.codes == "host":
            return await self.probe_with_host_codes(block)
        self.check_perturbed(await self.requested(), block.codes.amplitude)
        return await self._run(self._engine(block).probe, block)

    async def learn(self, segment: Segment) -> SegmentResult:
        if self.spec.codes == "host":
            return await super().learn(segment)
        self.check_limits(segment.state.theta)
        return await self._run(self._engine(segment).learn, segment)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        if self.spec.codes == "host" or not segments:
            return await super().learn_many(segments)
        for segment in segments:
            self.check_limits(segment.state.theta)
        engines = [self._engine(segment) for segment in segments]
        if any(engine is not engines[0] for engine in engines):
            return await super().learn_many(segments)
        return await self._run(engines[0].learn_many, tuple(segments))

    def _engine(self, work: Block | Segment) -> Engine:
        """The chosen engine, or the reference where that declines."""
        engine = choose(self.spec.engine)
        why = engine.declines(self.chip, work)
        if why is None:
            return engine
        if why not in self._told:
            self._told.add(why)
            log.warning("%s runs on the reference engine, which is slower", why)
        return choose("reference")

    async def _run(self, method: Callable[[Chip, Work], Answer], work: Work) -> Answer:
        """Run work; the first of its kind in a thread: it may have to be compiled, which takes seconds."""
        kind = _kind(work)
        if kind in self._seen:
            return method(self.chip, work)
        chip = copy(self.chip)  # if this is cancelled, what the thread still does touches nothing that is used
        answer = await asyncio.to_thread(method, chip, work)
        self.chip.codes, self.chip.cells, self.chip.now = chip.codes, chip.cells, chip.now
        self._seen.add(kind)
        return answer


def _kind(work: Block | Segment | tuple[Segment, ...] | IntArray) -> tuple[object, ...]:
    """What decides which loops work runs in. A device that is served sees the work of many hosts."""
    if isinstance(work, np.ndarray):
        return (type(work),)
    first = work[0] if isinstance(work, tuple) else work
    named: Block | Recipe = first.recipe if isinstance(first, Segment) else first
    updates = type(named.optimizer) if isinstance(named, Recipe) else None
    continuous = isinstance(named, Recipe) and named.continuous
    codes, order = named.codes, named.order
    return type(work), codes.family, codes.groups, named.baseline, order.batch, order.n, updates, continuous


def open_uri(uri: str) -> Device:
    """Entry point of scheme `sim`."""
    return SimDevice(anchored(uri), parse(uri))
