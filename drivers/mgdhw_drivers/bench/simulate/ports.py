"""Where a simulated instrument listens: a socket or a pseudo-terminal of this computer, unreachable from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from abc import ABC, abstractmethod

from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.bench.simulate.conversation import Conversation
from mgdhw_drivers.bench.simulate.instrument import Closed, PowerCycled, SimulatedInstrument

log = logging.getLogger("mgdhw.simulate")

LOOPBACK = "127.0.0.1"
READ_SIZE = 1 << 16
MOST_CONNECTIONS = 16
"""At one instrument; with one more, the oldest is closed."""


class Port(ABC):
    """Where one instrument listens.

    Args:
        instrument: that listens.
        latency: seconds for each message.
    """

    def __init__(self, instrument: SimulatedInstrument, latency: float) -> None:
        self.instrument = instrument
        self.latency = latency

    @property
    @abstractmethod
    def address(self) -> str:
        """The VISA resource name to open."""

    @abstractmethod
    async def start(self) -> None:
        """Listen. Raises DeviceUnavailable."""

    @abstractmethod
    async def stop(self) -> None:
        """Listen no more, and end all connections."""


class SocketPort(Port):
    """A raw socket."""

    def __init__(self, instrument: SimulatedInstrument, latency: float) -> None:
        super().__init__(instrument, latency)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def address(self) -> str:
        assert self._server is not None, "started"
        return f"TCPIP::{LOOPBACK}::{self._server.sockets[0].getsockname()[1]}::SOCKET"

    async def start(self) -> None:
        try:
            self._server = await asyncio.start_server(self._accepted, LOOPBACK, 0)
        except OSError as error:
            raise DeviceUnavailable(f"cannot listen: {error.strerror or error}", uri=LOOPBACK) from None

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        while len(self._connections) > MOST_CONNECTIONS:
            next(iter(self._connections)).cancel()
            await asyncio.sleep(0)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            await self._converse(reader, Conversation(self.instrument, self.latency, send))
        finally:
            self._connections.pop(task, None)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, conversation: Conversation) -> None:
        with contextlib.suppress(asyncio.CancelledError, Closed, ConnectionError):
            while data := await reader.read(READ_SIZE):
                try:
                    await conversation.receive(data)
                except PowerCycled:
                    self._switch_off_and_on()

    def _switch_off_and_on(self) -> None:
        """All connections are gone, and everything that was set."""
        log.info("%s: switched off and on, on purpose", self.instrument.name)
        self.instrument.power_cycle()
        for task, writer in self._connections.items():
            writer.transport.abort()
            if task is not asyncio.current_task():
                task.cancel()
        raise Closed


class PseudoTerminal(Port):
    """A pseudo-terminal, which is a serial port to hosts. It stays when the instrument is switched off and on."""

    def __init__(self, instrument: SimulatedInstrument, latency: float) -> None:
        super().__init__(instrument, latency)
        self._name = ""
        self._master = self._slave = -1
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"ASRL{self._name}::INSTR"

    async def start(self) -> None:
        if not hasattr(os, "openpty"):
            raise DeviceUnavailable("this system has no pseudo-terminals; leave --pty out", uri="pty")
        import tty

        self._master, self._slave = os.openpty()  # the other end stays open: a host may leave and come back
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._name = os.ttyname(self._slave)
        self._task = asyncio.create_task(self._converse(), name=f"pseudo-terminal of {self.instrument.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1

    async def _converse(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            conversation = Conversation(self.instrument, self.latency, self._send)
            while True:
                await self._ready(writing=False)
                try:
                    await conversation.receive(os.read(self._master, READ_SIZE))
                except PowerCycled:
                    log.info("%s: switched off and on, on purpose", self.instrument.name)
                    self.instrument.power_cycle()
                    conversation = Conversation(self.instrument, self.latency, self._send)
                except Closed:  # a line cannot hang up
                    conversation = Conversation(self.instrument, self.latency, self._send)

    async def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await self._ready(writing=True)

    async def _ready(self, *, writing: bool) -> None:
        """Wait until the pseudo-terminal can be read, or written."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        add(self._master, wake)
        try:
            await ready
        finally:
            remove(self._master)
