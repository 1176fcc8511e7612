"""Strangers move nothing and disturb nobody: web pages, replays, other users, half-open peers."""

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
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.protocol.frames import Frame, encode
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import Type
from tests.helpers.sockets import connect, is_ended, raw
from tests.system.guarded import ATTACK, SECONDS, Servers, digest, relaying, secret_of

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="the servers are POSIX processes")]


# --- those who may not ------------------------------------------------------------------------------------------------


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
            socket_path = beside.address.removeprefix("unix:")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", OTHER_USER, str(served.port), str(visible), socket_path),
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


# --- those who hold the board and are gone ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tcp", "unix"])
async def test_a_half_open_peer_does_not_keep_the_board(servers: Servers, how: str) -> None:
    async with servers.serve(how) as served:
        with await asyncio.to_thread(connect, served.address) as gone:
            gone.sendall(encode(Frame(Type.IDENTIFY, 1, Identify(7, 1000, 16384, 1).pack())))
            assert await asyncio.to_thread(gone.recv, 4096)
            assert await opened_within(served.address, 10.0) > 0
            assert await asyncio.to_thread(is_ended, gone)


@pytest.mark.long
async def test_peers_that_do_not_use_the_board_lose_it(servers: Servers) -> None:
    """Side by side, since most of it is waiting."""
    async with asyncio.TaskGroup() as group:
        for how in ("tcp", "unix"):
            for said in ("nothing", "no take", "idle"):
                group.create_task(loses_it(servers, how, said))


async def loses_it(servers: Servers, how: str, said: str) -> None:
    """A peer that says so much, and then nothing, loses its connection, and others come in."""
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
