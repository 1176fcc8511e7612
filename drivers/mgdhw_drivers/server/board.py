"""A board in software: the link's answers, given by any device that keeps mgdhw's contract."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from mgdhw.device import Device
from mgdhw.errors import DeviceFault, LimitExceeded, LinkCorrupt
from mgdhw_drivers.protocol.checks import Unsupported, check_identify, check_read, has_right_length
from mgdhw_drivers.protocol.connection import BoardConnection
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Chunk, Identify, Read
from mgdhw_drivers.protocol.numbers import OPERATIONS, Area, Code, Reason, State, Type
from mgdhw_drivers.server.answers import AnswerSender
from mgdhw_drivers.server.areas import SAFELY_READABLE, Mismatch
from mgdhw_drivers.server.board_status import BoardStatus
from mgdhw_drivers.server.cell_states import CellStates
from mgdhw_drivers.server.hardware import DeviceFailed, Hardware
from mgdhw_drivers.server.limits import Limits
from mgdhw_drivers.server.operations import Operations
from mgdhw_drivers.server.silence_timers import SilenceTimers
from mgdhw_drivers.server.stress_limit import Limited
from mgdhw_drivers.server.worker import Worker

log = logging.getLogger("mgdhw.serve")

UNSURE = "NOT confirmed to be safe"
"""Stands at the beginning of texts for hosts: the link cuts long ones off."""
INTERNAL_ERROR = "internal error, see the server's log"


class Board:
    """Answers a host.

    Args:
        device: what is served; the board opens and closes it.
        max_payload: longest payload that is taken.
        limits: on how its parameters move.
    """

    def __init__(self, device: Device, max_payload: int, limits: Limits) -> None:
        self.device = device
        self.hardware = Hardware(device, limits)
        self.connection = BoardConnection(max_payload)
        self.send: Callable[[bytes], None] = _nowhere
        self.silence = SilenceTimers()
        self._status = BoardStatus(self.connection)
        self._limits = limits
        self._session = 0
        self._work: Operations | None = None
        self._worker: Worker | None = None
        self._free = asyncio.Event()
        self._free.set()

    async def start(self) -> None:
        """Find out what the device is, and be ready in the safe state.

        Raises:
            DeviceUnavailable, ConfigError: it cannot be served.
            DeviceFault: it is not confirmed to be safe.
        """
        try:
            await self.hardware.open()
            cell_states = CellStates(self.device, await self.device.snapshot())
            sender = AnswerSender(self.connection, self._send, self._line_is_free)
            self._work = Operations(self.hardware, sender, self._limits, cell_states)
        except BaseException:
            await self.hardware.close()
            raise
        await self._close_for_good()
        self._worker = Worker(f"board of {self.device.uri}", self._answer, self.work.ended, self._failed)

    async def stop(self) -> None:
        """Safe state, and the end. Raises DeviceFault if it is not confirmed to be safe."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()
        await self._close_for_good()

    @property
    def state(self) -> State:
        """What a host would see."""
        return self._status.state

    @property
    def work(self) -> Operations:
        """What it does with the device."""
        assert self._work is not None, "started"
        return self._work

    @property
    def worker(self) -> Worker:
        """Who does it."""
        assert self._worker is not None, "started"
        return self._worker

    # --- the line ------------------------------------------------------------------------------------------------

    def connected(self, send: Callable[[bytes], None]) -> None:
        """A host is there."""
        self.send = send
        self.connection.connect()
        self.silence.host_connected()
        self._free.set()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        requests, refusals = self.connection.receive(data)
        for refusal in refusals:
            self.send(refusal)
        for request in requests:
            self.silence.frame_received()
            if not has_right_length(request):
                self.send(self.connection.error(request.sequence, Code.BAD, 0, "a payload of another length"))
                continue
            if request.type == Type.IDENTIFY and not _is_query(request):
                self.silence.board_taken()
            if _is_query(request) and not self.worker.queue:
                self._answer_query(request)
            else:
                self._take(request)

    def pause(self) -> None:
        """The host does not read what it is sent: nothing more is measured before it does."""
        self._free.clear()

    def resume(self) -> None:
        """It reads again."""
        self._free.set()

    def disconnected(self) -> None:
        """The host is gone."""
        self.send = _nowhere
        self.silence.host_disconnected()
        self._free.set()
        self._go_safe(Reason.LINK_LOST)

    def listened(self, seconds: float) -> bool:
        """So much time has passed: go to the safe state if the dead-man timer has expired.

        Args:
            seconds: in which a frame would have been received; other time is not counted.

        Returns:
            Whether the connection is to be ended: the timer has just expired, or the host has been idle for too long,
            or has never taken the board.
        """
        silence = self.silence
        silence.advance(seconds)
        if not silence.dead_man_expired or self.state is not State.READY:
            return silence.is_idle
        self._status.trips += 1
        log.warning("nothing received from the host for %.1f s: going to the safe state", silence.dead_man)
        self._go_safe(Reason.DEAD_MAN)
        return True

    def _take(self, request: Frame) -> None:
        worker, running = self.worker, self.worker.running
        if running is not None and not _is_query(request):
            if running.type in OPERATIONS:
                if request.type == Type.LEARN and self.work.take_over_repetition(request):
                    worker.running = request
                    return
                worker.end()
            elif running.type == Type.IDENTIFY and request.type == Type.SAFE:
                worker.end()
        if request.type == Type.SAFE:
            worker.put_surely(request)
        else:
            worker.put(request)

    def _send(self, data: bytes) -> None:
        if self.worker.may_answer:
            self.send(data)

    async def _line_is_free(self) -> None:
        if not self._free.is_set():
            await self._free.wait()

    def _go_safe(self, reason: Reason) -> None:
        """End what runs, drop what waits, and go to the safe state."""
        worker, running = self.worker, self.worker.running
        worker.queue.clear()
        if running is not None and (running.type in OPERATIONS or running.type == Type.IDENTIFY):
            worker.end()
        if self.state is State.READY or running is not None or not self.hardware.safe:
            if self.state is not State.FAULTY:
                self._status.state, self._status.reason = State.SAFE, reason
            worker.put(Frame(_SAFE_INSIDE, int(reason)))

    # --- the work ------------------------------------------------------------------------------------------------

    async def _answer(self, request: Frame) -> None:
        self._answer_queries()
        if request.type in OPERATIONS and self.worker.queue:
            return  # what came after it has ended it before it began
        try:
            await self._handle(request)
        except Mismatch as mismatch:
            self._refuse(request, Code.MISMATCH, int(mismatch.item))
        except Limited as error:
            self._refuse(request, Code.LIMIT, error.value, str(error))
        except LimitExceeded as error:
            if self.work.learns:  # an update's: the parameters do not stay where they are
                self.work.ended()
                await self._enter_safe_state(Reason.LIMIT)
            self._refuse(request, Code.LIMIT, Limited.BY_DEVICE, str(error))
        except LinkCorrupt as error:
            self._refuse(request, Code.BAD, 0, str(error))
        except Unsupported as error:
            self._refuse(request, Code.UNSUPPORTED, 0, str(error))
        except DeviceFailed as error:
            log.warning("%s", error)
            self.work.ended()
            self._refuse(request, Code.FAULT, 0, str(error))

    def _refuse(self, request: Frame, code: Code, value: int, text: str = "") -> None:
        latest = self.worker.running or request  # LEARN may have been repeated meanwhile
        self._send(self.connection.error(latest.sequence, code, value, text))

    async def _failed(self, request: Frame, error: BaseException) -> None:
        """An unforeseen error: reported to both sides, and the hardware goes to its safe state."""
        log.error("%s: unforeseen error; going to the safe state", self.device.uri, exc_info=error)
        self.work.lost()
        await self._fault(INTERNAL_ERROR)

    async def _fault(self, text: str) -> None:
        self._status.state, self._status.reason = State.FAULTY, Reason.FAULT
        if self.work.head.area_sizes[Area.CELLS]:
            self._status.new_boot()
        if await self.hardware.close():
            log.warning("%s: in its safe state, after a fault", self.device.uri)
        else:
            text = f"{UNSURE}: {text}"
        self.send(self.connection.fault(0, text))

    def _answer_queries(self) -> None:
        """Questions that came after the request that begins now are not to wait for its end."""
        queue = self.worker.queue
        for query in [request for request in queue if _is_query(request)]:
            queue.remove(query)
            self._answer_query(query)

    def _answer_query(self, query: Frame) -> None:
        """Answer a query that changes nothing."""
        if query.type == Type.PING:
            running = self.worker.running
            asked = None if running is None or running.type == _SAFE_INSIDE else running
            self.send(self.connection.answer(query, self._status.pong(self.work, asked)))
            return
        hello = Identify.unpack(query.payload)
        try:
            check_identify(hello)
        except LinkCorrupt as error:
            self.send(self.connection.error(query.sequence, Code.BAD, 0, str(error)))
            return
        self.connection.host_payload = hello.max_payload
        self.send(
            self.connection.answer(query, self._status.identity(self.work, self._status.state, self._status.reason))
        )

    async def _handle(self, request: Frame) -> None:
        connection, payload = self.connection, request.payload
        match request.type:
            case _ if request.type == _SAFE_INSIDE:
                await self._enter_safe_state_unasked(Reason(request.sequence))
            case _ if _is_query(request):
                self._answer_query(request)
            case Type.IDENTIFY:
                await self._identify(request)
            case Type.SAFE:
                await self._enter_safe_state(Reason.ASKED)
                self._send(connection.answer(request))
            case Type.STATISTICS:
                self._send(connection.answer(request, self._status.statistics(self.work)))
            case _ if self.state is not State.READY and not (
                request.type == Type.READ and Read.unpack(payload).area in SAFELY_READABLE
            ):
                self._send(connection.error(request.sequence, Code.SAFE, self._status.reason))
            case Type.READ:
                read = Read.unpack(payload)
                check_read(read, min(connection.max_payload, connection.host_payload))
                content = self.work.areas.read(read.area, read.offset, read.length)
                self._send(connection.answer(request, Chunk(read.area, read.offset).pack() + content))
            case Type.WRITE:
                chunk = Chunk.parse(payload)
                self.work.write(chunk.area, chunk.offset, payload[Chunk.form.size :])
                self._send(connection.answer(request))
            case _:
                await self.work.run(request)

    async def _identify(self, request: Frame) -> None:
        hello = Identify.unpack(request.payload)
        check_identify(hello)
        self.connection.host_payload = hello.max_payload
        state, reason = self._status.state, self._status.reason
        if hello.session != self._session:
            self._session = hello.session
            if state is State.READY:
                await self._enter_safe_state(Reason.ASKED)
            self.work.begin_session()
        self.silence.dead_man = hello.dead_man_ms / 1000
        if self.state is not State.READY:
            await self._open_hardware()
        self._status.state = State.READY
        self.silence.frame_received()
        self._send(self.connection.answer(request, self._status.identity(self.work, state, reason)))

    async def _open_hardware(self) -> None:
        try:
            if self.hardware.is_closing:  # for an IDENTIFY that was ended
                await self.hardware.close()
            if self.worker.has_abandoned or self.hardware.is_closing:
                raise DeviceFailed(f"{UNSURE}: its driver has not come back from what was ended")
            await self.work.open()
        except DeviceFailed as error:
            self._status.state, self._status.reason = State.FAULTY, Reason.FAULT
            self.work.lost()
            if not self.hardware.is_closing and not await self.hardware.close():
                raise DeviceFailed(f"{UNSURE}: {error}") from error
            raise

    async def _enter_safe_state(self, reason: Reason) -> None:
        """Go to the safe state. Raises DeviceFailed if that is not confirmed."""
        if self.state is not State.FAULTY:
            self._status.state, self._status.reason = State.SAFE, reason
        if not await self.work.enter_safe_state():
            self._status.state, self._status.reason = State.FAULTY, Reason.FAULT
            raise DeviceFailed(f"{UNSURE}, see the server's log")

    async def _enter_safe_state_unasked(self, reason: Reason) -> None:
        """The same where no request asks for it."""
        try:
            await self._enter_safe_state(reason)
        except DeviceFailed as error:
            self.send(self.connection.fault(0, str(error)))
        else:
            log.info("%s: in its safe state (%s)", self.device.uri, reason.name.lower().replace("_", "-"))

    async def _close_for_good(self) -> None:
        if not await self.hardware.close():
            raise DeviceFault(f"{UNSURE}; look at the hardware", uri=self.device.uri)


_SAFE_INSIDE = 0x100
"""A request that the board makes of itself."""


def _is_query(request: Frame) -> bool:
    """Whether it is answered without anything being ended: PING, and IDENTIFY that takes nothing."""
    if request.type != Type.IDENTIFY:
        return request.type == Type.PING
    return not Identify.unpack(request.payload).take


def _nowhere(data: bytes) -> None:
    """Nobody is there."""
