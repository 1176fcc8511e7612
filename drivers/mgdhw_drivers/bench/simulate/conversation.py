"""One connection to a simulated instrument: its replies take time, and go wrong on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mgdhw_drivers.bench.simulate.faults import ReplyFault
from mgdhw_drivers.bench.simulate.instrument import Closed, SimulatedInstrument
from mgdhw_drivers.scpi import Interpreter

Send = Callable[[bytes], Awaitable[None]]


class Conversation:
    """One connection.

    A message has its effect when it comes; the instrument is then busy for `latency`, and answers.

    Args:
        instrument: at this end.
        latency: seconds for each message.
        send: sends bytes to the other end.
    """

    def __init__(self, instrument: SimulatedInstrument, latency: float, send: Send) -> None:
        self._instrument = instrument
        self._latency = latency
        self._send = send
        self._interpreter = Interpreter(instrument)

    async def receive(self, data: bytes) -> None:
        """Execute what was received.

        Raises:
            Closed: the connection is to be closed.
            PowerCycled: the instrument is to be switched off and on.
        """
        before = self._instrument.messages
        answered = 0
        async for reply in self._interpreter.replies(data):
            answered += 1
            await self._busy(1)
            await self._answer(reply)
        if self._interpreter.hang_up:
            raise Closed
        await self._busy(self._instrument.messages - before - answered)

    async def _busy(self, messages: int) -> None:
        if self._latency and messages > 0:
            await asyncio.sleep(self._latency * messages)

    async def _answer(self, reply: bytes) -> None:
        faults = self._instrument.faults
        fault = faults.reply()
        if fault is ReplyFault.LATE:
            await asyncio.sleep(faults.faults.delay)
        elif fault is ReplyFault.GARBAGE:
            reply = faults.garbage(len(reply))
        elif fault is ReplyFault.HALF:
            reply = reply[: len(reply) // 2]
        await self._send(reply)
