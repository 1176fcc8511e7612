"""A board in software: the link's answers, given by any device that keeps mgdhw's contract."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import zlib
from collections import deque
from collections.abc import Callable

from mgdhw.device import Device
from mgdhw.errors import ConfigError, DeviceError, LimitExceeded, LinkCorrupt, MgdhwError
from mgdhw_drivers.link.connection import BoardConnection
from mgdhw_drivers.link.frames import SMALLEST_PAYLOAD, Frame
from mgdhw_drivers.link.messages import (
    OPERATIONS,
    Area,
    Chunk,
    Code,
    Identify,
    Identity,
    Pong,
    Read,
    Reason,
    State,
    Statistics,
    Type,
)
from mgdhw_drivers.linked.limits import Limits
from mgdhw_drivers.serve.memory import SAFELY_READABLE, STATE, Mismatch
from mgdhw_drivers.serve.work import Work

log = logging.getLogger("mgdhw.serve")

QUEUE = 64
"""Requests that wait at most; more than a host may have under way."""
WINDOW = 16
IDLE_SECONDS = 60.0
"""How long a host may say nothing, whatever dead-man it has chosen: hosts ask for a sign of life every 10 s."""
TAKE_SECONDS = 5.0
"""How long a host may be connected without IDENTIFY with `take`."""
NO_INDEX = -2
"""Of a limit, where the text alone says which parameter it is about."""


class Board:
    """Answers a host.

    Args:
        device: what is served; the board opens and closes it.
        max_payload: longest payload that is taken.
        limits: on how its parameters move.
    """

    def __init__(self, device: Device, max_payload: int, limits: Limits) -> None:
        self.device = device
        self.connection = BoardConnection(max_payload)
        self.send: Callable[[bytes], None] = _nowhere
        self.dead_man = 0.0
        """Seconds without a frame after which it goes to its safe state; 0: never."""
        self._limits = limits
        self._boot = secrets.randbits(32)
        self._born = time.monotonic()
        self._quiet = 0.0
        self._untaken: float | None = None
        """Seconds since a host came that has not taken the board; None: there is none."""
        self._state, self._reason = State.SAFE, Reason.STARTED
        self._trips = 0
        self._session = 0
        self._work: Work | None = None
        self._queue: deque[Frame] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._running: Frame | None = None
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find out what the device is, and be ready in the safe state. Raises DeviceUnavailable, ConfigError."""
        await self.device.open()
        remembers = bool(await self.device.snapshot())
        self._work = Work(self.device, self.connection, self._send, self._limits, remembers=remembers)
        await self.device.close()
        self._task = asyncio.create_task(self._serve(), name=f"board of {self.device.uri}")

    async def stop(self) -> None:
        """Safe state, and the end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self.device.close()

    @property
    def state(self) -> State:
        """What a host would see."""
        return self._state

    @property
    def work(self) -> Work:
        """What it does with the device."""
        assert self._work is not None, "started"
        return self._work

    # --- the line ------------------------------------------------------------------------------------------------

    def connected(self, send: Callable[[bytes], None]) -> None:
        """A host is there."""
        self.send = send
        self.connection.connect()
        self._quiet = self._untaken = 0.0

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        requests, refusals = self.connection.receive(data)
        for refusal in refusals:
            self.send(refusal)
        for request in requests:
            self._quiet = 0.0
            if request.type == Type.IDENTIFY and not _only_asks(request):
                self._untaken = None
            if _only_asks(request) and not self._queue:
                self._inform(request)
            elif len(self._queue) < QUEUE:
                self._take(request)

    def disconnected(self) -> None:
        """The host is gone."""
        self.send = _nowhere
        self._untaken = None
        self._go_safe(Reason.LINK_LOST)

    def listened(self, seconds: float) -> bool:
        """So much time has passed: go to the safe state if nothing was heard for too long.

        Args:
            seconds: in which a frame would have been heard; the time in which the board was deaf is not counted.

        Returns:
            Whether the host that is connected is as good as gone: that has just happened, or it has been idle for too
            long, or has never taken the board.
        """
        self._quiet += seconds
        if self._untaken is not None:
            self._untaken += seconds
        if not self.dead_man or self._state is not State.READY or self._quiet < self.dead_man:
            return self._quiet >= IDLE_SECONDS or (self._untaken or 0.0) >= TAKE_SECONDS
        self._trips += 1
        log.warning("no word from the host for %.1f s: safe state", self.dead_man)
        self._go_safe(Reason.DEAD_MAN)
        return True

    def _take(self, request: Frame) -> None:
        running = self._running
        if running is not None and running.type in OPERATIONS and not _only_asks(request):
            if request.type == Type.LEARN and self.work.adopt(request):
                self._running = request
                return
            self._end_operation()
        self._queue.append(request)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _send(self, data: bytes) -> None:
        if not self._ending:
            self.send(data)

    def _end_operation(self) -> None:
        """End what runs: no answer to it is sent any more."""
        if self._running is not None and self._running.type in OPERATIONS and self._task is not None:
            self._ending = True
            self._task.cancel()

    def _go_safe(self, reason: Reason) -> None:
        if self._state is State.READY or self._running is not None:
            self._end_operation()
            self._queue.append(Frame(_SAFE_INSIDE, int(reason)))
            self._state, self._reason = State.SAFE, reason
            self._wake()

    # --- the work ------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            try:
                while not self._queue:
                    self._waiting = asyncio.get_running_loop().create_future()
                    await self._waiting
                request = self._running = self._queue.popleft()
                self._answer_questions()
                await self._answer(request)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not self._ending or task is None:
                    raise
                task.uncancel()
                self.work.ended()
            finally:
                self._running = None
                self._ending = False

    def _answer_questions(self) -> None:
        """What was asked after a request that begins now is not to wait for its end."""
        if not self._queue:
            return
        questions = [request for request in self._queue if _only_asks(request)]
        for request in questions:
            self._queue.remove(request)
            self._inform(request)

    def _inform(self, question: Frame) -> None:
        """Answer a question that changes nothing."""
        if question.type == Type.PING:
            self.send(self.connection.answer(question, self._pong()))
            return
        self.connection.host_payload = max(SMALLEST_PAYLOAD, Identify.unpack(question.payload).max_payload)
        self.send(self.connection.answer(question, self._identity(self._state, self._reason)))

    async def _answer(self, request: Frame) -> None:
        connection = self.connection
        if request.type == _SAFE_INSIDE:
            await self._rest(Reason(request.sequence))
            return
        try:
            await self._handle(request)
        except Mismatch as mismatch:
            self._send(connection.error(self._sequence(request), Code.MISMATCH, int(mismatch.thing)))
        except LimitExceeded as error:
            self._send(connection.error(self._sequence(request), Code.LIMIT, NO_INDEX, str(error)))
        except LinkCorrupt as error:
            self._send(connection.error(self._sequence(request), Code.BAD, 0, str(error)))
        except ConfigError as error:
            self._send(connection.error(self._sequence(request), Code.UNSUPPORTED, 0, str(error)))
        except (MgdhwError, OSError) as error:
            log.warning("%s", error)
            self._send(connection.error(self._sequence(request), Code.FAULT, 0, str(error)))

    def _sequence(self, request: Frame) -> int:
        return request.sequence if self._running is None else self._running.sequence

    async def _handle(self, request: Frame) -> None:
        if request.type in OPERATIONS and self._state is State.READY:
            await self.work.run(request)
            return
        connection = self.connection
        match request.type:
            case _ if _only_asks(request):
                self._inform(request)
                return
            case Type.IDENTIFY:
                await self._identify(request)
                return
            case Type.SAFE:
                await self._rest(Reason.ASKED)
                self._send(connection.answer(request))
                return
            case Type.STATISTICS:
                self._send(connection.answer(request, self._statistics()))
                return
            case Type.READ:
                read = Read.unpack(request.payload)
                if self._state is State.READY or read.area in SAFELY_READABLE:
                    content = self.work.memory.read(read.area, read.offset, read.length)
                    if Chunk.form.size + len(content) > connection.host_payload:
                        raise LinkCorrupt("more was asked for than the host takes")
                    self._send(connection.answer(request, Chunk(read.area, read.offset).pack() + content))
                    return
        if self._state is not State.READY:
            self._send(connection.error(request.sequence, Code.SAFE, self._reason))
            return
        if request.type == Type.WRITE:
            chunk = Chunk.parse(request.payload)
            area = self.work.memory.write(chunk.area, chunk.offset, request.payload[Chunk.form.size :])
            if area in STATE:
                self.work.state_written()
            elif area in (Area.INPUTS, Area.TARGETS):
                self.work.holds.dataset = 0
            self._send(connection.answer(request))

    async def _identify(self, request: Frame) -> None:
        hello = Identify.unpack(request.payload)
        self.connection.host_payload = max(SMALLEST_PAYLOAD, hello.max_payload)
        state, reason = self._state, self._reason
        if hello.session != self._session:
            self._session = hello.session
            if state is State.READY:
                await self.work.rest()
                self._state = State.SAFE
            self.work.forget()
        self.dead_man = hello.dead_man_ms / 1000
        if self._state is not State.READY:
            try:
                await self.work.wake_up()
            except DeviceError as error:
                self._state, self._reason = State.FAULTY, Reason.FAULT
                raise error
        self.work.wear.rest()
        self._state = State.READY
        self._send(self.connection.answer(request, self._identity(state, reason)))

    def _identity(self, state: State, reason: Reason) -> bytes:
        description, holds = self.work.described, self.work.holds
        return Identity(
            boot=self._boot,
            max_payload=self.connection.max_payload,
            window=WINDOW,
            state=state,
            reason=reason,
            description_size=len(description),
            description_crc=zlib.crc32(description),
            dataset_crc=holds.dataset,
            theta_crc=holds.theta,
            state_crc=holds.state,
            ticket=holds.ticket,
            uptime_ms=self._uptime(),
        ).pack()

    async def _rest(self, reason: Reason) -> None:
        self._state, self._reason = State.SAFE, reason
        await self.work.rest()

    def _pong(self) -> bytes:
        running = 0
        if self._running is not None and self._running.type != _SAFE_INSIDE:
            running = self._running.sequence
        return Pong(running, self.work.done, self._state, self._reason).pack()

    def _statistics(self) -> bytes:
        frames, bad_crc, bad_frames = self.connection.counts
        return Statistics(
            frames_in=frames,
            frames_out=self.connection.frames_out,
            bad_crc=bad_crc,
            bad_frames=bad_frames,
            dead_man_trips=self._trips,
            uptime_ms=self._uptime(),
            evaluations=self.work.evaluations,
            sets=self.work.sets,
        ).pack()

    def _uptime(self) -> int:
        return int((time.monotonic() - self._born) * 1000) & 0xFFFFFFFF


_SAFE_INSIDE = 0x100
"""A request that the board makes of itself."""


def _only_asks(request: Frame) -> bool:
    """Whether it is answered without anything being ended: PING, and IDENTIFY that takes nothing."""
    if request.type != Type.IDENTIFY:
        return request.type == Type.PING
    return len(request.payload) == Identify.form.size and not Identify.unpack(request.payload).take


def _nowhere(data: bytes) -> None:
    """Nobody is there."""
