"""An instrument at a real socket, that can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

POWER_ON = 128


class Acme:
    """Answers line by line, as ordinary instruments do; several connections are let in, as many instruments do."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.events = POWER_ON
        self.errors: list[str] = []
        self.received: list[str] = []
        self.volts = 0.0
        self.port = 0
        self.babbles = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Acme]:
        """While this lasts, it can be reached."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 23)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def power_cycle(self) -> None:
        """Off and on, behind an adapter that keeps the connection."""
        self.events, self.volts, self.errors = POWER_ON, 0.0, []

    def answer(self, message: str) -> bytes | None:
        """The answer to a message; None: nothing."""
        command, _, value = message.partition(" ")
        match command:
            case "*IDN?":
                return b"ACME,source,7,1.0\n"
            case "*CLS":
                self.errors, self.events = [], 0
            case "*ESR?;:SYST:ERR?":
                events, self.events = self.events, 0
                error = self.errors.pop(0) if self.errors else '0,"No error"'
                return f"{events};{error}\n".encode()
            case "*OPC?":
                return b"1\n"
            case "ECHO?":
                return value.encode() + b"\n"
            case "VOLT":
                self.volts = float(value)
            case "VOLT?":
                return f"{self.volts}\n".encode()
            case "WAVE?":
                return b"1,2.5,-3\n"
            case "BLOCK?":
                return b"#210" + bytes(range(5, 15)) + b"\n"
            case "HALF?":
                return b"#3100" + bytes(40)
            case "GARBAGE?":
                return b"\xff\xfe\xfd\n"
            case "NOBLOCK?":
                return b"#x12345\n"
            case "FAIL":
                self.errors.append('-222,"Data out of range;VOLT 99"')
            case "HANGUP?":
                self.hang_up()
        return None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while line := await reader.readline():
                    message = line.decode(errors="replace").strip()
                    self.received.append(message)
                    delay, self.delay = self.delay, 0.0
                    await asyncio.sleep(delay)
                    answer = self.answer(message)
                    if answer is not None:
                        writer.write(answer)
                    while self.babbles:
                        writer.write(b"and so on\n")
                        await writer.drain()
                        await asyncio.sleep(0)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
