"""What a software board does with its device: operations, cut into pieces so that it can listen in between."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Block, Part
from mgdhw.device import Device, HostCodes
from mgdhw.errors import ConfigError, LinkCorrupt
from mgdhw_drivers.link import cells, values
from mgdhw_drivers.link.blocks import block_of, values_of
from mgdhw_drivers.link.connection import BoardConnection
from mgdhw_drivers.link.frames import Frame
from mgdhw_drivers.link.messages import Area, Infer, Load, Measure, Probe, Set, Snapshot, Stored, Thing, Type
from mgdhw_drivers.link.samples import dataset_of, sealed, sizes
from mgdhw_drivers.link.segments import Ask
from mgdhw_drivers.linked.info import form_of
from mgdhw_drivers.linked.limits import Limits, Wear
from mgdhw_drivers.serve.describe import converters_of, describe
from mgdhw_drivers.serve.lessons import Lesson
from mgdhw_drivers.serve.memory import Memory, Mismatch

PIECE_SECONDS = 0.005
"""How long a piece of work may keep the board from listening, and the line from what was measured before."""
FIRST_PIECE = 64


@dataclass(slots=True)
class Holds:
    """Checksums of what the board holds; 0 where it holds nothing."""

    dataset: int = 0
    theta: int = 0
    state: int = 0
    ticket: int = 0


class Pieces:
    """How many probes make a piece of work."""

    def __init__(self) -> None:
        self._seconds_each = PIECE_SECONDS / FIRST_PIECE

    def size(self, left: int) -> int:
        """Of the next piece."""
        return min(left, max(1, int(PIECE_SECONDS / self._seconds_each)))

    def took(self, size: int, seconds: float) -> None:
        """Take in how long one took; never more than twice as many the next time, in case it was luck."""
        self._seconds_each = max(seconds / size, self._seconds_each / 2, 1e-9)


class Work:
    """Operations on a device.

    Args:
        device: open.
        connection: makes answers.
        send: sends them.
        limits: on how the parameters move.
        remembers: whether the device's cells remember more than the parameters that were set last.
    """

    def __init__(
        self,
        device: Device,
        connection: BoardConnection,
        send: Callable[[bytes], None],
        limits: Limits,
        *,
        remembers: bool,
    ) -> None:
        info = device.info
        self._device = device
        self._connection = connection
        self._send = send
        self.floats = info.cost_lsb == 1.0 and converters_of(info) is None
        description = describe(info, limits, floats=self.floats, remembers=remembers)
        self.head = description.head
        self.described = description.pack()
        grid = (info.theta_min, info.theta_max, info.theta_lsb)
        self.form = form_of(self.head.parameter_kind, info.n_parameters, grid)
        self.wear = Wear(self.head.max_slew, self.head.max_stress, info.theta_lsb, device.uri)
        self.memory = Memory(self.head.area_sizes)
        self.memory.fill(Area.DESCRIPTION, self.described)
        arrays = [np.broadcast_to(limit, info.n_parameters) for limit in grid]
        self.memory.fill(Area.LIMITS, np.concatenate(arrays).astype("<f8").tobytes())
        self.holds = Holds()
        self.done = 0
        self.evaluations = 0
        self.sets = 0
        self.pieces = Pieces()
        self.remembers = remembers
        self.awake = False
        self._cells: dict[str, NDArray[Any]] = {}
        self._load: Load | None = None
        self._lesson: Lesson | None = None
        self._stored: bytes | None = None
        self._adopted: Frame | None = None
        """The latest repetition of the LEARN that runs."""

    async def wake_up(self) -> None:
        """From the safe state: the device is opened, and given the dataset that it had."""
        await self._device.open()
        if self._cells:
            await self._device.restore(self._cells)
        self.memory.fill(Area.HELD, self.form.encode(await self._device.read()))
        self.awake = True
        if self._load is not None and self.holds.dataset:
            await self._give_dataset(self._load)

    async def rest(self) -> None:
        """To the safe state: the parameters are no longer those that were set, but the cells remember what they do."""
        if self.remembers and self.awake:
            self._cells = await self._device.snapshot()
        self.holds.theta = 0
        self.awake = False
        await self._device.close()

    def forget(self) -> None:
        """Another session: the stored answer is nobody's, and the cells are as when the device was made."""
        self.holds.ticket, self._stored = 0, None
        self._cells = {}

    def state_written(self) -> None:
        """The state areas are no longer those that the last answer spoke of."""
        self.holds.state = self.holds.ticket = 0
        self._stored = None

    def ended(self) -> None:
        """What ran was ended in the middle."""
        if self._lesson is not None:
            self._lesson = self._adopted = None
            self.state_written()
            self.holds.theta = 0

    def adopt(self, request: Frame) -> bool:
        """Whether a LEARN is the one that runs."""
        try:
            same = self._lesson is not None and Ask.unpack(request.payload).learn.ticket == self._lesson.ticket
        except LinkCorrupt:
            same = False
        if same:
            self._adopted = request
        return same

    async def run(self, request: Frame) -> None:
        """An operation. Raises Mismatch, and what the device raises."""
        self.done = 0
        match request.type:
            case Type.LOAD:
                await self._load_dataset(request)
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
            case Type.SNAPSHOT if self.remembers:
                content = cells.pack(await self._device.snapshot())
                self.memory.fill(Area.CELLS, content)
                self._send(self._connection.answer(request, Snapshot(len(content), zlib.crc32(content)).pack()))
            case Type.RESTORE if self.remembers:
                await self._restore(Snapshot.unpack(request.payload))
                self._send(self._connection.answer(request))
            case _:
                raise ConfigError("the device's cells remember nothing beyond what was requested")

    async def _restore(self, asked: Snapshot) -> None:
        if asked.size > self.head.area_sizes[Area.CELLS]:
            raise LinkCorrupt("there is no room for so much")
        content = self.memory.first(Area.CELLS, asked.size)
        if zlib.crc32(content) != asked.crc:
            raise Mismatch(Thing.CELLS)
        await self._device.restore(cells.unpack(content))

    async def _load_dataset(self, request: Frame) -> None:
        load = Load.unpack(request.payload)
        if load.crc != self.holds.dataset or self._load != load:
            await self._give_dataset(load)
        self._send(self._connection.answer(request))

    async def _give_dataset(self, load: Load) -> None:
        inputs, targets = sizes(load, self.head.n_inputs, self.head.n_outputs)
        if inputs > self.head.area_sizes[Area.INPUTS] or targets > self.head.area_sizes[Area.TARGETS]:
            raise LinkCorrupt("there is no room for so many samples")
        content = self.memory.first(Area.INPUTS, inputs), self.memory.first(Area.TARGETS, targets)
        if sealed(load, *content).crc != load.crc:
            raise Mismatch(Thing.DATASET)
        self.holds.dataset = 0  # if this is ended in the middle, nobody knows what the device has
        await self._device.load(dataset_of(load, *content, self.head))
        self._load, self.holds.dataset = load, load.crc

    async def _set(self, request: Frame) -> None:
        asked = Set.unpack(request.payload)
        requested = self.memory.whole(Area.REQUESTED)
        if zlib.crc32(requested) != asked.crc:
            raise Mismatch(Thing.PARAMETERS)
        theta = self.form.decode(requested)
        change = self.wear.check(theta)
        self.holds.theta = 0
        self.wear.moved(theta, change)  # before: if this is ended in the middle, the parameters may have moved
        held = self.form.encode(await self._device.write(theta, asked.step))
        self.memory.fill(Area.HELD, held)
        self.holds.theta = asked.crc
        self.sets += 1
        self._send(self._connection.answer(request, Stored(asked.crc, zlib.crc32(held)).pack()))

    async def _measure(self, request: Frame) -> None:
        asked = Measure.unpack(request.payload)
        device = self._device
        if not isinstance(device, HostCodes):
            raise ConfigError("the device takes no single measurements")
        samples = self._samples(asked.count, asked.samples_crc)
        self._check(asked.theta_crc, asked.dataset_crc)
        cost = await device.measure(samples, asked.step, Part(asked.part))
        self.evaluations += 1
        (payload,) = values.pack(0, np.asarray([cost]), self._connection.host_payload, last=True)
        self._send(self._connection.answer(request, payload))

    async def _infer(self, request: Frame) -> None:
        asked = Infer.unpack(request.payload)
        samples = self._samples(asked.count, asked.samples_crc)
        self._check(asked.theta_crc, asked.dataset_crc)
        outputs = await self._device.infer(samples)
        for payload in values.pack(0, outputs.ravel(), self._connection.host_payload, last=True):
            self._send(self._connection.answer(request, payload))

    async def _probe(self, request: Frame) -> None:
        asked = Probe.unpack(request.payload)
        self._check(asked.theta_crc, asked.dataset_crc)
        rest = self._in_dataset(block_of(asked, floats=self.floats))
        first = 0
        while True:
            size = self.pieces.size(rest.n_probes)
            left = rest.n_probes - size
            piece = replace(rest, n_probes=size) if left else rest
            began = time.perf_counter()
            costs = await self._device.probe(piece)
            ended = time.perf_counter()
            answer = values_of(costs, piece)
            for payload in values.pack(first, answer, self._connection.host_payload, last=not left):
                self._send(self._connection.answer(request, payload))
            self.pieces.took(size, ended - began)
            self.evaluations += costs.evaluations
            first += answer.size
            self.done = first
            if not left:
                return
            rest = replace(rest, first_step=rest.first_step + size, n_probes=left, held=costs.held)
            await asyncio.sleep(0)  # listen

    async def _learn(self, request: Frame) -> None:
        ask = Ask.unpack(request.payload)
        if self._stored is not None and ask.learn.ticket == self.holds.ticket:
            self._send(self._connection.answer(request, self._stored))
            return
        if ask.probe.dataset_crc != self.holds.dataset or not self.holds.dataset:
            raise Mismatch(Thing.DATASET)
        lesson = Lesson(self, self._device, ask)
        self._in_dataset(block_of(ask.probe, floats=self.floats))
        self._lesson = lesson
        self.state_written()
        learnt = await lesson.run()
        self._lesson = None
        self.holds.state, self.holds.theta, self.holds.ticket = learnt.state_crc, learnt.theta_crc, learnt.ticket
        self._stored = learnt.pack()
        adopted, self._adopted = self._adopted, None
        self._send(self._connection.answer(adopted or request, self._stored))

    def _check(self, theta_crc: int, dataset_crc: int) -> None:
        if not theta_crc or theta_crc != self.holds.theta:
            raise Mismatch(Thing.PARAMETERS)
        if not dataset_crc or dataset_crc != self.holds.dataset:
            raise Mismatch(Thing.DATASET)

    def _samples(self, count: int, crc: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        if 4 * count > self.head.area_sizes[Area.SAMPLES]:
            raise LinkCorrupt(f"there is no room for {count} samples")
        raw = self.memory.first(Area.SAMPLES, 4 * count)
        if zlib.crc32(raw) != crc:
            raise Mismatch(Thing.SAMPLES)
        samples = np.frombuffer(raw, "<u4").astype(np.int64)
        n = 0 if self._load is None else self._load.n_samples
        if not count or int(samples.max()) >= n:
            raise LinkCorrupt(f"samples beyond the {n} that there are, or none")
        return samples

    def _in_dataset(self, block: Block) -> Block:
        if self._load is None or block.order.n > self._load.n_samples:
            raise LinkCorrupt("a block of more samples than there are")
        return block
