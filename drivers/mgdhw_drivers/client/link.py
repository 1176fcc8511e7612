"""A link with its clock: requests that are answered, or end in a typed error in bounded time, whatever comes.

What moves a deadline is an answer to what was asked, or something of it that was got done. Bytes don't, nor do frames
that answer no request, so a board that sends without end is given up like one that is silent.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import DeviceError, DeviceFault, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw_drivers.client.byte_stream import ByteStream
from mgdhw_drivers.client.options import PROGRESS_SECONDS
from mgdhw_drivers.client.refusals import error_of
from mgdhw_drivers.client.request_link import NextValues, Request
from mgdhw_drivers.client.timer import RestartableTimer
from mgdhw_drivers.client.unanswered import UnansweredTraffic
from mgdhw_drivers.client.wait_times import WaitTimes
from mgdhw_drivers.protocol.cobs import encoded_size
from mgdhw_drivers.protocol.connection import Answer, HostConnection, HostState
from mgdhw_drivers.protocol.frames import OVERHEAD
from mgdhw_drivers.protocol.messages import Pong
from mgdhw_drivers.protocol.numbers import ANSWER, Type
from mgdhw_drivers.protocol.values import Gathered

PING_SECONDS = 0.03
"""Silence after which the board is sent a PING; twice as long after each PING that it leaves unanswered."""
MOST_PINGS = 8
"""PINGs whose answers are awaited at most: those of a distant board come late."""
ATTEMPTS = 25
"""How often in a row a request may get lost."""
SLOW_SECONDS = 1.0
"""A board that is at one request for so long without progress is mentioned in the log."""

log = logging.getLogger("mgdhw.link")


class Link:
    """Requests and answers over a stream of bytes. One task at a time may use it.

    Args:
        byte_stream: what carries the bytes.
        timeout: seconds without an answer, beyond what the line needs, after which the link is given up.
        progress: seconds in which a board that is at a request, and says so, has to get something of it done.
        error_of: the exception for an answer that is an ERROR.
    """

    def __init__(
        self,
        byte_stream: ByteStream,
        timeout: float,
        progress: float = PROGRESS_SECONDS,
        error_of: Callable[[Answer, str], DeviceError] = error_of,
    ) -> None:
        self.byte_stream = byte_stream
        self._error_of = error_of
        self.connection = HostConnection(secrets.randbits(32))
        self.repeated = 0
        """Requests that were lost and sent again."""
        self.host_bytes = 0
        self.board_bytes = 0
        longest = encoded_size(OVERHEAD + self.connection.max_payload) + 1
        self._timeout = timeout + byte_stream.line_seconds(longest)
        self._progress = progress
        self._inbox: deque[Answer] = deque()
        self._fault: Answer | None = None
        self._waker: asyncio.Future[None] | None = None
        self._gone: str | None = None
        self._broken: DeviceError | None = None
        self._wait_times = WaitTimes()
        self._unanswered = UnansweredTraffic(self.connection)
        self._received_at = 0.0
        self._sent = 0.0
        self._ping_after = PING_SECONDS
        self._pings: dict[int, list[int]] = {}
        """Requests that were awaited when each was sent."""
        self._running, self._done, self._most_done = 0, 0, 0
        self._slow_logged = False
        self._loop = asyncio.get_running_loop()
        self._timer = RestartableTimer(self._wake)
        self.on_loss: Callable[[str], None] | None = None
        """Called at once when the peer is gone, whether or not anybody awaits an answer."""

    @property
    def uri(self) -> str:
        """The device's address."""
        return self.byte_stream.uri

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
        self._pings.clear()
        self._gone = self._broken = self._fault = None
        await self.byte_stream.open(self)
        self._write(self.connection.connect())

    async def disconnect(self) -> None:
        """Close the stream. From any state."""
        self.connection.disconnect()
        self._timer.stop()
        await self.byte_stream.close()

    def leave(self) -> None:
        """Send a board that does not answer any more to its safe state: it may still listen."""
        if self.connected:
            self._write(self.connection.farewell())

    async def ask(self, requests: Sequence[Request], *, evaluations: int = 0) -> list[bytes]:
        """Answers to requests, which are sent as fast as the board can hold them; lost ones are sent again.

        Args:
            requests: what is asked.
            evaluations: that they take: how far a board may say that it has come.

        Raises:
            Refused: the board must be brought up to date first.
            LinkTimeout, LinkLost, LinkCorrupt: the link failed, and is not in step any more.
            LimitExceeded, DeviceFault: what the board says of the request.
        """
        answers: list[bytes | None] = [None] * len(requests)
        todo = deque(range(len(requests)))
        pending: dict[int, int] = {}
        lost = 0
        self._begin(evaluations)
        try:
            while todo or pending:
                while todo and (not pending or len(pending) < self.connection.window):
                    index = todo.popleft()
                    pending[self._send(*requests[index])] = index
                answer = await self._next()
                if answer.sequence in pending:
                    index = pending.pop(answer.sequence)
                    if answer.trouble is not None:
                        raise self._error_of(answer, self.uri)
                    answers[index] = answer.payload
                    lost = 0
                    self._progressed()
                elif answer.type == Type.PING | ANSWER:
                    for sequence in self._lost(answer):
                        if sequence in pending:
                            self.repeated += 1
                            todo.appendleft(pending.pop(sequence))
                            lost += 1
                    if lost > ATTEMPTS:
                        raise self._timed_out("loses everything that it is sent")
        except BaseException:
            if pending:
                self.connection.poison()
            raise
        return [answer for answer in answers if answer is not None]

    async def stream(self, kind: Type, request: NextValues) -> None:
        """Ask for values; where some were lost, ask for the rest.

        Args:
            kind: INFER or PROBE.
            request: takes the values that answered the last request, none at first, and gives the payload of the next
                one and how many values it asks for; None when nothing is missing.

        Raises: as `ask`.
        """
        asked = await request(_NONE)
        lost = 0
        while asked is not None:
            payload, wanted = asked
            gathered = await self._values(kind, payload, wanted)
            if gathered.count:
                asked = await request(gathered.values())
            if not gathered.is_complete:
                self.repeated += 1
                # A board that sends the same few values again and again makes no progress.
                lost = 0 if asked is not None and asked[1] < wanted else lost + 1
                if lost > ATTEMPTS:
                    raise self._timed_out("loses everything that it is sent")

    async def _values(self, kind: Type, payload: bytes, wanted: int) -> Gathered:
        """The values that answer one request, up to the first that was lost."""
        self._begin(wanted)
        sequence = self._send(kind, payload)
        gathered = Gathered(wanted)
        try:
            while not (gathered.is_complete or gathered.has_gap):
                answer = await self._next()
                if answer.type == Type.PING | ANSWER:
                    if sequence in self._lost(answer):
                        break
                elif answer.sequence == sequence:
                    if answer.trouble is not None:
                        raise self._error_of(answer, self.uri)
                    if gathered.take(answer.payload):
                        self._progressed()
        except BaseException:
            self.connection.poison()
            raise
        finally:
            self.connection.give_up(sequence)
        return gathered

    # --- what the stream calls --------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes from the board."""
        self.board_bytes += len(data)
        self._received_at = self._loop.time()
        self._unanswered.add(data)
        try:
            for answer in self.connection.receive(data):
                if answer.type != Type.FAULT:
                    self._inbox.append(answer)
                elif self._fault is None:  # a storm of them says no more than the first
                    self._fault = answer
        except LinkCorrupt as error:
            self._broken = LinkCorrupt(str(error), uri=self.uri)
        if self._inbox or self._fault or self._broken:
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
        self.byte_stream.write(data)
        self._sent = max(self._loop.time(), self._sent) + self.byte_stream.line_seconds(len(data))
        self.host_bytes += len(data)

    def _begin(self, evaluations: int) -> None:
        """A request begins: the waiting times of earlier ones do not count."""
        self._most_done = evaluations
        self._running = self._done = 0
        self._ping_after = PING_SECONDS
        self._progressed()

    def _answered(self) -> None:
        self._wait_times.answered()
        self._unanswered.answered()

    def _progressed(self) -> None:
        self._wait_times.progressed()
        self._unanswered.answered()

    async def _next(self) -> Answer:
        """The next answer; sends PINGs meanwhile."""
        asked = self._sent
        while not self._inbox:
            self._check()
            began = self._loop.time()
            left = max(asked, self._received_at, self._sent) + self._ping_after - began
            if left <= 0:
                self._ping()
                continue
            self._waker = self._loop.create_future()
            self._timer.set(began + max(0.001, left))
            await self._waker
            # Time in which this program was too busy to listen is not the board's silence.
            heard_until = min(self._loop.time(), began + left + PING_SECONDS)
            self._wait_times.listened(max(0.0, heard_until - max(began, asked)))
        return self._inbox.popleft()

    def _check(self) -> None:
        """Raise what there is to raise before anything more is waited for."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            self.connection.poison()
            raise DeviceFault(f"the board reports a fault: {fault.text}", uri=self.uri)
        if self._broken is not None:
            self.connection.poison()
            raise self._broken
        if self._gone is not None:
            raise LinkLost(self._gone, uri=self.uri)
        waited = self._wait_times
        if waited.silent > self._timeout:
            raise self._timed_out(self._unanswered.describe(waited.silent))
        if waited.stuck > self._progress:
            raise self._timed_out(f"answers, but has got nothing done for {waited.stuck:.3g} s")

    def _ping(self) -> None:
        if len(self._pings) >= MOST_PINGS:
            oldest = next(iter(self._pings))
            del self._pings[oldest]
            self.connection.give_up(oldest)
        before = [sequence for sequence in self.connection.outstanding() if sequence not in self._pings]
        self._pings[self._send(Type.PING)] = before
        self._ping_after = min(2 * self._ping_after, max(PING_SECONDS, self._timeout / 4))

    def _lost(self, answer: Answer) -> list[int]:
        """Requests that were sent before a PING and are neither answered nor under way: the line keeps order."""
        before = self._pings.pop(answer.sequence, None)
        if before is None:
            return []
        pong = Pong.unpack(answer.payload)
        self._ping_after = PING_SECONDS
        self._answered()
        self._note_progress(pong.running, pong.done)
        lost = [sequence for sequence in before if sequence != pong.running]
        for sequence in lost:
            self.connection.give_up(sequence)
        return lost

    def _note_progress(self, running: int, done: int) -> None:
        """Note how far the board has come; log once that it is slow: it may have to compile what it serves.

        Args:
            running: the request that it is at; 0: none.
            done: how much of it.
        """
        if running != self._running:
            self._running, self._done = running, 0
        if self._done < done <= self._most_done:
            self._done = done
            self._progressed()
        elif running and not self._slow_logged and self._wait_times.stuck >= SLOW_SECONDS:
            self._slow_logged = True
            log.info("waiting for the device (a chip that is served may have to be compiled first)")

    def _timed_out(self, what: str) -> LinkTimeout:
        self.connection.poison()
        return LinkTimeout(f"{self.byte_stream.name} {what}; is the board running, and the line good?", uri=self.uri)


_NONE: NDArray[Any] = np.zeros(0, dtype=np.int64)
