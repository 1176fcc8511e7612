"""What a software board does with its device: operations, cut into chunks so that it can read its line in between."""

from __future__ import annotations

import asyncio
import time
import zlib
from dataclasses import dataclass, replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Part
from mgdhw.device import Capability, Device, HostCodes, guarded
from mgdhw.errors import DeviceFault, LinkCorrupt
from mgdhw_drivers.client.info import form_of
from mgdhw_drivers.protocol import checks
from mgdhw_drivers.protocol.blocks import block_of, values_of
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Infer, Load, Measure, Probe, Set, Snapshot, Stored
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem, Type
from mgdhw_drivers.protocol.segments import LearnRequest
from mgdhw_drivers.server.answers import AnswerSender
from mgdhw_drivers.server.areas import DATASET, STATE, Areas, Mismatch
from mgdhw_drivers.server.cell_states import CellStates
from mgdhw_drivers.server.chunking import ChunkSize
from mgdhw_drivers.server.datasets import Datasets
from mgdhw_drivers.server.describe import converters_of, describe
from mgdhw_drivers.server.hardware import Hardware, device_errors
from mgdhw_drivers.server.learn import LearnOperation
from mgdhw_drivers.server.limits import Limits
from mgdhw_drivers.server.stress_limit import Limited, StressLimit

MASK = 0xFFFFFFFF


@dataclass(slots=True)
class Checksums:
    """Checksums of what the board holds; 0 where it holds nothing."""

    theta: int = 0
    state: int = 0
    ticket: int = 0


class Operations:
    """Operations on a device.

    Args:
        hardware: the device, open.
        sender: sends answers.
        limits: on how the parameters move.
        cell_states: the state of its cells.
    """

    def __init__(self, hardware: Hardware, sender: AnswerSender, limits: Limits, cell_states: CellStates) -> None:
        device = hardware.device
        info = device.info
        self._hardware, self._sender, self._cell_states = hardware, sender, cell_states
        self._device: Device = device
        averages = device.acquisition.readings > 1 and Capability.PROBE not in info.capabilities
        self.floats = averages or (info.cost_lsb == 1.0 and converters_of(info) is None)
        description = describe(info, limits, floats=self.floats, cells=cell_states.size)
        self.head = description.head
        self.described = description.pack()
        grid = (info.theta_min, info.theta_max, info.theta_lsb)
        self.form = form_of(self.head.parameter_kind, info.n_parameters, grid)
        self.stress = StressLimit(self.head.max_stress, float(np.min(info.theta_lsb)))
        self.areas = Areas(self.head.area_sizes)
        self.areas.fill(Area.DESCRIPTION, self.described)
        if self.head.per_parameter:
            arrays = [np.broadcast_to(limit, info.n_parameters) for limit in grid]
            self.areas.fill(Area.LIMITS, np.concatenate(arrays).astype("<f8").tobytes())
        self.datasets = Datasets(device, self.areas, self.head)
        self.checksums = Checksums()
        self.done = 0
        self.evaluations = 0
        self.sets = 0
        self.chunk_size = ChunkSize()
        self._awake = False
        self._set_unfinished = False
        """Whether a SET has begun of which it is not known whether it was finished."""
        self._learn_operation: LearnOperation | None = None
        self._stored: bytes | None = None
        self._repetition: Frame | None = None
        """The latest repetition of the LEARN that runs."""

    # --- into operation, and out of it ---------------------------------------------------------------------------

    async def open(self) -> None:
        """From the safe state: the device is opened, and given the dataset that it had."""
        with device_errors():
            await self._hardware.open()
            await self._cell_states.restore_kept()
            held = await self._held_at_first()
        if held is not None:
            self.stress.moved(held)  # the way to the safe state, and from there
            self.areas.fill(Area.HELD, self.form.encode(held))
        self._awake, self._set_unfinished = True, False
        await self.datasets.reload()

    async def _held_at_first(self) -> FloatArray | None:
        """(P,) what the device holds; None where that is not known before the first write."""
        try:
            return await self._device.read()
        except DeviceFault:
            return None

    async def enter_safe_state(self) -> bool:
        """To the safe state: the parameters are no longer those that were set, but the cells keep their state.

        Returns:
            Whether the hardware is confirmed to be safe.
        """
        awake, self._awake = self._awake, False
        self.checksums.theta = 0
        try:
            if awake:
                await self._cell_states.keep()
        finally:
            safe = await self._hardware.close()
        return safe

    def lost(self) -> None:
        """Something failed: it is not known what the device holds, or what the state of its cells is."""
        self._awake = False
        self.ended()
        self.checksums.theta = 0
        self._cell_states.discard()

    def begin_session(self) -> None:
        """Another session: the stored answer is dropped, and the cells are as when the device was made."""
        self.state_written()
        self._cell_states.discard()
        self.areas.clear((Area.SAMPLES, Area.ETA, Area.GUARD, Area.CELLS, *STATE))
        self.datasets.clear_unused()

    def ended(self) -> None:
        """What ran was ended in the middle."""
        if self._learn_operation is not None:
            self._learn_operation = self._repetition = None
            self.state_written()
            self.checksums.theta = 0

    # --- areas ---------------------------------------------------------------------------------------------------

    def write(self, number: int, offset: int, content: bytes) -> None:
        """Bytes from the host. Raises LinkCorrupt where they have no place."""
        area = self.areas.write(number, offset, content)
        if area in STATE:
            self.state_written()
        elif area in DATASET:
            self.datasets.changed()

    def state_written(self) -> None:
        """The state areas are no longer those of the last answer."""
        self.checksums.state = self.checksums.ticket = 0
        self._stored = None

    # --- operations ----------------------------------------------------------------------------------------------

    @property
    def learns(self) -> bool:
        """Whether a segment runs: a limit that it violates is one of its updates', not of the request's."""
        return self._learn_operation is not None

    def take_over_repetition(self, request: Frame) -> bool:
        """Whether a LEARN is the one that runs."""
        same = (
            self._learn_operation is not None
            and LearnRequest.unpack(request.payload).learn.ticket == self._learn_operation.ticket
        )
        if same:
            self._repetition = request
        return same

    async def run(self, request: Frame) -> None:
        """An operation.

        Raises:
            LinkCorrupt, Unsupported: what the host asks makes no sense, or cannot be had.
            Mismatch: the board holds something else.
            LimitExceeded, Limited: a limit.
            DeviceFailed: the device reports an error.
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
        self._sender.answer(request)

    async def _set(self, request: Frame) -> None:
        asked = Set.unpack(request.payload)
        checks.check_set(asked)
        requested = self.areas.whole(Area.REQUESTED)
        if zlib.crc32(requested) != asked.crc:
            raise Mismatch(MismatchedItem.PARAMETERS)
        theta = self.form.decode(requested)
        self._device.check_limits(theta)
        if self._set_unfinished:  # the one before was ended somewhere on its way
            with device_errors():
                self.stress.moved(await self._device.read())
        self.stress.check(theta)
        self.checksums.theta = 0
        self._set_unfinished = True
        self.stress.moved(theta)  # before: if this is ended in the middle, the parameters may have moved
        with device_errors():
            stored = await self._device.write(theta, asked.step)
        self._set_unfinished = False
        held = self.form.encode(stored)
        self.areas.fill(Area.HELD, held)
        self.checksums.theta = asked.crc
        self.sets += 1
        self._sender.answer(request, Stored(asked.crc, zlib.crc32(held)).pack())

    async def _measure(self, request: Frame) -> None:
        asked = Measure.unpack(request.payload)
        checks.check_measure(asked, self.head)
        device = self._device
        if not isinstance(device, HostCodes):
            raise checks.Unsupported("the device takes no single measurements")
        self._check(asked.theta_crc, asked.dataset_crc)
        samples = self._samples(asked.count, asked.samples_crc)
        with device_errors():
            cost = await device.acquire(samples, asked.step, Part(asked.part))
        self.evaluations += 1
        await self._sender.answer_values(request, 0, np.asarray([cost]), last=True)

    async def _infer(self, request: Frame) -> None:
        asked = Infer.unpack(request.payload)
        checks.check_infer(asked, self.head)
        self._check(asked.theta_crc, asked.dataset_crc)
        samples = self._samples(asked.count, asked.samples_crc)
        await guarded.settle(self._device)
        start = first = 0
        while start < asked.count:
            size = self.chunk_size.next(asked.count - start, Type.INFER, 1)
            began = time.perf_counter()
            with device_errors():
                outputs = (await self._device.infer(samples[start : start + size], asked.step)).ravel()
            self.chunk_size.took(size, time.perf_counter() - began)
            start += size
            await self._sender.answer_values(request, first, outputs, last=start == asked.count)
            first += outputs.size
            self.done = start
            await asyncio.sleep(0)  # read the line

    async def _probe(self, request: Frame) -> None:
        asked = Probe.unpack(request.payload)
        checks.check_probe(asked, self.head)
        self._check(asked.theta_crc, asked.dataset_crc)
        rest = self._in_dataset(block_of(asked, floats=self.floats))
        self._check_swing(rest)
        kind = (Type.PROBE, rest.codes.family, rest.baseline, rest.order.batch)
        first = 0
        while True:
            size = self.chunk_size.next(rest.n_probes, kind, rest.order.batch)
            left = rest.n_probes - size
            chunk = replace(rest, n_probes=size) if left else rest
            began = time.perf_counter()
            with device_errors():
                costs = await self._device.probe(chunk)
            self.chunk_size.took(size, time.perf_counter() - began)
            answer = values_of(costs, chunk)
            await self._sender.answer_values(request, first, answer, last=not left)
            self.evaluations += costs.evaluations
            first += answer.size
            self.done = first & MASK
            if not left:
                return
            rest = replace(rest, first_step=rest.first_step + size, n_probes=left, held=costs.held)
            await asyncio.sleep(0)  # read the line

    async def _learn(self, request: Frame) -> None:
        learn_request = LearnRequest.unpack(request.payload)
        if self._stored is not None and learn_request.learn.ticket == self.checksums.ticket:
            self._sender.answer(request, self._stored)
            return
        checks.check_learn(learn_request, self.head)
        if learn_request.probe.dataset_crc != self.datasets.crc or not self.datasets.crc:
            raise Mismatch(MismatchedItem.DATASET)
        block = block_of(learn_request.probe, floats=self.floats)
        operation = LearnOperation(self, self._device, learn_request, block)
        self._in_dataset(block)
        self._check_swing(block)
        operation.check_limits()
        self._learn_operation = operation
        self.state_written()
        self.checksums.theta = 0
        result = await operation.run()
        self._learn_operation = None
        self.checksums.state, self.checksums.theta, self.checksums.ticket = (
            result.state_crc,
            result.theta_crc,
            result.ticket,
        )
        self._stored = result.pack()
        repetition, self._repetition = self._repetition, None
        self._sender.answer(repetition or request, self._stored)

    async def _snapshot(self, request: Frame) -> None:
        content = await self._cell_states.snapshot()
        self.areas.fill(Area.CELLS, content)
        self._sender.answer(request, Snapshot(len(content), zlib.crc32(content)).pack())

    async def _restore(self, request: Frame) -> None:
        asked = Snapshot.unpack(request.payload)
        checks.check_restore(asked, self.head)
        content = self.areas.first(Area.CELLS, asked.size)
        if zlib.crc32(content) != asked.crc:
            raise Mismatch(MismatchedItem.CELLS)
        await self._cell_states.restore(content)
        self._sender.answer(request)

    # --- what requests depend on ---------------------------------------------------------------------------------

    def _check(self, theta_crc: int, dataset_crc: int) -> None:
        if not theta_crc or theta_crc != self.checksums.theta:
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
        raw = self.areas.first(Area.SAMPLES, 4 * count)
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
