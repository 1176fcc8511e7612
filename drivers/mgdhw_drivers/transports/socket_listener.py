"""Listeners at sockets: which connections are accepted, and one host at a time."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.greeting import BUSY, BoardGreeting
from mgdhw_drivers.server.listener import HostEnd, Listener
from mgdhw_drivers.transports.socket_stream import READ_SIZE, keep_alive

if TYPE_CHECKING:
    pass

log = logging.getLogger("mgdhw.serve")

HANDSHAKE_SECONDS = 5.0
"""How long a host may take for its answer to the greeting."""
MOST_HANDSHAKES = 16
"""Connections whose handshake is under way, at most; with one more the oldest is ended."""
WARNING_SECONDS = 1.0
"""Least time between two warnings about refused connections."""


class SocketListener(Listener):
    """Accepts connections. Those whose handshake is under way keep no other host out.

    Args:
        endpoint: the board that they are connected to.
    """

    def __init__(self, endpoint: HostEnd) -> None:
        super().__init__(endpoint)
        self.accepted: IncomingConnection | None = None
        """The connection of the host that has the board."""
        self.secret: bytes | None = None
        """What a host has to know; None: nothing."""
        self._handshake: list[IncomingConnection] = []
        self._refused = 0
        self._warned = 0.0

    async def close_all(self) -> None:
        """End all connections."""
        for connection in [*self._handshake, *([self.accepted] if self.accepted else [])]:
            connection.abort()
        await asyncio.sleep(0)

    def handshake_begun(self, connection: IncomingConnection) -> None:
        """The handshake with a connection begins."""
        self._handshake.append(connection)
        if len(self._handshake) > MOST_HANDSHAKES:
            self._handshake[0].refuse("too many others have come before it has answered the greeting")

    def handshake_ended(self, connection: IncomingConnection) -> None:
        """It is not any more."""
        if connection in self._handshake:
            self._handshake.remove(connection)

    def log_refusal(self, why: str) -> None:
        """A connection was refused. An intruder who tries without end shall not fill the log."""
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._warned >= WARNING_SECONDS:
            self._warned = now
            log.warning("a connection was ended: %s (%d so far)", why, self._refused)


class IncomingConnection(asyncio.BufferedProtocol):
    """One connection. Reads into one buffer: asyncio would take a quarter of a megabyte from the system for each read.

    Args:
        listener: which has accepted it.
    """

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener
        self._buffer = bytearray(READ_SIZE)
        self._transport: asyncio.Transport | None = None
        self._handshake: BoardGreeting | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_board = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection.family == socket.AF_INET:
            keep_alive(connection)
        if self._is_unplugged():
            transport.abort()
        elif self._listener.secret is None:
            self._connect()
        else:
            self._handshake = BoardGreeting(self._listener.secret)
            self._timer = asyncio.get_running_loop().call_later(
                HANDSHAKE_SECONDS, self.refuse, "it has not answered the greeting in time"
            )
            transport.write(self._handshake.hello)
            self._listener.handshake_begun(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._has_board:
            self._listener.endpoint.received(data)
        elif self._handshake is not None:
            self._receive_handshake(self._handshake, data)

    def pause_writing(self) -> None:
        """The host doesn't read what it is sent: nothing more of what it asks is read, or measured."""
        if self._transport is not None:
            if self._has_board:
                self._listener.endpoint.pause()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._has_board:
                self._listener.endpoint.resume()
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._end_handshake()
        if self._has_board:
            self._has_board = False
            self._listener.accepted = None
            self._listener.endpoint.disconnected()

    def write(self, data: bytes) -> None:
        """Bytes to the host; none to one that has gone, which asyncio would only log."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, why: str) -> None:
        """End a connection that has not got the board."""
        self._end_handshake()
        self._listener.log_refusal(why)
        self.abort()

    def _receive_handshake(self, greeting: BoardGreeting, data: bytes) -> None:
        try:
            answer = greeting.receive(data)
        except LinkCorrupt as error:
            self.refuse(str(error))
            return
        if answer is not None and self._transport is not None:
            self._end_handshake()
            self._connect(answer)

    def _end_handshake(self) -> None:
        self._handshake = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._listener.handshake_ended(self)

    def _connect(self, answer: bytes = b"") -> None:
        assert self._transport is not None, "connected"
        endpoint = self._listener.endpoint
        if self._is_unplugged():
            self._transport.abort()
        elif endpoint.occupied:
            if answer:
                self._transport.write(BUSY)
            self._transport.close()
        else:
            self._transport.write(answer)
            self._has_board = True
            self._listener.accepted = self
            endpoint.connected(self.write, self.abort, hangs_up=True)

    def _is_unplugged(self) -> bool:
        return self._listener.endpoint.away > asyncio.get_running_loop().time()
