"""Pseudo-terminals of this machine, which hosts open as serial ports: `mgdhw serve … --listen pty:LINK`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
import tty
from pathlib import Path
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.server.listener import HostEnd, Listener
from mgdhw_drivers.transports.transport import Transport

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint

READ_SIZE = 1 << 16
HIGH_WATER = 1 << 16
"""Bytes that a host has not read yet above which nothing more is read from it."""
POLL_SECONDS = 0.02
"""How often it is checked whether a host has opened the pseudo-terminal."""


class PtyListener(Listener):
    """A pseudo-terminal: to a host it is a serial port. It vanishes while the board is unplugged.

    Args:
        endpoint: the board that hosts are connected to.
        link: a symbolic link to it, whose name stays the same.
    """

    def __init__(self, endpoint: HostEnd, link: Path | None) -> None:
        super().__init__(endpoint)
        self._link = link
        self._master = -1
        self._name = ""
        self._reading = False
        self._reading_paused = False
        """Whether nothing is read because the host reads nothing."""
        self._unsent = bytearray()
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"serial:{self._link or self._name}"

    async def start(self) -> None:
        if not hasattr(os, "openpty"):
            raise DeviceUnavailable("this system has no pseudo-terminals; use tcp:PORT", uri="pty")
        self._create()
        self._task = asyncio.create_task(self._watch(), name="pseudo-terminal")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._destroy()

    def _create(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)  # so that a host's leaving is noticed
        os.set_blocking(self._master, False)
        if self._link is not None:
            self._link_to(self._link)

    def _destroy(self) -> None:
        self._host_left()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        if self._link is not None and self._link.is_symlink():
            self._link.unlink(missing_ok=True)

    def _link_to(self, link: Path) -> None:
        """Make the link, in the place of an earlier one. Nothing else is replaced: it may be the user's file."""
        if link.exists() and not link.is_symlink():
            raise ConfigError(f"pty:{link}: is there already, and no link; choose another name")
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(self._name)
        except OSError as error:
            raise ConfigError(f"pty:{link}: cannot be made: {error.strerror or error}") from None

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._master < 0:
                if self.endpoint.away <= loop.time():
                    self._create()
            elif self._reading and self._reading_paused and self._is_hung_up():
                self._host_left()
            elif not self._reading and not self._is_hung_up():
                self._reading = True
                loop.add_reader(self._master, self._readable)
                self.endpoint.connected(self._write, self._destroy)

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
            self.endpoint.received(data)
        else:
            self._host_left()

    def _write(self, data: bytes) -> None:
        if self._master < 0 or not self._reading:
            return
        if not self._unsent:
            data = data[self._send(data) :]
            if not data:
                return
            asyncio.get_running_loop().add_writer(self._master, self._writable)
            self.endpoint.pause()
        self._unsent += data
        if len(self._unsent) > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            asyncio.get_running_loop().remove_reader(self._master)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # no host reads it

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._unsent:
            return
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._master)
        if self._reading_paused:
            self._reading_paused = False
            loop.add_reader(self._master, self._readable)
        self.endpoint.resume()

    def _host_left(self) -> None:
        if self._reading:
            self._reading = self._reading_paused = False
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
            self._unsent.clear()
            self._drop_unread()
            self.endpoint.disconnected()

    def _drop_unread(self) -> None:
        """What the system still keeps for the host that has left would reach the next one, or block the way to it."""
        with contextlib.suppress(OSError, termios.error):
            slave = os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)


def _listen(endpoint: Endpoint, place: str, options: LinkOptions) -> PtyListener:
    return PtyListener(endpoint, Path(place) if place else None)


PTY = Transport(
    scheme="pty",
    about="a pseudo-terminal is a serial port to hosts: connect to serial:NAME",
    options=LinkOptions,
    listen_place="[LINK]",
    listen=_listen,
    listen_about="a pseudo-terminal, which is a serial port to hosts, and a link to it, whose name stays",
)
