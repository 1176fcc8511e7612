"""What a software board does with its device: operations, cut into pieces so that it can listen in between."""

from __future__ import annotations

import asyncio
import time
import zlib
from dataclasses import dataclass, replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Part
from mgdhw.device import Device, HostCodes
from mgdhw.errors import DeviceFault, LinkCorrupt
from mgdhw_drivers.client.info import form_of
from mgdhw_drivers.protocol import checks
from mgdhw_drivers.protocol.blocks import block_of, values_of
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Infer, Load, Measure, Probe, Set, Snapshot, Stored
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem, Type
from mgdhw_drivers.protocol.segments import LearnRequest
from mgdhw_drivers.server.answers import Line
from mgdhw_drivers.server.areas import DATASET, STATE, Memory, Mismatch
from mgdhw_drivers.server.cell_states import Recall
from mgdhw_drivers.server.chunking import Pieces
from mgdhw_drivers.server.datasets import Datasets
from mgdhw_drivers.server.describe import converters_of, describe
from mgdhw_drivers.server.hardware import Hardware, by_the_device
from mgdhw_drivers.server.learn import LearnOperation
from mgdhw_drivers.server.limits import Limits
from mgdhw_drivers.server.stress_limit import Limited, Stress

MASK = 0xFFFFFFFF


@dataclass(slots=True)
class Checksums:
    """Checksums of what the board holds; 0 where it holds nothing."""

    theta: int = 0
    state: int = 0
    ticket: int = 0


class Work:
    """Operations on a device.

    Args:
        hardware: the device, open.
        line: where answers go.
        limits: on how the parameters move.
        recall: what its cells remember.
    """

    def __init__(self, hardware: Hardware, line: Line, limits: Limits, recall: Recall) -> None:
        device = hardware.device
        info = device.info
        self._hardware, self._line, self._recall = hardware, line, recall
        self._device: Device = device
        self.floats = info.cost_lsb == 1.0 and converters_of(info) is None
        description = describe(info, limits, floats=self.floats, cells=recall.size)
        self.head = description.head
        self.described = description.pack()
        grid = (info.theta_min, info.theta_max, info.theta_lsb)
        self.form = form_of(self.head.parameter_kind, info.n_parameters, grid)
        self.stress = Stress(self.head.max_stress, float(np.min(info.theta_lsb)))
        self.memory = Memory(self.head.area_sizes)
        self.memory.fill(Area.DESCRIPTION, self.described)
        if self.head.per_parameter:
            arrays = [np.broadcast_to(limit, info.n_parameters) for limit in grid]
            self.memory.fill(Area.LIMITS, np.concatenate(arrays).astype("<f8").tobytes())
        self.datasets = Datasets(device, self.memory, self.head)
        self.holds = Checksums()
        self.done = 0
        self.evaluations = 0
        self.sets = 0
        self.pieces = Pieces()
        self._awake = False
        self._moving = False
        """Whether a SET has begun of which nobody knows whether it was finished."""
        self._lesson: LearnOperation | None = None
        self._stored: bytes | None = None
        self._adopted: Frame | None = None
        """The latest repetition of the LEARN that runs."""

    # --- into operation, and out of it ---------------------------------------------------------------------------

    async def wake_up(self) -> None:
        """From the safe state: the device is opened, and given the dataset that it had."""
        with by_the_device():
            await self._hardware.open()
            await self._recall.give_back()
            held = await self._held_at_first()
        if held is not None:
            self.stress.moved(held)  # the way to the safe state, and from there
            self.memory.fill(Area.HELD, self.form.encode(held))
        self._awake, self._moving = True, False
        await self.datasets.give_again()

    async def _held_at_first(self) -> FloatArray | None:
        """(P,) what the device holds; None where that is not known before the first write."""
        try:
            return await self._device.read()
        except DeviceFault:
            return None

    async def rest(self) -> bool:
        """To the safe state: the parameters are no longer those that were set, but the cells remember what they do.

        Returns:
            Whether the hardware is confirmed to be safe.
        """
        awake, self._awake = self._awake, False
        self.holds.theta = 0
        try:
            if awake:
                await self._recall.keep()
        finally:
            safe = await self._hardware.close()
        return safe

    def lost(self) -> None:
        """Something failed: nobody knows what the device holds, or what its cells remember."""
        self._awake = False
        self.ended()
        self.holds.theta = 0
        self._recall.forget()

    def forget(self) -> None:
        """Another session: the stored answer is nobody's, and the cells are as when the device was made."""
        self.state_written()
        self._recall.forget()
        self.memory.forget((Area.SAMPLES, Area.ETA, Area.GUARD, Area.CELLS, *STATE))
        self.datasets.forget_rest()

    def ended(self) -> None:
        """What ran was ended in the middle."""
        if self._lesson is not None:
            self._lesson = self._adopted = None
            self.state_written()
            self.holds.theta = 0

    # --- areas ---------------------------------------------------------------------------------------------------

    def write(self, number: int, offset: int, content: bytes) -> None:
        """Bytes from the host. Raises LinkCorrupt where they have no place."""
        area = self.memory.write(number, offset, content)
        if area in STATE:
            self.state_written()
        elif area in DATASET:
            self.datasets.changed()

    def state_written(self) -> None:
        """The state areas are no longer those that the last answer spoke of."""
        self.holds.state = self.holds.ticket = 0
        self._stored = None

    # --- operations ----------------------------------------------------------------------------------------------

    @property
    def learns(self) -> bool:
        """Whether a segment runs: a limit that it violates is one of its updates', not of the request's."""
        return self._lesson is not None

    def adopt(self, request: Frame) -> bool:
        """Whether a LEARN is the one that runs."""
        same = self._lesson is not None and LearnRequest.unpack(request.payload).learn.ticket == self._lesson.ticket
        if same:
            self._adopted = request
        return same

    async def run(self, request: Frame) -> None:
        """An operation.

        Raises:
            LinkCorrupt, Unsupported: what the host asks makes no sense, or cannot be had.
            Mismatch: the board holds something else.
            LimitExceeded, Limited: a limit.
            DeviceTrouble: the device reports an error.
        """
        self.done = 0
        match request.type:
            case Type.LOAD:
                await self._load(request)
            case Type.SET:
                await self._set(request)
            case Type.MEASURE:
                await self._measure(request)
            case Type.INFER:
                await self._infer(request)
            case Type.PROBE:
                await self._probe(request)
            case Type.LEARN:
                await self._learn(request)
            case Type.SNAPSHOT:
                await self._snapshot(request)
            case Type.RESTORE:
                await self._restore(request)

    async def _load(self, request: Frame) -> None:
        load = Load.unpack(request.payload)
        checks.check_load(load, self.head)
        await self.datasets.load(load)
        self._line.answer(request)

    async def _set(self, request: Frame) -> None:
        asked = Set.unpack(request.payload)
        checks.check_set(asked)
        requested = self.memory.whole(Area.REQUESTED)
        if zlib.crc32(requested) != asked.crc:
            raise Mismatch(MismatchedItem.PARAMETERS)
        theta = self.form.decode(requested)
        self._device.check_limits(theta)
        if self._moving:  # the one before was ended somewhere on its way
            with by_the_device():
                self.stress.moved(await self._device.read())
        self.stress.check(theta)
        self.holds.theta = 0
        self._moving = True
        self.stress.moved(theta)  # before: if this is ended in the middle, the parameters may have moved
        with by_the_device():
            stored = await self._device.write(theta, asked.step)
        self._moving = False
        held = self.form.encode(stored)
        self.memory.fill(Area.HELD, held)
        self.holds.theta = asked.crc
        self.sets += 1
        self._line.answer(request, Stored(asked.crc, zlib.crc32(held)).pack())

    async def _measure(self, request: Frame) -> None:
        asked = Measure.unpack(request.payload)
        checks.check_measure(asked, self.head)
        device = self._device
        if not isinstance(device, HostCodes):
            raise checks.Unsupported("the device takes no single measurements")
        self._check(asked.theta_crc, asked.dataset_crc)
        samples = self._samples(asked.count, asked.samples_crc)
        with by_the_device():
            cost = await device.measure(samples, asked.step, Part(asked.part))
        self.evaluations += 1
        await self._line.answer_values(request, 0, np.asarray([cost]), last=True)

    async def _infer(self, request: Frame) -> None:
        asked = Infer.unpack(request.payload)
        checks.check_infer(asked, self.head)
        self._check(asked.theta_crc, asked.dataset_crc)
        samples = self._samples(asked.count, asked.samples_crc)
        start = first = 0
        while start < asked.count:
            size = self.pieces.size(asked.count - start, Type.INFER, 1)
            began = time.perf_counter()
            with by_the_device():
                outputs = (await self._device.infer(samples[start : start + size], asked.step)).ravel()
            self.pieces.took(size, time.perf_counter() - began)
            start += size
            await self._line.answer_values(request, first, outputs, last=start == asked.count)
            first += outputs.size
            self.done = start
            await asyncio.sleep(0)  # listen

    async def _probe(self, request: Frame) -> None:
        asked = Probe.unpack(request.payload)
        checks.check_probe(asked, self.head)
        self._check(asked.theta_crc, asked.dataset_crc)
        rest = self._in_dataset(block_of(asked, floats=self.floats))
        self._check_swing(rest)
        kind = (Type.PROBE, rest.codes.family, rest.baseline, rest.order.batch)
        first = 0
        while True:
            size = self.pieces.size(rest.n_probes, kind, rest.order.batch)
            left = rest.n_probes - size
            piece = replace(rest, n_probes=size) if left else rest
            began = time.perf_counter()
            with by_the_device():
                costs = await self._device.probe(piece)
            self.pieces.took(size, time.perf_counter() - began)
            answer = values_of(costs, piece)
            await self._line.answer_values(request, first, answer, last=not left)
            self.evaluations += costs.evaluations
            first += answer.size
            self.done = first & MASK
            if not left:
                return
            rest = replace(rest, first_step=rest.first_step + size, n_probes=left, held=costs.held)
            await asyncio.sleep(0)  # listen

    async def _learn(self, request: Frame) -> None:
        ask = LearnRequest.unpack(request.payload)
        if self._stored is not None and ask.learn.ticket == self.holds.ticket:
            self._line.answer(request, self._stored)
            return
        checks.check_learn(ask, self.head)
        if ask.probe.dataset_crc != self.datasets.crc or not self.datasets.crc:
            raise Mismatch(MismatchedItem.DATASET)
        block = block_of(ask.probe, floats=self.floats)
        lesson = LearnOperation(self, self._device, ask, block)
        self._in_dataset(block)
        self._check_swing(block)
        lesson.check_limits()
        self._lesson = lesson
        self.state_written()
        self.holds.theta = 0
        learnt = await lesson.run()
        self._lesson = None
        self.holds.state, self.holds.theta, self.holds.ticket = learnt.state_crc, learnt.theta_crc, learnt.ticket
        self._stored = learnt.pack()
        adopted, self._adopted = self._adopted, None
        self._line.answer(adopted or request, self._stored)

    async def _snapshot(self, request: Frame) -> None:
        content = await self._recall.taken()
        self.memory.fill(Area.CELLS, content)
        self._line.answer(request, Snapshot(len(content), zlib.crc32(content)).pack())

    async def _restore(self, request: Frame) -> None:
        asked = Snapshot.unpack(request.payload)
        checks.check_restore(asked, self.head)
        content = self.memory.first(Area.CELLS, asked.size)
        if zlib.crc32(content) != asked.crc:
            raise Mismatch(MismatchedItem.CELLS)
        await self._recall.put(content)
        self._line.answer(request)

    # --- what requests depend on ---------------------------------------------------------------------------------

    def _check(self, theta_crc: int, dataset_crc: int) -> None:
        if not theta_crc or theta_crc != self.holds.theta:
            raise Mismatch(MismatchedItem.PARAMETERS)
        if not dataset_crc or dataset_crc != self.datasets.crc:
            raise Mismatch(MismatchedItem.DATASET)

    def _check_swing(self, block: Block) -> None:
        """From θ - θ̃ to θ + θ̃ is the furthest that a perturbation moves a parameter at once."""
        amplitude, most = block.codes.amplitude, self.head.max_slew
        if most and 2 * amplitude > most:
            raise Limited(
                Limited.AMPLITUDE,
                f"perturbations of ±{amplitude} steps swing further than {most:g} at once",
            )

    def _samples(self, count: int, crc: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        raw = self.memory.first(Area.SAMPLES, 4 * count)
        if zlib.crc32(raw) != crc:
            raise Mismatch(MismatchedItem.SAMPLES)
        samples = np.frombuffer(raw, "<u4").astype(np.int64)
        if int(samples.max()) >= self.datasets.n_samples:
            raise LinkCorrupt(f"samples beyond the {self.datasets.n_samples} that there are")
        return samples

    def _in_dataset(self, block: Block) -> Block:
        if block.order.n > self.datasets.n_samples:
            raise LinkCorrupt(f"a block of {block.order.n} samples, and there are {self.datasets.n_samples}")
        return block
