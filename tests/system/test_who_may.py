"""Who may move a board's parameters: `mgdhw serve` and the C core's process, against those who may not."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.device import Device, open_device
from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.client.device import LinkedDevice
from mgdhw_drivers.protocol.connection import HostConnection
from mgdhw_drivers.protocol.frames import END, Frame, encode
from mgdhw_drivers.protocol.messages import Chunk, Identify, Set
from mgdhw_drivers.protocol.numbers import Area, Type
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports import secret
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener

from ..firmware.core import build
from ..sockets import connect, is_ended, raw

CHIP = "sim:analog-8bit?layers=2-3-1&engine=reference"
LAYERS = "layers=2-3-1"
P = 13
SECONDS = 30.0

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="the servers are POSIX processes")]


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The C core as a process; None where it cannot be built."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        return None
    folder = tmp_path_factory.mktemp("core")
    build(folder, "all", sanitize=True)
    return folder / "mgdhw-host"


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
    device, moved = open_device(CHIP), []
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

    @contextlib.asynccontextmanager
    async def serve(self, how: str = "tcp") -> AsyncIterator[Served]:
        """A board, over TCP or a Unix socket."""
        if self.kind == "python":
            device, moved = logging_device()
            station = Endpoint(device, Line())
            listener: Listener = (
                TcpListener(station, 0) if how == "tcp" else UnixListener(station, self.folder / "board")
            )
            async with serving(station, listener):
                yield Served(listener.address, moved)
            return
        where = ("--tcp", "0") if how == "tcp" else ("--unix", str(self.folder / "board"))
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


@pytest.fixture(params=["python", "c"])
def servers(request: pytest.FixtureRequest, core: Path | None, tmp_path: Path) -> Servers:
    """Both kinds."""
    if request.param == "c" and core is None:
        pytest.skip("needs make and a C compiler")
    return Servers(request.param, core, tmp_path)


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


def experiment(probes: int = 120) -> dict[str, Any]:
    """A training of XOR that sets parameters time and again."""
    return {
        "device": {"uri": CHIP},
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


# --- those who may ---------------------------------------------------------------------------------------------------


async def test_one_who_may_is_heard(servers: Servers) -> None:
    """What the attacks below send does move the parameters of whoever is let in: so they prove something."""
    for how in ("tcp", "unix"):
        async with servers.serve(how) as served:
            with await asyncio.to_thread(connect, served.address) as honest:
                honest.sendall(ATTACK)
                answers = b""
                while answers.count(END) < 3:
                    answers += await asyncio.to_thread(honest.recv, 4096)
            await until_written(served, 1)


async def test_training_finds_the_secret_by_itself_and_needs_none_on_a_unix_socket(servers: Servers) -> None:
    wanted = await digest()
    for how in ("tcp", "unix"):
        async with servers.serve(how) as served:
            assert await digest(device=served.address) == wanted, how


async def test_training_through_a_tunnel_with_a_copied_secret(servers: Servers) -> None:
    async with servers.serve() as served, relaying(served.port) as (port, _):
        copied = shutil.copy(secret_of(served), servers.folder / "secret")
        assert await digest(device=f"tcp:127.0.0.1:{port}?secret={copied}") == await digest()
        with pytest.raises(DeviceUnavailable, match="wants to know a secret"):
            await open_device(f"tcp:127.0.0.1:{port}").open()


@pytest.mark.parametrize("where", ["--tcp 0", "--unix board"])
def test_two_terminals(folder: Path, start: Any, mgdhw: Any, summary: Any, digest_of: Any, where: str) -> None:
    """The commands as users type them; nothing is said of secrets."""
    server = start("serve", CHIP, *where.split())
    said = server.stdout.readline().split(" at ")
    assert said[0] == f"serving {CHIP}"
    done = mgdhw("train", "short.toml", "--device", said[1].strip(), "--json", "--quiet")
    assert summary(done)["digest"] == digest_of(folder / "short.toml")
    server.terminate()
    _, err = server.communicate(timeout=SECONDS)
    assert server.returncode == 0
    assert err.endswith(": in its safe state\n")
    assert not (folder / "board").exists()


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


# --- those who may not -----------------------------------------------------------------------------------------------


def post(port: int, body: bytes) -> None:
    """What a web page can do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("POST", "/", body, {"Content-Type": "text/plain"})
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse().read()
    finally:
        connection.close()


async def test_a_web_page_moves_nothing(servers: Servers) -> None:
    async with servers.serve() as served:
        for body in (ATTACK, b"\0" + ATTACK, b"\n\0" + ATTACK * 50):
            await asyncio.to_thread(post, served.port, body)
        assert await served.writes() == 0
        assert await digest(device=served.address) == await digest()


async def test_a_recorded_session_moves_nothing(servers: Servers) -> None:
    async with servers.serve() as served:
        async with relaying(served.port) as (port, said):
            await digest(device=f"tcp:127.0.0.1:{port}?secret={secret_of(served)}")
        recorded = bytes(said)
        answer, rest = recorded[:130], recorded[130:]
        assert re.fullmatch(rb"[0-9a-f]{64} [0-9a-f]{64}\n", answer)
        assert len(rest) > 10_000
        before = await served.writes()
        assert before > 10
        for pieces in ((recorded,), (answer, rest), (rest,), (b"\0", rest)):
            await asyncio.to_thread(replay, served.address, pieces)
        assert await served.writes() == before
    async with servers.serve() as another:  # nor to a server that was begun again
        await asyncio.to_thread(replay, another.address, (answer, rest))
        assert await another.writes() == 0


def replay(address: str, pieces: tuple[bytes, ...]) -> None:
    """Say to a server, which has greeted, what somebody else has said to it."""
    with raw(address) as intruder:
        assert intruder.recv(4096).startswith(b"mgdhw-link 1 ")
        with contextlib.suppress(OSError):
            for piece in pieces:
                intruder.sendall(piece)
        assert is_ended(intruder)


OTHER_USER = """
import encodings.idna, json, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
port, secret, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
found = {}
try:
    open(secret).read()
    found["secret"] = "read"
except OSError as error:
    found["secret"] = type(error).__name__
unix = socket.socket(socket.AF_UNIX)
try:
    unix.connect(path)
    found["unix"] = "connected"
except OSError as error:
    found["unix"] = type(error).__name__
tcp = socket.create_connection(("127.0.0.1", port), timeout=30)
greeting = tcp.recv(4096)
tcp.sendall(b"0" * 64 + b" " + b"0" * 64 + b"\\n")
try:
    found["tcp"] = tcp.recv(4096).decode()
except ConnectionError:
    found["tcp"] = ""
print(json.dumps(found))
"""


@pytest.fixture
def others() -> Iterator[Path]:
    """A folder that another user can look into; skips where this process may not become one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_another_user_moves_nothing(servers: Servers, others: Path) -> None:
    servers.folder = others
    async with servers.serve() as served:
        over_tcp = Path(secret_of(served))
        visible = others / "secrets" / over_tcp.name  # as if the folders above were everybody's
        visible.parent.mkdir(0o755)
        shutil.copy(over_tcp, visible)
        async with servers.serve("unix") as beside:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", OTHER_USER, str(served.port), str(visible), str(others / "board")),
                stdout=subprocess.PIPE,
            )
            out, _ = await process.communicate()
            assert json.loads(out) == {"secret": "PermissionError", "unix": "PermissionError", "tcp": ""}
            assert await beside.writes() == 0
        assert await served.writes() == 0


async def test_intruders_do_not_disturb_a_training(
    servers: Servers, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    wanted = await digest(400)
    async with servers.serve() as served, contextlib.AsyncExitStack() as stack:
        training = asyncio.create_task(digest(400, served.address))
        turned_away = 0
        while not training.done():
            silent = await asyncio.to_thread(raw, served.address)
            stack.callback(silent.close)
            await asyncio.to_thread(post, served.port, ATTACK)
            await asyncio.to_thread(replay, served.address, (b"0" * 64 + b" " + b"0" * 64 + b"\n", ATTACK))
            if not training.done():
                with contextlib.suppress(DeviceUnavailable):
                    async with open_device(served.address):
                        assert training.done(), "another host was let in"
                turned_away += 1
        assert await training == wanted
        assert turned_away > 0
    assert not [record for record in caplog.records if record.name == "mgdhw.link"]


# --- those who hold the board and are gone ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tcp", "unix"])
async def test_a_half_open_peer_does_not_keep_the_board(servers: Servers, how: str) -> None:
    async with servers.serve(how) as served:
        with await asyncio.to_thread(connect, served.address) as gone:
            gone.sendall(encode(Frame(Type.IDENTIFY, 1, Identify(7, 1000, 16384, 1).pack())))
            assert await asyncio.to_thread(gone.recv, 4096)
            assert await opened_within(served.address, 10.0) > 0
            assert await asyncio.to_thread(is_ended, gone)


@pytest.mark.long
@pytest.mark.parametrize("how", ["tcp", "unix"])
@pytest.mark.parametrize("said", ["nothing", "no take", "idle"])
async def test_a_peer_that_does_not_use_the_board_loses_it(servers: Servers, how: str, said: str) -> None:
    limit = 60.0 if said == "idle" else 5.0
    async with servers.serve(how) as served:
        with await asyncio.to_thread(connect, served.address) as idle:
            if said != "nothing":
                idle.sendall(encode(Frame(Type.IDENTIFY, 1, Identify(7, 0, 16384, int(said == "idle")).pack())))
            waited = await opened_within(served.address, limit + 20.0)
            assert waited > limit - 2.0
            assert await asyncio.to_thread(is_ended, idle)


async def opened_within(address: str, seconds: float) -> float:
    """Open a device as soon as it can be; after how many seconds that was."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            async with open_device(address):
                return loop.time() - began
        except DeviceUnavailable:
            assert loop.time() < began + seconds, "nobody else is let in"
        await asyncio.sleep(0.1)


async def test_the_most_connections_that_wait(servers: Servers) -> None:
    """More silent connections than a server greets at a time: the oldest are ended, and hosts come in."""
    async with servers.serve() as served, contextlib.AsyncExitStack() as stack:
        silent = []
        for _ in range(40):
            silent.append(await asyncio.to_thread(raw, served.address))
            stack.callback(silent[-1].close)
        async with open_device(served.address):
            pass
        for connection in silent[:20]:
            assert await asyncio.to_thread(is_ended, connection)
