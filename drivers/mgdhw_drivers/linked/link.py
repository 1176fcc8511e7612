"""A link with its clock: requests that are answered, or end in a typed error in bounded time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import DeviceError, DeviceFault, LimitExceeded, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw_drivers.link import values
from mgdhw_drivers.link.connection import Answer, HostConnection, HostState
from mgdhw_drivers.link.messages import ANSWER, Code, Pong, Trouble, Type
from mgdhw_drivers.linked.alarm import Alarm
from mgdhw_drivers.linked.transport import Transport

QUIET_SECONDS = 0.03
"""Silence after which the board is asked whether it is there, and at what."""
ATTEMPTS = 25
"""How often in a row a request may get lost."""
PATIENCE_SECONDS = 1.0
"""A board that is at one request for so long, and gets nothing of it done, is worth a word."""

Request = tuple[Type, bytes]

log = logging.getLogger("mgdhw.link")


class Refused(LinkCorrupt):
    """The board would not do it: it holds something else, or is in its safe state. Bringing it up to date helps."""

    def __init__(self, trouble: Trouble, text: str, uri: str) -> None:
        super().__init__(f"the board refuses ({Code(trouble.code).name}, {trouble.value}) {text}", uri=uri)
        self.trouble = trouble


class Link:
    """Requests and answers over a transport. One task at a time may use it.

    Args:
        transport: what carries the bytes.
        timeout: seconds of silence, beyond what the line needs, after which the link is given up.
    """

    def __init__(self, transport: Transport, timeout: float) -> None:
        self.transport = transport
        self.connection = HostConnection(secrets.randbits(32))
        self.repeated = 0
        """Requests that were lost and sent again."""
        self.host_bytes = 0
        self.board_bytes = 0
        self._timeout = timeout
        self._inbox: deque[Answer] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._gone: str | None = None
        self._broken: DeviceError | None = None
        self._heard = 0.0
        self._sent = 0.0
        self._ping: tuple[int, list[int]] | None = None
        self._at = (0, 0)
        self._at_since = 0.0
        self._told = False
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._wake)
        self.on_loss: Callable[[str], None] | None = None
        """Told at once when the peer is gone, whether or not anybody awaits an answer."""

    @property
    def uri(self) -> str:
        """The device's address."""
        return self.transport.uri

    @property
    def connected(self) -> bool:
        """Whether there is a stream of bytes."""
        return self.connection.state is not HostState.CLOSED

    @property
    def in_step(self) -> bool:
        """Whether the board was identified since anything went wrong."""
        return self.connection.state in (HostState.READY, HostState.WAITING)

    async def connect(self) -> None:
        """Open the stream. Raises DeviceUnavailable."""
        self._inbox.clear()
        self._gone = self._broken = self._ping = None
        await self.transport.open(self)
        self._write(self.connection.connect())

    async def disconnect(self) -> None:
        """Close the stream. From any state."""
        self.connection.disconnect()
        self._alarm.stop()
        await self.transport.close()

    async def ask(self, requests: Sequence[Request]) -> list[bytes]:
        """Answers to requests, which are sent as fast as the board can hold them; lost ones are sent again.

        Raises:
            Refused: the board must be brought up to date first.
            LinkTimeout, LinkLost, LinkCorrupt: the link failed, and is not in step any more.
            LimitExceeded, DeviceFault: what the board says of the request.
        """
        answers: list[bytes | None] = [None] * len(requests)
        todo = deque(range(len(requests)))
        pending: dict[int, int] = {}
        lost = 0
        try:
            while todo or pending:
                while todo and (not pending or len(pending) < self.connection.window):
                    index = todo.popleft()
                    pending[self._send(*requests[index])] = index
                answer = await self._next()
                if answer.sequence in pending:
                    index = pending.pop(answer.sequence)
                    if answer.trouble is not None:
                        raise self._trouble(answer)
                    answers[index] = answer.payload
                    lost = 0
                elif answer.type == Type.PING | ANSWER:
                    for sequence in self._lost(answer):
                        if sequence in pending:
                            self.repeated += 1
                            todo.appendleft(pending.pop(sequence))
                            lost += 1
                    if lost > ATTEMPTS:
                        raise self._silent("loses everything that it is sent")
        except BaseException:
            if pending:
                self.connection.poison()
            raise
        return [answer for answer in answers if answer is not None]

    async def stream(self, kind: Type, request: Callable[[NDArray[Any]], bytes | None]) -> None:
        """Ask for values; where some were lost, ask for the rest.

        Args:
            kind: INFER or PROBE.
            request: takes the values that answered the last request, none at first, and gives the payload of the next
                one, None when nothing is missing.

        Raises: as `ask`.
        """
        payload = request(_NONE)
        lost = 0
        while payload is not None:
            parts, complete = await self._values(kind, payload)
            if parts:
                lost = 0
                payload = request(np.concatenate(parts) if len(parts) > 1 else parts[0])
            if complete and payload is not None:
                raise LinkCorrupt("the board's answer is not as long as it has to be", uri=self.uri)
            if not complete:
                self.repeated += 1
                lost += 1
                if lost > ATTEMPTS:
                    raise self._silent("loses everything that it is sent")

    async def _values(self, kind: Type, payload: bytes) -> tuple[list[NDArray[Any]], bool]:
        """The values that answer one request, up to the first that was lost, and whether that was none."""
        sequence = self._send(kind, payload)
        parts: list[NDArray[Any]] = []
        position = 0
        try:
            while True:
                answer = await self._next()
                if answer.type == Type.PING | ANSWER:
                    if sequence in self._lost(answer):
                        return parts, False
                elif answer.sequence == sequence:
                    if answer.trouble is not None:
                        raise self._trouble(answer)
                    first, part, last = values.unpack(answer.payload)
                    if first > position:
                        return parts, False
                    if first == position:  # else the line has said it twice
                        parts.append(part)
                        position += part.size
                        if last:
                            return parts, True
        except BaseException:
            self.connection.poison()
            raise
        finally:
            self.connection.give_up(sequence)

    # --- what the transport calls --------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes from the board."""
        self.board_bytes += len(data)
        self._heard = self._loop.time()
        try:
            self._inbox.extend(self.connection.receive(data))
        except LinkCorrupt as error:
            self._broken = error
        if self._inbox or self._broken:
            self._wake()

    def gone(self, why: str) -> None:
        """The board is gone."""
        self._gone = why
        self.connection.disconnect()
        self._wake()
        if self.on_loss is not None:
            self.on_loss(why)

    # --- the clock -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None and not waker.done():
            waker.set_result(None)

    def _send(self, kind: Type, payload: bytes = b"") -> int:
        if self._gone is not None:
            raise LinkLost(self._gone, uri=self.uri)
        sequence, data = self.connection.send(kind, payload)
        self._write(data)
        return sequence

    def _write(self, data: bytes) -> None:
        self.transport.write(data)
        self._sent = max(self._loop.time(), self._sent) + self.transport.line_seconds(len(data))
        self.host_bytes += len(data)

    async def _next(self) -> Answer:
        """The next answer; asks the board for a sign of life meanwhile."""
        asked, waited, heard = self._sent, 0.0, self._heard
        while not self._inbox:
            if self._broken is not None:
                self.connection.poison()
                raise self._broken
            if self._gone is not None:
                raise LinkLost(self._gone, uri=self.uri)
            if self._heard > heard:
                waited, heard = 0.0, self._heard
            if waited > self._timeout:
                raise self._silent(f"has said nothing for {waited:.1f} s")
            began = self._loop.time()
            left = max(asked, self._heard, self._sent) + QUIET_SECONDS - began
            if left <= 0:
                self._ask_for_life()
                continue
            self._waker = self._loop.create_future()
            self._alarm.set(began + max(0.001, left))
            await self._waker
            if not self._inbox:  # time in which this program was too busy to listen is not the board's silence
                waited += min(self._loop.time(), began + left + QUIET_SECONDS) - max(began, asked)
        answer = self._inbox.popleft()
        if answer.type == Type.FAULT:
            self.connection.poison()
            raise DeviceFault(f"the board reports a fault: {answer.text}", uri=self.uri)
        return answer

    def _ask_for_life(self) -> None:
        if self._ping is not None:
            self.connection.give_up(self._ping[0])
        before = self.connection.outstanding()
        self._ping = (self._send(Type.PING), before)

    def _lost(self, answer: Answer) -> list[int]:
        """Requests that were sent before a PING and are neither answered nor under way: the line keeps order."""
        if self._ping is None or answer.sequence != self._ping[0]:
            return []
        _, before = self._ping
        self._ping = None
        pong = Pong.unpack(answer.payload)
        self._notice(pong.running, pong.done)
        lost = [sequence for sequence in before if sequence != pong.running]
        for sequence in lost:
            self.connection.give_up(sequence)
        return lost

    def _notice(self, running: int, done: int) -> None:
        """Say, once, that the board is long at something: what it serves may have to be compiled first.

        Args:
            running: the request that it is at; 0: none.
            done: how much of it.
        """
        now = self._loop.time()
        if (running, done) != self._at:
            self._at, self._at_since = (running, done), now
        elif running and not self._told and now - self._at_since >= PATIENCE_SECONDS:
            self._told = True
            log.info("waiting for the device (a chip that is served may have to be compiled first)")

    def _silent(self, what: str) -> LinkTimeout:
        self.connection.poison()
        return LinkTimeout(f"{self.transport.name} {what}; is the board running, and the line good?", uri=self.uri)

    def _trouble(self, answer: Answer) -> DeviceError:
        trouble = answer.trouble
        assert trouble is not None, "asked for"
        text = f": {answer.text}" if answer.text else ""
        match trouble.code:
            case Code.MISMATCH | Code.SAFE:
                return Refused(trouble, answer.text, self.uri)
            case Code.LIMIT:
                stress = "the limit of stress" if trouble.value == -1 else "a limit"
                what = stress if trouble.value < 0 else f"a limit of parameter {trouble.value}"
                return LimitExceeded(f"the board says that {what} would be violated{text}", uri=self.uri)
            case Code.UNSUPPORTED:
                return DeviceFault(f"the board cannot do this{text}; use a lower level (run.level)", uri=self.uri)
            case Code.FAULT:
                return DeviceFault(f"the board reports a fault ({trouble.value}){text}", uri=self.uri)
            case _:
                return DeviceFault(f"the board does not understand the request ({trouble.code}){text}", uri=self.uri)


_NONE: NDArray[Any] = np.zeros(0, dtype=np.int64)
