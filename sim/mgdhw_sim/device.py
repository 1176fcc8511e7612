"""The simulated chip as a device: `sim:PRESET?option=value`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Block, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.segment import Segment, SegmentResult
from mgdhw_sim import datapath
from mgdhw_sim.address import parse
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines import Engine, choose
from mgdhw_sim.spec import ChipSpec

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class SimDevice(HostCodes):
    """A simulated chip in this process. Deterministic: the same request gets the same answer, whenever it comes."""

    def __init__(self, uri: str, spec: ChipSpec) -> None:
        super().__init__(uri)
        self.spec = spec
        self._chip: Chip | None = None
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
            details=asdict(spec),
        )

    async def open(self) -> None:
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

    async def write(self, theta: FloatArray) -> FloatArray:
        self.check_limits(theta)
        self.chip.codes = datapath.parameter_codes(self.spec, theta).astype(np.int16)
        return await self.read()

    async def read(self) -> FloatArray:
        return np.asarray(self.chip.codes * self.spec.weight_lsb, dtype=np.float64)

    async def infer(self, samples: IntArray) -> FloatArray:
        lsb = 2.0 ** -datapath.output_converter(self.spec).fraction_bits
        return np.asarray(self.chip.infer(samples) * lsb, dtype=np.float64)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        return int(self.chip.cost(self.chip.codes, samples))

    async def probe(self, block: Block) -> Costs:
        if self.spec.codes == "host":
            return await self.probe_with_host_codes(block)
        self.check_perturbed(await self.read(), block.codes.amplitude)
        return self._engine(block).probe(self.chip, block)

    async def learn(self, segment: Segment) -> SegmentResult:
        if self.spec.codes == "host":
            return await super().learn(segment)
        self.check_limits(segment.state.theta)
        return self._engine(segment).learn(self.chip, segment)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        if self.spec.codes == "host" or not segments:
            return await super().learn_many(segments)
        for segment in segments:
            self.check_limits(segment.state.theta)
        engines = [self._engine(segment) for segment in segments]
        if any(engine is not engines[0] for engine in engines):
            return await super().learn_many(segments)
        return engines[0].learn_many(self.chip, segments)

    def _engine(self, work: Block | Segment) -> Engine:
        """The chosen engine, or the reference where that declines."""
        engine = choose(self.spec.engine)
        return engine if engine.declines(self.chip, work) is None else choose("reference")


def open_uri(uri: str) -> Device:
    """Entry point of scheme `sim`."""
    return SimDevice(uri, parse(uri))
