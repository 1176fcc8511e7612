"""Connections from hosts: who may come in, and one of them at a time."""

from __future__ import annotations

import asyncio
import logging
import socket

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.client.stream import READ_SIZE, keep_alive
from mgdhw_drivers.protocol.greeting import BUSY, BoardGreeting
from mgdhw_drivers.server.endpoint import Station
from mgdhw_drivers.server.listeners.listener import Listener

log = logging.getLogger("mgdhw.serve")

GREETING_SECONDS = 5.0
"""How long a host may take for its answer to the greeting."""
MOST_GREETINGS = 16
"""Connections that are being greeted at most; one more, and the oldest is ended."""
TELLING_SECONDS = 1.0
"""Connections that were turned away are told of no more often."""


class VisitedListener(Listener):
    """Lets hosts in over connections. Those that are still being greeted keep nobody out.

    Args:
        station: what they are let in to.
    """

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self.visitor: Visitor | None = None
        """Whoever is in."""
        self.secret: bytes | None = None
        """What has to be known; None: nothing."""
        self._greeted: list[Visitor] = []
        self._turned_away = 0
        self._told = 0.0

    async def turn_out(self) -> None:
        """End all connections."""
        for visitor in [*self._greeted, *([self.visitor] if self.visitor else [])]:
            visitor.pull()
        await asyncio.sleep(0)

    def greets(self, visitor: Visitor) -> None:
        """A connection is being greeted."""
        self._greeted.append(visitor)
        if len(self._greeted) > MOST_GREETINGS:
            self._greeted[0].turn_away("too many others have come before it has answered the greeting")

    def has_greeted(self, visitor: Visitor) -> None:
        """It is not any more."""
        if visitor in self._greeted:
            self._greeted.remove(visitor)

    def tell(self, why: str) -> None:
        """A connection was turned away. An intruder who tries without end shall not fill the log."""
        self._turned_away += 1
        now = asyncio.get_running_loop().time()
        if now - self._told >= TELLING_SECONDS:
            self._told = now
            log.warning("a connection was ended: %s (%d so far)", why, self._turned_away)


class Visitor(asyncio.BufferedProtocol):
    """One connection. Reads into one buffer: asyncio would take a quarter of a megabyte from the system for each read.

    Args:
        listener: at which it has come.
    """

    def __init__(self, listener: VisitedListener) -> None:
        self._listener = listener
        self._buffer = bytearray(READ_SIZE)
        self._transport: asyncio.Transport | None = None
        self._greeting: BoardGreeting | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._inside = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection.family == socket.AF_INET:
            keep_alive(connection)
        if self._is_unplugged():
            transport.abort()
        elif self._listener.secret is None:
            self._come_in()
        else:
            self._greeting = BoardGreeting(self._listener.secret)
            self._timer = asyncio.get_running_loop().call_later(
                GREETING_SECONDS, self.turn_away, "it has not answered the greeting in time"
            )
            transport.write(self._greeting.hello)
            self._listener.greets(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._inside:
            self._listener.station.received(data)
        elif self._greeting is not None:
            self._hear(self._greeting, data)

    def pause_writing(self) -> None:
        """The host doesn't read what it is sent: nothing more of what it asks is looked at, or measured."""
        if self._transport is not None:
            if self._inside:
                self._listener.station.pause()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._inside:
                self._listener.station.resume()
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._end_greeting()
        if self._inside:
            self._inside = False
            self._listener.visitor = None
            self._listener.station.disconnected()

    def write(self, data: bytes) -> None:
        """Bytes to the host; none to one that has gone, which asyncio would only log."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pull(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def turn_away(self, why: str) -> None:
        """End a connection that was not let in."""
        self._end_greeting()
        self._listener.tell(why)
        self.pull()

    def _hear(self, greeting: BoardGreeting, data: bytes) -> None:
        try:
            answer = greeting.receive(data)
        except LinkCorrupt as error:
            self.turn_away(str(error))
            return
        if answer is not None and self._transport is not None:
            self._end_greeting()
            self._come_in(answer)

    def _end_greeting(self) -> None:
        self._greeting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._listener.has_greeted(self)

    def _come_in(self, answer: bytes = b"") -> None:
        assert self._transport is not None, "connected"
        station = self._listener.station
        if self._is_unplugged():
            self._transport.abort()
        elif station.occupied:
            if answer:
                self._transport.write(BUSY)
            self._transport.close()
        else:
            self._transport.write(answer)
            self._inside = True
            self._listener.visitor = self
            station.connected(self.write, self.pull, hangs_up=True)

    def _is_unplugged(self) -> bool:
        return self._listener.station.away > asyncio.get_running_loop().time()
