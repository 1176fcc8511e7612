"""Connections to a server: who comes in, who keeps nobody out, and when one is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.protocol.connection import HostConnection
from mgdhw_drivers.protocol.greeting import HELLO
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import State, Type
from mgdhw_drivers.server import silence_timers as silence
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports import secret
from mgdhw_drivers.transports import socket_listener as visitors
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener
from tests.helpers.sockets import connect
from tests.helpers.waiting import until

SECONDS = 30.0


@contextlib.asynccontextmanager
async def raw(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to which nothing was said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def mode_of(path: Path) -> int | None:
    """Of a socket's file; None: there is none."""
    return path.stat().st_mode & 0o777 if path.is_socket() else None


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends a connection."""
    try:
        async with asyncio.timeout(SECONDS):
            await reader.read()
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def requests(*messages: tuple[Type, bytes]) -> bytes:
    """Frames of a host."""
    connection = HostConnection(1)
    sent = connection.connect()
    connection.verified(1 << 30)
    return sent + b"".join(connection.send(kind, payload)[1] for kind, payload in messages)


TAKE = (Type.IDENTIFY, Identify(7, 300, 16384, 1).pack())
ASK = (Type.IDENTIFY, Identify(7, 0, 16384, 0).pack())


async def test_what_is_no_answer_ends_the_connection_and_is_not_parsed(bench: Any) -> None:
    async with bench.serve() as address:
        for said in (b"POST / HTTP/1.1\r\n\r\n\0" + requests(TAKE), requests(TAKE), b"\0", b"0" * 64 + b"\0"):
            async with raw(address) as (reader, writer):
                assert (await reader.readline()).startswith(HELLO)
                writer.write(said)
                assert await is_ended(reader)
        assert bench.station._board.connection.counts == (0, 0, 0)
        assert bench.station._board.state is State.SAFE
        async with open_device(address):
            assert bench.station._board.state is State.READY


async def test_who_says_nothing_keeps_nobody_out(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.serve() as address, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(raw(address)) for _ in range(visitors.MOST_HANDSHAKES + 5)]
        await asyncio.gather(*(reader.readline() for reader, _ in silent))
        async with open_device(address) as device:
            await device.load(load("xor"))
            await device.write(np.full(13, 0.5))
            silent += [await stack.enter_async_context(raw(address)) for _ in range(visitors.MOST_HANDSHAKES + 5)]
            np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
        for reader, _ in silent[: -visitors.MOST_HANDSHAKES]:  # the oldest
            assert await is_ended(reader)
    monkeypatch.setattr(visitors, "HANDSHAKE_SECONDS", 0.1)
    async with bench.serve() as address, raw(address) as (reader, _):
        assert await is_ended(reader)


async def test_nobody_takes_the_place_of_a_host(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        await device.write(np.full(13, 0.5))
        for _ in range(3):
            with pytest.raises(DeviceUnavailable, match="in use by another host; try again"):
                await open_device(address).open()
        with pytest.raises(DeviceUnavailable, match="wants to know a secret"):
            await open_without(address)
        np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
        assert device.session.link.repeated == 0
        assert bench.station._board.work.sets == 1


async def open_without(address: str) -> None:
    """Open a device as somebody who has no secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(secret.FOLDER, "/nowhere/that/is")
        await open_device(address).open()


async def test_what_a_host_is_told(bench: Any, tmp_path: Path) -> None:
    async with bench.serve() as address:
        with pytest.raises(
            DeviceUnavailable, match=r"wants to know a secret, and there is no /nowhere/that/is/tcp-\d+"
        ) as told:
            await open_without(address)
        assert "?secret=FILE" in str(told.value)
        other = tmp_path / "secret"
        other.write_text("0" * 64)
        other.chmod(0o600)
        with pytest.raises(DeviceUnavailable, match=rf"does not accept the secret in {other}.*copy it again"):
            await open_device(f"{address}?secret={other}").open()
        with pytest.raises(DeviceUnavailable, match="the secret cannot be read: No such file"):
            await open_device(f"{address}?secret={tmp_path / 'none'}").open()
        other.write_text(bench.listener.secret_file.read_text())
        async with open_device(f"{address}?secret={other}"):
            pass

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await mute(reader, writer)

    for peer, says in ((mute, "does not greet, though"), (chatty, "does not greet as `mgdhw serve` does, though")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mgdhw_drivers.transports.tcp.HANDSHAKE_SECONDS", 0.3)
            server = await asyncio.start_server(peer, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                with pytest.raises(DeviceUnavailable, match=says):
                    await open_device(f"tcp:127.0.0.1:{port}?secret={other}").open()


async def test_a_server_that_was_begun_again_has_another_secret(bench: Any) -> None:
    async with bench.serve() as address:
        port = bench.listener.port
        device = open_device(address)
        await device.open()
        await device.load(load("xor"))
        await device.write(np.full(13, 0.5))
    station = Endpoint(open_device("sim:analog-8bit?layers=2-3-1&engine=reference"), Line())
    async with serving(station, TcpListener(station, port)):
        with contextlib.suppress(Exception):
            await device.read()  # notices
        np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
        await device.close()


# --- the end of a connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tcp", "unix"])
async def test_a_host_that_goes_silent_does_not_keep_the_board(bench: Any, how: str) -> None:
    async with bench.serve(how=how) as address:
        with await asyncio.to_thread(connect, address) as half_open:
            half_open.sendall(requests(TAKE))
            await until(lambda: bench.station._board.state is State.READY)
            await until(lambda: not bench.station.occupied)  # after its dead-man's 0.3 s
            assert bench.station._board.state is State.SAFE
            async with open_device(address):
                pass


@pytest.mark.parametrize("how", ["tcp", "unix"])
@pytest.mark.parametrize("said", [(), (ASK,)], ids=["nothing", "no take"])
async def test_a_host_that_never_takes_the_board_is_dropped(
    bench: Any, how: str, said: tuple[tuple[Type, bytes], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "TAKE_SECONDS", 0.3)
    async with bench.serve(how=how) as address:
        with await asyncio.to_thread(connect, address) as idle:
            idle.sendall(requests(*said) if said else b"")
            await until(lambda: bench.station.occupied)
            await until(lambda: not bench.station.occupied)
            async with open_device(address) as device:
                await asyncio.sleep(0.5)  # longer than that
                assert bench.station.occupied
                assert device.session.link.connected


async def test_an_idle_host_is_dropped_whatever_its_dead_man(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "IDLE_SECONDS", 0.5)
    async with bench.serve() as address, open_device(f"{address}?dead_man=0") as device:
        await device.load(load("xor"))
        await device.write(np.full(13, 0.5))
        device._heartbeat.cancel()
        await until(lambda: not bench.station.occupied)
        assert bench.station._board.state is State.SAFE
        np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))  # and it comes back by itself


async def test_hosts_give_signs_of_life_whatever_the_dead_man(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr("mgdhw_drivers.client.device.HEARTBEAT_SECONDS", 0.1)
    for dead_man in (0, 1000):
        async with bench.serve() as address, open_device(f"{address}?dead_man={dead_man}") as device:
            connected = bench.listener.accepted
            await asyncio.sleep(1.5)
            assert bench.listener.accepted is connected is not None
            assert device.session.link.connected


async def test_a_serial_line_is_not_pulled_out_by_a_dead_man(bench: Any) -> None:
    async with bench.serve(how="pty") as address, open_device(f"{address}?dead_man=0.2") as device:
        await device.load(load("xor"))
        await device.write(np.full(13, 0.5))
        device._heartbeat.cancel()
        await until(lambda: bench.station._board.state is State.SAFE)
        np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
        assert (await device.statistics())["dead_man_trips"] == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has no such options")
async def test_the_system_is_asked_to_notice_a_peer_that_is_gone(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        ours = bench.listener.accepted._transport.get_extra_info("socket")
        theirs = device.session.link.byte_stream._stream._transport.get_extra_info("socket")
        for connection in (ours, theirs):
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            assert [connection.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [15, 5, 3]
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


async def test_a_network_that_is_cut_frees_the_board(bench: Any) -> None:
    """Between host and server is a relay that stops passing bytes on, and ends no connection."""
    passing = asyncio.Event()
    passing.set()
    wires: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if passing.is_set():
                    writer.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", bench.listener.port)
        wires.extend((writer, outer))
        await asyncio.gather(carry(reader, outer), carry(inner, writer))
        outer.close()
        writer.close()

    async with bench.serve() as address, await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        far = open_device(
            f"tcp:127.0.0.1:{port}?secret={bench.listener.secret_file}&dead_man=1&timeout=0.5&reconnect=0.1"
        )
        await far.open()
        assert bench.station.occupied
        passing.clear()
        await until(lambda: not bench.station.occupied)
        assert bench.station._board.state is State.SAFE
        async with open_device(address):
            pass
        for wire in wires:
            wire.close()
        await far.close()


# --- Unix sockets ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="there are no Unix sockets")
async def test_a_unix_socket_is_this_users_alone(bench: Any, tmp_path: Path) -> None:
    async with bench.serve(how="unix") as address:
        path = Path(address.removeprefix("unix:"))
        assert mode_of(path) == 0o600
        async with open_device(f"{address}?dead_man=2") as device:
            assert device.info.n_parameters == 13
            with pytest.raises(DeviceUnavailable, match="does no other host use it"):
                await open_device(f"{address}?reconnect=0").open()
            assert bench.station.occupied
        with pytest.raises(DeviceUnavailable, match="another server listens there"):
            await UnixListener(bench.station, path).start()
        assert mode_of(path) == 0o600
    assert mode_of(path) is None
    with pytest.raises(DeviceUnavailable, match=r"cannot connect to .*; is `mgdhw serve … --unix .*` running\?"):
        await open_device(f"{address}?reconnect=0").open()


@pytest.mark.skipif(os.name != "posix", reason="there are no Unix sockets")
async def test_what_a_killed_server_has_left_is_replaced_and_nothing_else(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "socket1"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))
    async with bench.serve(how="unix") as address:
        assert address == f"unix:{path}"
        async with open_device(address):
            pass
    path.write_text("somebody's")
    with pytest.raises(ConfigError, match="is there already, and no socket"):
        await UnixListener(bench.station, path).start()
    assert path.read_text() == "somebody's"
    with pytest.raises(ConfigError, match="cannot be made"):
        await UnixListener(bench.station, tmp_path / ("x" * 200)).start()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("unix:", "says no path; expected unix:PATH"),
        ("unix:x?secret=y", "option 'secret' is for tcp: addresses only"),
        ("unix:x?baud=9600", "option 'baud' is for serial: addresses only"),
        ("serial:/dev/x?secret=y", "option 'secret' is for tcp: addresses only"),
    ],
)
def test_addresses_that_are_none(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_device(uri)
