"""A board that boots slowly is waited for; who doesn't want to wait says so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mgdhw.device import open_device
from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.tcp import TcpListener
from tests.helpers.chips import REFERENCE_CHIP
from tests.helpers.sockets import free_port


async def used(address: str) -> None:
    async with open_device(address) as device:
        await device.write(np.zeros(13))


@pytest.mark.parametrize("how", ["tcp", "pty"])
async def test_a_board_that_comes_later_is_waited_for(how: str, tmp_path: Path) -> None:
    port, link = free_port(), tmp_path / "board"
    opening = asyncio.ensure_future(used(f"tcp:127.0.0.1:{port}" if how == "tcp" else f"serial:{link}"))
    await asyncio.sleep(0.3)
    assert not opening.done()
    station = Endpoint(open_device(REFERENCE_CHIP), Line())
    async with serving(station, TcpListener(station, port) if how == "tcp" else PtyListener(station, link)):
        await asyncio.wait_for(opening, 20)


async def test_a_board_that_is_silent_while_it_boots_is_asked_again() -> None:
    """It takes the connection, and answers only those that come after it has booted."""
    port = free_port()
    asked = 0

    async def booting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    boots = await asyncio.start_server(booting, "127.0.0.1", port)
    opening = asyncio.ensure_future(used(f"tcp:127.0.0.1:{port}?timeout=0.1"))
    while asked < 2:  # noqa: ASYNC110 (a board sets no events)
        await asyncio.sleep(0.01)
    boots.close()
    await boots.wait_closed()
    station = Endpoint(open_device(REFERENCE_CHIP), Line())
    async with serving(station, TcpListener(station, port)):
        await asyncio.wait_for(opening, 20)


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:{}?reconnect=0", "tcp:no.such.host.invalid:{}"])
async def test_what_waiting_does_not_help_is_said_at_once(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(DeviceUnavailable, match="cannot connect"):
        await used(address.format(free_port()))
    assert time.monotonic() - began < 15


@pytest.mark.long
def test_the_command_says_what_it_waits_for_and_how_not_to(tmp_path: Path) -> None:
    port = free_port()
    program = "from mgdhw.cli.main import main; main()"
    line = [sys.executable, "-W", "error", "-c", program, "train", "--device", f"tcp:127.0.0.1:{port}?reconnect=1.5"]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    how = "(add ?reconnect=0 to its address not to wait)"
    said = f"waiting for tcp:127.0.0.1:{port}?reconnect=1.5 to be there {how} (1 s of 1.5 s): "
    assert said in done.stdout + done.stderr
    assert "cannot connect to 127.0.0.1" in done.stderr
