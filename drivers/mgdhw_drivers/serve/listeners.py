"""Where hosts come in: a TCP port of this machine, a pseudo-terminal, a serial port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import termios
import tty
from abc import ABC, abstractmethod
from pathlib import Path

from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.linked.serial import SerialTransport
from mgdhw_drivers.serve.station import Station

LOOPBACK = "127.0.0.1"
"""The link has no credentials, so it is served to this machine alone; from another one, through a tunnel of ssh's."""
READ_SIZE = 1 << 16
HIGH_WATER = 1 << 16
"""Bytes that a host has not read yet above which nothing more of what it says is looked at."""
DRAIN_SECONDS = 0.01
"""How often a serial port looks whether what was sent has gone out."""
LOOK_SECONDS = 0.02
"""How often a pseudo-terminal looks whether somebody has opened it."""


class Listener(ABC):
    """Lets one host at a time in.

    Args:
        station: what it is let in to.
    """

    def __init__(self, station: Station) -> None:
        self.station = station

    @property
    @abstractmethod
    def address(self) -> str:
        """The address to train."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable."""

    @abstractmethod
    async def stop(self) -> None:
        """No longer."""


class TcpListener(Listener):
    """A TCP port of this machine.

    Args:
        station: what hosts are let in to.
        port: its number; 0: any that is free.
    """

    def __init__(self, station: Station, port: int) -> None:
        super().__init__(station)
        self.port = port
        self._server: asyncio.Server | None = None
        self.visitor: _Visitor | None = None

    @property
    def address(self) -> str:
        return f"tcp:{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Visitor(self), LOOPBACK, self.port)
        except OSError as error:
            raise DeviceUnavailable(
                f"cannot listen on port {self.port}: {error.strerror or error}; try --tcp 0", uri=self.address
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self.visitor is not None:
            self.visitor.pull()
            await asyncio.sleep(0)


class _Visitor(asyncio.BufferedProtocol):
    """Reads into one buffer: asyncio would take a quarter of a megabyte from the system for each read."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._buffer = bytearray(READ_SIZE)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        station = self._listener.station
        if station.occupied or station.away > asyncio.get_running_loop().time():
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._listener.visitor = self
        station.connected(transport.write, self.pull)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._transport is not None:
            self._listener.station.received(bytes(self._buffer[:nbytes]))

    def pause_writing(self) -> None:
        """The host doesn't read what it is sent: nothing more of what it asks is looked at, or measured."""
        if self._transport is not None:
            self._listener.station.pause()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._listener.station.resume()
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._listener.visitor = None
            self._listener.station.disconnected()

    def pull(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


class PtyListener(Listener):
    """A pseudo-terminal: to a host it is a serial port. It vanishes while the board is unplugged.

    Args:
        station: what hosts are let in to.
        link: a symbolic link to it, whose name stays the same.
    """

    def __init__(self, station: Station, link: Path | None) -> None:
        super().__init__(station)
        self._link = link
        self._master = -1
        self._name = ""
        self._reading = False
        self._deaf = False
        """Whether nothing is read because the host reads nothing."""
        self._unsent = bytearray()
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"serial:{self._link or self._name}"

    async def start(self) -> None:
        if not hasattr(os, "openpty"):
            raise DeviceUnavailable("this system has no pseudo-terminals; use --tcp", uri="pty")
        self._appear()
        self._task = asyncio.create_task(self._look(), name="pseudo-terminal")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._vanish()

    def _appear(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)  # so that a host's leaving is noticed
        os.set_blocking(self._master, False)
        if self._link is not None:
            self._link_to(self._link)

    def _vanish(self) -> None:
        self._leave()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        if self._link is not None and self._link.is_symlink():
            self._link.unlink(missing_ok=True)

    def _link_to(self, link: Path) -> None:
        """Make the link, in the place of an earlier one. Nothing else is replaced: it may be somebody's file."""
        if link.exists() and not link.is_symlink():
            raise ConfigError(f"--link {link}: is there already, and no link; choose another name")
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(self._name)
        except OSError as error:
            raise ConfigError(f"--link {link}: cannot be made: {error.strerror or error}") from None

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._master < 0:
                if self.station.away <= loop.time():
                    self._appear()
            elif self._reading and self._deaf and self._is_hung_up():
                self._leave()
            elif not self._reading and not self._is_hung_up():
                self._reading = True
                loop.add_reader(self._master, self._readable)
                self.station.connected(self._write, self._vanish)

    def _is_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def _readable(self) -> None:
        try:
            data = os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.station.received(data)
        else:
            self._leave()

    def _write(self, data: bytes) -> None:
        if self._master < 0 or not self._reading:
            return
        if not self._unsent:
            data = data[self._send(data) :]
            if not data:
                return
            asyncio.get_running_loop().add_writer(self._master, self._writable)
            self.station.pause()
        self._unsent += data
        if len(self._unsent) > HIGH_WATER and not self._deaf:
            self._deaf = True
            asyncio.get_running_loop().remove_reader(self._master)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # nobody is there to read it

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._unsent:
            return
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._master)
        if self._deaf:
            self._deaf = False
            loop.add_reader(self._master, self._readable)
        self.station.resume()

    def _leave(self) -> None:
        if self._reading:
            self._reading = self._deaf = False
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
            self._unsent.clear()
            self._drop_unread()
            self.station.disconnected()

    def _drop_unread(self) -> None:
        """What the system still keeps for the host that has left would reach the next one, or block the way to it."""
        with contextlib.suppress(OSError, termios.error):
            slave = os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)


class SerialListener(Listener):
    """A serial port, to which a host is wired.

    Args:
        station: what hosts are let in to.
        port: its name.
        baud: speed of the line.
    """

    def __init__(self, station: Station, port: str, baud: int) -> None:
        super().__init__(station)
        self._port = port
        self._transport = SerialTransport(f"serial:{port}", port, baud, slow=False)
        self._draining: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        return f"serial:{self._port}"

    async def start(self) -> None:
        await self._transport.open(self)
        self.station.connected(self._write, lambda: None)

    async def stop(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        await self._transport.close()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._draining is None and self._transport.unsent:
            self.station.pause()
            self._drained()

    def _drained(self) -> None:
        """Go on once what was sent has gone out."""
        self._draining = None
        if self._transport.unsent:
            self._draining = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._drained)
        else:
            self.station.resume()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        self.station.received(data)

    def gone(self, why: str) -> None:
        """The port is gone."""
        with contextlib.suppress(RuntimeError):
            self.station.disconnected()
