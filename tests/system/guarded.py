"""Servers and boards in C that listen at a port, with what was written to their hardware."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

import mgdhw
from mgdhw.device import Device, open_device
from mgdhw_drivers.client.device import LinkedDevice
from mgdhw_drivers.protocol.connection import HostConnection
from mgdhw_drivers.protocol.messages import Chunk, Identify, Set
from mgdhw_drivers.protocol.numbers import Area, Type
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports import secret
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener
from tests.helpers.chips import REFERENCE_CHIP

LAYERS = "layers=2-3-1"
P = 13
SECONDS = 30.0


class Served:
    """A board that is served, and what was done to it.

    Args:
        address: where.
        moved: the writes of a logging device; None: the board counts them itself.
    """

    def __init__(self, address: str, moved: list[float] | None) -> None:
        self.address = address
        self._moved = moved

    @property
    def port(self) -> int:
        """Of a TCP address."""
        return int(self.address.rpartition(":")[2])

    async def writes(self) -> int:
        """How often the board's parameters were set, by whomever."""
        if self._moved is not None:
            return len(self._moved)
        async with open_device(self.address) as device:
            assert isinstance(device, LinkedDevice)
            return (await device.statistics())["sets"]


def logging_device() -> tuple[Device, list[float]]:
    """A chip, and the largest parameter of every write to it."""
    device, moved = open_device(REFERENCE_CHIP), []
    write = device.write

    async def logged(theta: Any, *rest: Any, **named: Any) -> Any:
        moved.append(float(np.max(theta)))
        return await write(theta, *rest, **named)

    device.write = logged  # type: ignore[method-assign]
    return device, moved


class Servers:
    """Serves boards, in Python or in C."""

    def __init__(self, kind: str, core: Path | None, folder: Path) -> None:
        self.kind = kind
        self._core = core
        self.folder = folder
        self._sockets = 0

    def socket(self) -> Path:
        """A new one's name, in the folder."""
        self._sockets += 1
        return self.folder / f"board{self._sockets}"

    @contextlib.asynccontextmanager
    async def serve(self, how: str = "tcp") -> AsyncIterator[Served]:
        """A board, over TCP or a Unix socket."""
        if self.kind == "python":
            device, moved = logging_device()
            station = Endpoint(device, Line())
            listener: Listener = TcpListener(station, 0) if how == "tcp" else UnixListener(station, self.socket())
            async with serving(station, listener):
                yield Served(listener.address, moved)
            return
        where = ("--tcp", "0") if how == "tcp" else ("--unix", str(self.socket()))
        assert self._core is not None
        process = await asyncio.create_subprocess_exec(
            str(self._core), *where, LAYERS, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield Served((await process.stdout.readline()).decode().strip(), None)
        finally:
            process.terminate()
            _, said = await process.communicate()
        assert (process.returncode, said) == (0, b"")


def experiment(probes: int = 120) -> dict[str, Any]:
    """A training of XOR that sets parameters time and again."""
    return {
        "device": {"uri": REFERENCE_CHIP},
        "data": {"name": "xor"},
        "training": {"probes": probes, "tau_theta": 10},
        "evaluation": {"every": 60},
        "run": {"level": "host-codes", "retries": 0},
    }


async def digest(probes: int = 120, device: str | None = None) -> str:
    """Of a training, here or at a device."""
    return (await mgdhw.train_async(experiment(probes), device=device, runs=None)).digest


async def until_written(served: Served, count: int) -> None:
    """Wait until a board's parameters were set so often."""
    async with asyncio.timeout(SECONDS):
        while await served.writes() != count:  # noqa: ASYNC110 (a board sets no events)
            await asyncio.sleep(0.02)


def secret_of(served: Served) -> Path:
    """The file of a server's secret."""
    found = secret.find(served.port)
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def relaying(target: int) -> AsyncIterator[tuple[int, bytearray]]:
    """A port that passes everything on to another one, and what hosts have said there."""
    said = bytearray()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if record is not None:
                    record += data
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, outer, said), carry(inner, writer, None))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], said


def frames(take: Identify, *, value: int = 100) -> bytes:
    """IDENTIFY, WRITE and SET of an honest host that speaks without waiting for answers."""
    content = np.full(P, value, dtype="<i2").tobytes()
    connection = HostConnection(1000)
    sent = connection.connect()
    connection.verified(1 << 30)
    requests = (
        (Type.IDENTIFY, take.pack()),
        (Type.WRITE, Chunk(Area.REQUESTED, 0).pack() + content),
        (Type.SET, Set(0, zlib.crc32(content)).pack()),
    )
    return sent + b"".join(connection.send(kind, payload)[1] for kind, payload in requests)


ATTACK = frames(Identify(7, 0, 16384, 1))
