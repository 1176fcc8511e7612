"""Links over TCP: `tcp:HOST:PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.linked.transport import Receiver, Transport

CONNECT_SECONDS = 5.0
DRAIN_SECONDS = 1.0
READ_SIZE = 1 << 16


class TcpTransport(Transport):
    """A TCP connection, without Nagle's delay.

    Args:
        uri: the device's address, for errors.
        host, port: where.
    """

    def __init__(self, uri: str, host: str, port: int) -> None:
        super().__init__(uri, f"{host} port {port}")
        self._host, self._port = host, port
        self._stream: _Stream | None = None

    async def open(self, receiver: Receiver) -> None:
        await self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, stream = await loop.create_connection(lambda: _Stream(receiver, self.name), self._host, self._port)
        except TimeoutError:
            raise DeviceUnavailable(
                f"{self.name} does not answer; is it on, and reachable from here?", uri=self.uri
            ) from None
        except OSError as error:
            raise DeviceUnavailable(
                f"cannot connect to {self.name}: {error.strerror or error}; is the board (or `mgdhw serve`) running?",
                uri=self.uri,
            ) from None
        self._stream = stream

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.write(data)

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()


class _Stream(asyncio.BufferedProtocol):
    """Reads into one buffer: asyncio would take a quarter of a megabyte from the system for each read."""

    def __init__(self, receiver: Receiver, name: str) -> None:
        self._receiver: Receiver | None = receiver
        self._name = name
        self._buffer = bytearray(READ_SIZE)
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._receiver is not None:
            self._receiver.received(bytes(self._buffer[:nbytes]))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        receiver, self._receiver = self._receiver, None
        if not self._closed.done():
            self._closed.set_result(None)
        if receiver is not None:
            why = f": {getattr(error, 'strerror', None) or error}" if error else ""
            receiver.gone(f"{self._name} has closed the connection{why}")

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def close(self) -> None:
        self._receiver = None
        if self._transport is None:
            return
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.shield(self._closed)
        if self._transport is not None:
            self._transport.abort()
            await self._closed
