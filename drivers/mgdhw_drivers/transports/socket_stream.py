"""A connected socket as a stream of bytes: the host's end of the transports that have one."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from mgdhw_drivers.client.byte_stream import ByteStream, Receiver

DRAIN_SECONDS = 1.0
READ_SIZE = 1 << 16
KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between the questions whether the peer is there, and how many may go unanswered."""
UNANSWERED_MILLISECONDS = 30_000
"""How long what was sent may go unacknowledged."""


def keep_alive(connection: socket.socket) -> None:
    """Have the system notice within half a minute that a TCP peer is gone, and send what is short at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*KEEP_ALIVE.items(), ("TCP_USER_TIMEOUT", UNANSWERED_MILLISECONDS)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class SocketProtocol(asyncio.BufferedProtocol):
    """Reads into one buffer: asyncio would take a quarter of a megabyte from the system for each read.

    Args:
        receiver: gets the bytes; may be replaced at any time.
        name: what people call the peer.
    """

    def __init__(self, receiver: Receiver, name: str) -> None:
        self.receiver: Receiver | None = receiver
        self._name = name
        self._buffer = bytearray(READ_SIZE)
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            keep_alive(connection)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.receiver is not None:
            self.receiver.received(bytes(self._buffer[:nbytes]))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        receiver, self.receiver = self.receiver, None
        if not self._closed.done():
            self._closed.set_result(None)
        if receiver is not None:
            why = f": {getattr(error, 'strerror', None) or error}" if error else ""
            receiver.gone(f"{self._name} has closed the connection{why}")

    def write(self, data: bytes) -> None:
        """Send bytes. Does nothing once the peer is gone."""
        if self._transport is not None:
            self._transport.write(data)

    async def close(self) -> None:
        """Disconnect, with everything sent that can be."""
        self.receiver = None
        if self._transport is None:
            return
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.shield(self._closed)
        if self._transport is not None:
            self._transport.abort()
            await self._closed


class SocketStream(ByteStream):
    """A stream of bytes over a connected socket, once `open` has made one."""

    _stream: SocketProtocol | None = None

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.write(data)

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
