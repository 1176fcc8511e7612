"""An open serial port of this machine, as a stream of bytes.

Bytes are read as many at a time as there are: a read for each byte costs forty times as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shlex
import stat
import threading
from typing import Any

from mgdhw.errors import DeviceAbsent, DeviceUnavailable
from mgdhw_drivers.client.byte_stream import Receiver

READ_SIZE = 1 << 16
ABSENT = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO)
"""What the system says of a port that is not there (yet), or whose other end is gone."""
DENIED = (errno.EACCES, errno.EPERM)
"""What it says of one that this user may not open."""
BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
"""What it says of one that another program has."""
DRAIN_SECONDS = 0.5
"""How long closing waits for a line to take what was written."""
POLL_SECONDS = 0.05
"""How long a reading thread waits for bytes, where ports cannot be watched by the event loop (Windows)."""


def open_port(uri: str, port: str, baud: int) -> Any:
    """A serial port of our own (pyserial's). Raises DeviceUnavailable."""
    import serial

    try:
        return serial.Serial(port, baud, timeout=POLL_SECONDS, write_timeout=1.0, exclusive=True)
    except (serial.SerialException, OSError, ValueError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        kind = DeviceAbsent if number in ABSENT else DeviceUnavailable
        raise kind(f"cannot open port {port}: {reason}; {_remedy(port, number)}", uri=uri) from None


def _remedy(port: str, number: int | None) -> str:
    """What to do about a port that cannot be opened."""
    if number in DENIED and os.name == "posix":
        return _how_to_get_permission(port)
    if number is None and os.name == "posix" and not _is_terminal(port):
        return "that is no serial port; `mgdhw devices` lists the ports of boards"
    if number in BUSY:
        return "another program uses it: close that (a serial monitor, another training, a modem manager)"
    if number in ABSENT:
        return "is it plugged in? `mgdhw devices` lists the ports of boards"
    return "is it plugged in, and does no other program use it?"


def _is_terminal(port: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(port).st_mode)  # noqa: PTH116  (follows links, as opening does)
    except (OSError, ValueError):
        return True  # who knows


def _how_to_get_permission(port: str) -> str:
    """How to get the permission for a port of a group, as those of Linux are: of dialout, mostly."""
    import grp

    try:
        found = os.stat(port)  # noqa: PTH116  (follows links, as opening does)
        group = grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        return "you may not use it"
    if not found.st_mode & stat.S_IRGRP or found.st_gid == 0 or found.st_gid in (os.getegid(), *os.getgroups()):
        return f"you may not use it; `ls -l {shlex.quote(port)}` says who may"
    return (
        f"it is for the group {group}, and you are not in it: `sudo usermod -aG {group} $USER`, log out and in again"
        f" (or for now: `sudo chmod a+rw {shlex.quote(port)}`)"
    )


def watch_port(uri: str, port: str, baud: int, receiver: Receiver) -> OpenPort:
    """A port of our own, whose bytes the receiver gets from now on. Raises DeviceUnavailable."""
    opened = open_port(uri, port, baud)
    kind = _WatchedPort if hasattr(opened, "fileno") and os.name == "posix" else _ThreadedPort
    return kind(opened, port, receiver)


class OpenPort:
    """An open port."""

    def __init__(self, port: Any, name: str, receiver: Receiver) -> None:
        self._port = port
        self._name = name
        self._receiver: Receiver | None = receiver
        self._loop = asyncio.get_running_loop()

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet."""
        return 0

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def _lost(self, error: Exception | None) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            receiver.gone(f"port {self._name} is gone{why}; plug it in again and it goes on")


class _WatchedPort(OpenPort):
    """Watched by the event loop (Linux, macOS)."""

    def __init__(self, port: Any, name: str, receiver: Receiver) -> None:
        super().__init__(port, name, receiver)
        self._fd: int = port.fileno()
        self._unsent = bytearray()
        self._drained: asyncio.Future[None] | None = None
        os.set_blocking(self._fd, False)
        self._open = True
        self._loop.add_reader(self._fd, self._readable)

    @property
    def unsent(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        if not self._open:
            return
        if not self._unsent:
            data = data[self._send(data) :]
            if not data or not self._open:
                return
            self._loop.add_writer(self._fd, self._writable)
        self._unsent += data

    async def close(self) -> None:
        self._receiver = None
        if self._open and self._unsent:
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=DRAIN_SECONDS)
        if self._open and self._unsent:
            import termios

            with contextlib.suppress(OSError, termios.error):
                self._port.reset_output_buffer()  # else closing would wait for a line that takes nothing
        self._stop()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._stop()
            self._lost(error)
            return
        if not data:
            self._stop()
            self._lost(None)
        elif self._receiver is not None:
            self._receiver.received(data)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._stop()
            self._loop.call_soon(self._lost, error)  # not from within a request
            return 0

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._open and not self._unsent:
            self._loop.remove_writer(self._fd)
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)

    def _stop(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._unsent.clear()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._port.close()


class _ThreadedPort(OpenPort):
    """Read by a thread (Windows, where the event loop cannot watch a port)."""

    def __init__(self, port: Any, name: str, receiver: Receiver) -> None:
        super().__init__(port, name, receiver)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"mgdhw {name}", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            self._loop.call_soon(self._lost, error)

    async def close(self) -> None:
        self._receiver = None
        self._ending.set()
        await asyncio.to_thread(self._thread.join)
        self._port.close()

    def _read(self) -> None:
        while not self._ending.is_set():
            try:
                data = self._port.read(1)
                if data and self._port.in_waiting:
                    data += self._port.read(self._port.in_waiting)
            except (OSError, TypeError) as error:
                lost = error if isinstance(error, OSError) else None
                self._loop.call_soon_threadsafe(self._lost, lost)
                return
            if data:
                self._loop.call_soon_threadsafe(self._received, data)

    def _received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.received(data)
