"""Sockets and serial ports of pyvisa-py, whose bytes are moved here.

pyvisa-py reads a serial line one byte per system call (3.6 ms for 762 bytes; all that is there at once: 0.1 ms), does
not notice that a socket was closed but turns in a loop until the time is over, and writes to a socket without any
timeout. pyvisa does everything else: finding, opening and setting up.
"""

from __future__ import annotations

import os
import select
import socket
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mgdhw_drivers.visa.backend import low_level_session
from mgdhw_drivers.visa.owner_thread import Interrupted
from mgdhw_drivers.visa.session import CHUNK, Answer, Session, Take
from mgdhw_drivers.visa.settings import ResourceSettings

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

SLICE_SECONDS = 0.1
"""How often a waiting thread looks whether somebody still waits for it."""


class StreamSession(Session):
    """A socket or serial port of pyvisa-py, whose bytes are moved here."""

    def __init__(
        self, resource: MessageBasedResource, settings: ResourceSettings, interrupted: Callable[[], bool]
    ) -> None:
        super().__init__(settings, interrupted)
        self._resource = resource

    def close(self) -> None:
        self._resource.close()

    @abstractmethod
    def _receive(self, seconds: float) -> bytes:
        """What has arrived; b"" if nothing does for so long."""

    @abstractmethod
    def fileno(self) -> int:
        """What the event loop watches; -1: it cannot."""

    @abstractmethod
    def send_at_once(self, data: bytes) -> int:
        """Send what can be sent without waiting; how much that is. Raises OSError."""

    def arrives_within(self, seconds: float) -> bool:
        """Wait until something arrives; whether it has. For `fileno` >= 0."""
        poll = select.poll()  # where there are descriptors; `select` takes none above 1023
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(1e3 * seconds))

    def take_arrived(self, take: Take[Answer]) -> Answer:
        """The next answer, when something has arrived. Raises Incomplete, and as `read`."""
        data = self._receive(0.0)
        if not data:
            raise ConnectionResetError("it is ready to be read, and has nothing")
        self._buffer += data
        return take(self._buffer, self._end, False)

    def has_hung_up(self) -> bool:
        """Whether the other end is gone, as far as that can be seen without waiting. What has arrived is kept."""
        try:
            self._buffer += self._receive(0.0)
        except OSError:
            return True
        return False

    def silent(self) -> str:
        """What to say of an instrument that does not go on."""
        return _silent(self.timeout, self._buffer)

    def _fill(self, wanted: int | None) -> bool:
        deadline = time.monotonic() + self.timeout
        while True:
            left = deadline - time.monotonic()
            data = self._receive(max(0.0, min(left, SLICE_SECONDS)))
            if data:
                self._buffer += data
                return False
            if self._interrupted():
                raise Interrupted
            if left <= 0:
                raise TimeoutError(self.silent())

    def is_quiet(self, seconds: float) -> bool:
        time.sleep(seconds)
        self._buffer += self._receive(0.0)
        return not self._buffer.strip()

    def take_stray(self) -> bytes:
        self._buffer += self._receive(0.0)
        return super().take_stray()


class SocketSession(StreamSession):
    """A socket of pyvisa-py."""

    def __init__(
        self, resource: MessageBasedResource, settings: ResourceSettings, interrupted: Callable[[], bool]
    ) -> None:
        super().__init__(resource, settings, interrupted)
        self._socket: socket.socket = low_level_session(resource).interface
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:  # pyvisa-py takes a refused connection for an open one
            resource.close()
            raise OSError(error, os.strerror(error))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        deadline = 0.0
        while rest:
            try:
                sent = self._socket.send(rest)
            except BlockingIOError:
                sent = 0
            rest = rest[sent:]
            if not rest:
                return
            now = time.monotonic()
            if sent or not deadline:
                deadline = now + self.timeout
            self.write_interrupted = True
            if now >= deadline:
                raise TimeoutError(f"has taken nothing of a message for {self.timeout:g} s")
            select.select([], [self._socket], [], min(SLICE_SECONDS, deadline - now))
        self.write_interrupted = False

    def fileno(self) -> int:
        return self._socket.fileno() if os.name == "posix" else -1

    def send_at_once(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _receive(self, seconds: float) -> bytes:
        if seconds:
            ready, _, _ = select.select([self._socket], [], [], seconds)
            if not ready:
                return b""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("it has closed the connection")
        return data


class SerialSession(StreamSession):
    """A serial port of pyvisa-py."""

    def __init__(
        self, resource: MessageBasedResource, settings: ResourceSettings, interrupted: Callable[[], bool]
    ) -> None:
        super().__init__(resource, settings, interrupted)
        self._port: Any = low_level_session(resource).interface
        if settings.baud_rate is not None:
            self._port.baudrate = settings.baud_rate
        self._port.exclusive = True
        self._port.timeout = SLICE_SECONDS
        self._port.write_timeout = settings.timeout

    def write(self, data: bytes) -> None:
        import serial

        self.write_interrupted = True
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise TimeoutError(f"has not taken a message in {self.timeout:g} s") from None
        self.write_interrupted = False

    def fileno(self) -> int:
        number: int = self._port.fileno() if os.name == "posix" else -1
        return number

    def send_at_once(self, data: bytes) -> int:
        try:
            return os.write(self.fileno(), data)  # pyserial has opened it not to block
        except BlockingIOError:
            return 0

    def _receive(self, seconds: float) -> bytes:
        port = self._port
        if not seconds:
            waiting: int = port.in_waiting
            return bytes(port.read(waiting)) if waiting else b""
        data = bytes(port.read(1))
        waiting = port.in_waiting
        return data + bytes(port.read(waiting)) if data and waiting else data


def _silent(seconds: float, heard: bytearray) -> str:
    """What to say of an instrument that does not go on."""
    if not heard:
        return f"has not answered for {seconds:g} s"
    return f"has stopped in the middle of an answer, {len(heard)} bytes of it, for {seconds:g} s"
