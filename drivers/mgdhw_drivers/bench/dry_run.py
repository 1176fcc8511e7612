"""What would be sent: the device itself, with instruments that only note it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, DeviceInfo
from mgdhw.device.interlock import require_closed
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.bench.device import BenchDevice
from mgdhw_drivers.bench.groups import OutputGroup, number_type
from mgdhw_drivers.bench.messages import queries_for
from mgdhw_drivers.bench.rack import Instrument, Rack

AMPLITUDE = 10
"""Of the perturbation that is shown, in steps of a parameter."""


TIMED = "a hardware-timed block"


@dataclass(frozen=True, slots=True)
class Line:
    """A message that would be sent.

    Args:
        phase: in which it is sent.
        instrument: to which.
        message: what.
        answered: whether an answer is waited for.
    """

    phase: str
    instrument: str
    message: str
    answered: bool = False


@dataclass
class Transcript:
    """What a rack's instruments would be sent.

    Args:
        rack: the rack.
    """

    rack: Rack
    lines: list[Line] = field(default_factory=list)
    phase: str = ""
    points: int = 0
    """Of the waveform uploaded last."""

    def make(self, name: str, address: str, instrument: Instrument) -> DryInstrument:
        """The stand-in of an instrument."""
        return DryInstrument(name, address, instrument, self)

    def note(self, instrument: str, message: str, answered: bool = False) -> None:
        """A message would be sent."""
        self.lines.append(Line(self.phase, instrument, message, answered))

    def answer(self, instrument: str, query: str) -> str:
        """What the real instrument would answer if all is well: values at rest, expected answers."""
        for group in self.rack.parameters:
            if group.read is not None and instrument in self.rack.members(group.instrument):
                for text, count in queries_for(group.read, group.channels):
                    if text == query:
                        return ",".join([format(group.safe, group.format)] * count)
        steps = [*self.rack.trigger, *self.rack.safe]
        steps += [] if self.rack.blocks is None else [*self.rack.blocks.start, *self.rack.blocks.stop]
        for step in steps:
            if step.query == query and step.expect is not None:
                return step.expect
        lock = self.rack.interlock
        if lock is not None and lock.query == query:
            return lock.expect or str(lock.min if lock.min is not None else lock.max)
        output = self.output(instrument, query)
        return "1" if output is None else ",".join(["0"] * output[1])

    def output(self, instrument: str, query: str) -> tuple[OutputGroup, int] | None:
        """The outputs that a query reads, and how many numbers that gives."""
        for group in self.rack.outputs:
            if instrument in self.rack.members(group.instrument):
                timed = self.phase == TIMED
                template, points = (group.record or "", self.points) if timed else (group.query, group.points)
                for text, count in queries_for(template, group.channels):
                    if text == query:
                        return group, count * points
        return None


class DryInstrument:
    """Notes what it is sent, and answers what a real instrument might."""

    def __init__(self, name: str, address: str, instrument: Instrument, transcript: Transcript) -> None:
        self._name, self._address = name, address
        self._instrument, self._transcript = instrument, transcript
        self._open = False

    @property
    def identity(self) -> str:
        """What it is expected to be."""
        return self._instrument.identity

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._open

    async def open(self) -> None:
        self._open = True
        self._transcript.note(self._name, f"(open {self._address})")
        self._transcript.note(self._name, "*IDN?", answered=True)
        if self._instrument.check_errors:
            self._transcript.note(self._name, "*CLS")
        for message in self._instrument.initialise:
            self._transcript.note(self._name, message)
        await self.drain_errors()

    async def close(self) -> None:
        self._open = False

    async def write(self, message: str) -> None:
        self._transcript.note(self._name, message)

    async def query(self, message: str) -> str:
        self._transcript.note(self._name, message, answered=True)
        return self._transcript.answer(self._name, message)

    async def query_block(self, message: str) -> bytes:
        self._transcript.note(self._name, message, answered=True)
        output = self._transcript.output(self._name, message)
        if output is None:
            return b""
        group, count = output
        return np.zeros(count, number_type(group.dtype, group.byte_order)).tobytes()

    async def write_block(self, header: str, data: bytes) -> None:
        blocks = self._transcript.rack.blocks
        if blocks is not None:
            self._transcript.points = len(data) // number_type(blocks.dtype, blocks.byte_order).itemsize
        size = str(len(data))
        self._transcript.note(self._name, f"{header}#{len(size)}{size}… ({len(data):,} bytes)")

    async def drain_errors(self) -> None:
        if self._instrument.check_errors:
            self._transcript.note(self._name, "*ESR?;:SYST:ERR?", answered=True)


async def transcript_of(rack: Rack, path: Path) -> list[Line]:
    """What would be sent for opening, one write of the parameters, one probe, a ramp, and the safe state."""
    transcript = Transcript(rack)
    transcript.phase = "opening"
    device = BenchDevice(f"bench:{path}", rack, path, transcript.make)
    async with device:
        await device.load(example_dataset(device.info))
        low, high = np.asarray(device.info.theta_min), np.asarray(device.info.theta_max)
        lsb = np.asarray(device.info.theta_lsb)
        safe = await device.read()
        near = np.clip(safe + AMPLITUDE * lsb, low + AMPLITUDE * lsb, high - AMPLITUDE * lsb)
        if device.interlocks:
            transcript.phase = "before each block"
            await require_closed(device.interlocks, device.uri)
        transcript.phase = "writing θ"
        await device.write(near)
        transcript.phase = "one probe, with its baseline"
        await device.probe_with_host_codes(one_probe(device.info))
        if Capability.PROBE in device.info.capabilities:
            transcript.phase = TIMED
            await device.probe(one_probe(device.info, 2))
        transcript.phase = "a ramp"
        await device.write(safe + 0.5 * (np.where(safe < high, high, low) - safe) * _affordable(device, safe, high))
        transcript.phase = "the safe state"
    return transcript.lines


def one_probe(info: DeviceInfo, n_probes: int = 1, amplitude: int = AMPLITUDE) -> Block:
    """A block of few probes, on one sample."""
    amplitude = max(1, min(amplitude, int(np.min((np.asarray(info.theta_max) - info.theta_min) / info.theta_lsb / 4))))
    return Block(0, n_probes, CodeSpec(amplitude=amplitude), SampleOrder(0, 1, 1, 1), Baseline.HELD)


def example_dataset(info: DeviceInfo) -> Dataset:
    """One sample of the sizes of a device."""
    low, high = info.input_range or (0.0, 1.0)
    inputs = np.full((1, max(1, info.n_inputs)), min(max(1.0, low), high))
    return Dataset("example", inputs[:, : info.n_inputs], 1.0, np.ones((1, info.n_outputs)), 1)


def _affordable(device: BenchDevice, safe: FloatArray, high: FloatArray) -> float:
    """The share of a move from the safe state that keeps limits on several parameters together."""
    share = 1.0
    while share > 1e-3:
        theta = safe + 0.5 * (high - safe) * share
        if all(
            limit.violation(theta, np.asarray(device.info.theta_lsb)) is None for limit in device.info.linked_limits
        ):
            break
        share /= 2
    return share
