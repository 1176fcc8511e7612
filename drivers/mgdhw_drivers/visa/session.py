"""An open resource of pyvisa as bytes, in whole messages. Everything here blocks, and belongs to one thread.

pyvisa-py reads a serial line one byte per system call (3.6 ms for 762 bytes; all that is there at once: 0.1 ms), does
not notice that a socket was closed but turns in a loop until the time is over, and writes to a socket without any
timeout. So the bytes of its sockets and serial ports are moved here, with pyvisa for everything else: finding, opening
and setting up. All others (USBTMC, VXI-11, HiSLIP, GPIB, libraries of instrument makers, pyvisa-sim) are read by
pyvisa.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from mgdhw_drivers.visa.backend import low_level_session, open_resource, opening
from mgdhw_drivers.visa.framing import Incomplete
from mgdhw_drivers.visa.owner_thread import Interrupted
from mgdhw_drivers.visa.settings import ResourceSettings

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

Answer = TypeVar("Answer")
Take = Callable[[bytearray, bytes, bool], Answer]
"""Takes an answer from what has arrived: see `framing`."""

CHUNK = 1 << 16
"""Bytes read at once, at most."""
SLICE_SECONDS = 0.1
"""How often a waiting thread looks whether somebody still waits for it."""


class Session(ABC):
    """A connection to an instrument.

    Args:
        settings: timeout and terminations.
        interrupted: whether nobody waits any more for what is awaited.
    """

    is_stream = True
    """Whether what was sent before can still arrive, even after a device clear."""

    def __init__(self, settings: ResourceSettings, interrupted: Callable[[], bool]) -> None:
        self.timeout = settings.timeout
        self.write_interrupted = False
        """Whether the instrument may have got only a part of a message."""
        self._end = settings.read_termination.encode()
        self._interrupted = interrupted
        self._buffer = bytearray()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send a whole message. Raises TimeoutError, OSError, VisaIOError."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _fill(self, wanted: int | None) -> bool:
        """Append at least one byte to the buffer; whether the instrument says that its message ends there.

        Args:
            wanted: bytes that are missing; None: a message of unknown length.

        Raises:
            TimeoutError, OSError, VisaIOError, Interrupted.
        """

    def clear(self) -> None:
        """Drop what has arrived, and clear the instrument's buffers where that is possible."""
        self._buffer.clear()

    @abstractmethod
    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing arrives for so long; what does is kept, and is read next."""

    def take_stray(self) -> bytes:
        """What has arrived without being asked for, as far as that can be seen without waiting."""
        stray = bytes(self._buffer)
        self._buffer.clear()
        return stray

    def read(self, take: Take[Answer]) -> Answer:
        """The next answer.

        Args:
            take: one of `framing`.

        Raises:
            TimeoutError, OSError, VisaIOError, Interrupted: the connection.
            ValueError, OverflowError: it is no such answer.
        """
        ended = False
        while True:
            try:
                return take(self._buffer, self._end, ended)
            except Incomplete as incomplete:
                if ended:
                    raise ValueError from None
                ended = self._fill(incomplete.wanted)


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


class MessageSession(Session):
    """Any resource, by pyvisa alone."""

    def __init__(
        self, resource: MessageBasedResource, settings: ResourceSettings, interrupted: Callable[[], bool]
    ) -> None:
        from pyvisa.constants import InterfaceType
        from pyvisa.resources import SerialInstrument, TCPIPSocket

        super().__init__(settings, interrupted)
        self._resource = resource
        self._serial = isinstance(resource, SerialInstrument)
        self.is_stream = self._serial or isinstance(resource, TCPIPSocket)
        if isinstance(resource, SerialInstrument) and settings.baud_rate is not None:
            resource.baud_rate = settings.baud_rate
        resource.timeout = 1000 * settings.timeout
        self._terminated = bool(settings.read_termination) and (
            self.is_stream or resource.interface_type in (InterfaceType.tcpip, InterfaceType.gpib)
        )
        self._set_termination(self._terminated)
        self._is_cleared = False
        """Whether a device clear has made sure that nothing is left to be read."""

    def write(self, data: bytes) -> None:
        self.write_interrupted = True
        self._resource.write_raw(data)
        self.write_interrupted = False

    def close(self) -> None:
        self._resource.close()

    def clear(self) -> None:
        from pyvisa import VisaIOError

        super().clear()
        self._is_cleared = False
        with contextlib.suppress(VisaIOError, NotImplementedError, AttributeError):  # not every one can
            self._resource.clear()
            self._is_cleared = not self.is_stream

    def is_quiet(self, seconds: float) -> bool:
        from pyvisa import VisaIOError

        if self._is_cleared:  # to ask for an answer that is not there would be an error of the query
            return True
        self._resource.timeout = 1000 * seconds
        try:
            self._fill(None)
        except VisaIOError:
            return True
        finally:
            self._resource.timeout = 1000 * self.timeout
        return not self._buffer.strip()

    def _fill(self, wanted: int | None) -> bool:
        if self._interrupted():
            raise Interrupted
        if wanted is None:
            self._set_termination(self._terminated)
            self._buffer += self._resource.read_raw(CHUNK)
            return True
        if not self.is_stream:
            self._set_termination(False)
            self._buffer += self._resource.read_raw(CHUNK)
            return True
        self._set_termination(False)
        self._buffer += self._resource.read_bytes(wanted, chunk_size=CHUNK)
        return False

    def _set_termination(self, wanted: bool) -> None:
        """Whether reading ends at the termination: within blocks it must not."""
        from pyvisa.constants import SerialTermination

        if getattr(self, "_set", None) == wanted:
            return
        self._set = wanted
        self._resource.read_termination = self._end.decode() if wanted else None
        if self._serial:
            end = SerialTermination.termination_char if wanted else SerialTermination.none
            self._resource.end_input = end  # type: ignore[attr-defined]


def open_session(address: str, settings: ResourceSettings, uri: str, interrupted: Callable[[], bool]) -> Session:
    """A connection to an instrument. Blocks. Raises DeviceAbsent, DeviceUnavailable."""
    resource = open_resource(settings.backend, address, settings.open_timeout, uri)
    try:
        with opening(address, uri):
            return _kind_of(resource)(resource, settings, interrupted)
    except BaseException:
        with contextlib.suppress(Exception):
            resource.close()
        raise


def _kind_of(resource: MessageBasedResource) -> type[SocketSession | SerialSession | MessageSession]:
    """Which of the sessions moves a resource's bytes."""
    behind = low_level_session(resource)
    if behind is None:
        return MessageSession
    name = type(behind).__name__
    if name == "TCPIPSocketSession" and isinstance(behind.interface, socket.socket):
        return SocketSession
    if name == "SerialSession" and hasattr(behind.interface, "in_waiting"):
        return SerialSession
    return MessageSession


def _silent(seconds: float, heard: bytearray) -> str:
    """What to say of an instrument that does not go on."""
    if not heard:
        return f"has not answered for {seconds:g} s"
    return f"has stopped in the middle of an answer, {len(heard)} bytes of it, for {seconds:g} s"
