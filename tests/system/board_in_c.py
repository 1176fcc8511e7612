"""The C core behind a line with faults: a process of its own, which a reboot kills and begins again."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from mgdhw.device import open_device
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.fault_injection import Faults
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import until_asked_to_end
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.tcp import TcpListener

QUEUED = 1 << 20
SOCKET = "board"


class Remote(asyncio.Protocol):
    """A board in another process, as a station sees one."""

    def __init__(self, process: asyncio.subprocess.Process, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._process = process
        self._folder = folder
        self._send: Callable[[bytes], None] = lambda data: None
        self._early = bytearray()
        self._wire: asyncio.Transport | None = None
        self._connecting: asyncio.Task[object] | None = None

    @classmethod
    async def begin(cls, command: list[str]) -> Remote:
        """A new process."""
        folder = tempfile.TemporaryDirectory()
        process = await asyncio.create_subprocess_exec(
            *command, "--unix", f"{folder.name}/{SOCKET}", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline(), "the core does not serve"
        return cls(process, folder)

    def connected(self, send: Callable[[bytes], None]) -> None:
        """A host is there."""
        self._send = send
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, f"{self._folder.name}/{SOCKET}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        transport.write(bytes(self._early))
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        self._send(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._wire = None

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        if self._wire is not None:
            self._wire.write(data)
        elif len(self._early) < QUEUED:
            self._early += data

    def disconnected(self) -> None:
        """The host is gone."""
        self._send = lambda data: None
        self._early.clear()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.abort()

    def listened(self, seconds: float) -> bool:
        """The core has a clock of its own."""
        return False

    async def stop(self) -> None:
        """As when the power goes."""
        self.disconnected()
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        self._process.kill()
        await self._process.communicate()
        self._folder.cleanup()


class StationInC(Endpoint):
    """A station whose boards are processes of the C core."""

    def __init__(self, command: list[str], line: Line) -> None:
        super().__init__(open_device("sim:analog-8bit"), line)
        self._command = command

    async def _new_board(self) -> Remote:  # type: ignore[override]  # what a station asks of a board, it has
        return await Remote.begin(self._command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("options", nargs="*")
    parser.add_argument("--tcp", type=int)
    parser.add_argument("--pty", action="store_true")
    parser.add_argument("--link", type=Path)
    parser.add_argument("--faults", default="")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    station = StationInC([chosen.program, *chosen.options], Line(0, Faults.parse(chosen.faults), chosen.seed))
    listener: Listener = PtyListener(station, chosen.link) if chosen.pty else TcpListener(station, chosen.tcp)

    def begun() -> None:
        sys.stdout.write(f"serving the C core at {listener.address}\n")
        sys.stdout.flush()

    asyncio.run(until_asked_to_end(station, listener, begun))


if __name__ == "__main__":
    main()
