"""Who may move a board that listens at a port: those who hold its secret, and nobody else."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mgdhw.device import open_device
from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.protocol.frames import END
from tests.helpers.chips import REFERENCE_CHIP
from tests.helpers.sockets import connect
from tests.system.guarded import ATTACK, SECONDS, Servers, digest, relaying, secret_of, until_written

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="the servers are POSIX processes")]


# --- those who may ----------------------------------------------------------------------------------------------------


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
    server = start("serve", REFERENCE_CHIP, *where.split())
    said = server.stdout.readline().split(" at ")
    assert said[0] == f"serving {REFERENCE_CHIP}"
    done = mgdhw("train", "short.toml", "--device", said[1].strip(), "--json", "--quiet")
    assert summary(done)["digest"] == digest_of(folder / "short.toml")
    server.terminate()
    _, err = server.communicate(timeout=SECONDS)
    assert server.returncode == 0
    assert err.endswith(": in its safe state\n")
    assert not (folder / "board").exists()
