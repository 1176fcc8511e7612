"""A board as a device: there, away, safe, busy, or none at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import numpy as np
import pytest

from mgdhw.block import Block, CodeSpec
from mgdhw.datasets import load
from mgdhw.device import Capability, open_device
from mgdhw.errors import ConfigError, DeviceUnavailable, LimitExceeded, LinkLost
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.frames import Frame, encode
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import State, Type
from tests.helpers.chips import REFERENCE_CHIP


async def test_an_unplugged_port_is_noticed_at_once_and_named(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with bench.serve(how="pty") as address, open_device(address) as device:
        port = address.removeprefix("serial:")
        await device.load(load("xor"))
        await device.write(np.zeros(13))
        noticed = asyncio.Event()

        class Seen(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                noticed.set()

        seen = Seen(logging.WARNING)
        logging.getLogger("mgdhw.link").addHandler(seen)
        try:
            bench.station.away = asyncio.get_running_loop().time() + 0.2
            bench.listener._destroy()
            await asyncio.wait_for(noticed.wait(), 5.0)
        finally:
            logging.getLogger("mgdhw.link").removeHandler(seen)
        assert port in caplog.text
        assert "gone" in caplog.text
        # Plugged in again it goes on by itself, with what it held.
        np.testing.assert_array_equal(await device.read(), np.zeros(13))


async def test_a_board_that_stays_away_is_lost(bench: Any) -> None:
    async with bench.serve() as address:
        device = open_device(f"{address}?reconnect=0.1")
        await device.open()
    try:
        with pytest.raises(LinkLost):  # at first that it has gone, then that it did not come back
            await device.read()
        with pytest.raises(LinkLost, match=r"did not come back within 0\.1 s"):
            await device.read()
    finally:
        await device.close()


async def test_leaving_ends_in_the_safe_state(bench: Any) -> None:
    async with bench.serve() as address:
        async with open_device(address) as device:
            await device.load(load("xor"))
            await device.write(np.full(13, 0.5))
            assert bench.station._board.state is State.READY
        assert bench.station._board.state is State.SAFE


async def test_a_silent_host_is_a_dead_one(bench: Any) -> None:
    async with bench.serve() as address:
        device = open_device(f"{address}?dead_man=0.2")
        async with device:
            await device.load(load("xor"))
            await device.write(np.full(13, 0.5))
            device._heartbeat.cancel()
            while bench.station._board.state is State.READY or device.session.link.connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the connection is ended, too
            # The board says so when the host returns, and gets back what it held.
            np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
            counts = await device.statistics()
            assert counts["dead_man_trips"] == 1


async def test_heartbeats_keep_an_idle_board_awake(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?dead_man=0.3") as device:
        await device.load(load("xor"))
        await asyncio.sleep(1.0)
        assert (await device.statistics())["dead_man_trips"] == 0


async def test_limits_are_checked_before_anything_is_sent(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?slew=0.5&stress=2.2") as device:
        assert Capability.LEARN not in device.info.capabilities
        await device.load(load("xor"))
        await device.write(np.full(13, 1.0))
        sent = device.session.link.host_bytes
        with pytest.raises(LimitExceeded, match="parameter 4 would be 9"):
            await device.write(np.where(np.arange(13) == 4, 9.0, 1.0))
        with pytest.raises(LimitExceeded, match=r"moved by 3 in all, more than 2\.2"):
            await device.write(np.full(13, -1.0))
        block = Block(0, 4, CodeSpec("random", 0, 9), SampleOrder(0, 4))
        with pytest.raises(LimitExceeded, match=r"move parameters by 0\.5625 at once, more than 0\.5"):
            await device.probe(block)
        assert device.session.link.host_bytes == sent
        block = Block(0, 4, CodeSpec("random", 0, 400), SampleOrder(0, 4))
        with pytest.raises(LimitExceeded, match="perturbed parameter 0"):
            await device.probe(block)


async def test_larger_moves_than_the_address_allows_are_ramps_also_after_a_safe_state(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?slew=0.5&stress=9&dead_man=0.2") as device:
        await device.load(load("xor"))
        target = np.where(np.arange(13) == 4, -0.75, 1.25)
        np.testing.assert_array_equal(await device.write(target), target)
        assert (await device.statistics())["sets"] == 3
        device._heartbeat.cancel()
        while bench.station._board.state is State.READY:  # noqa: ASYNC110 (a board sets no events)
            await asyncio.sleep(0.01)
        with contextlib.suppress(LinkLost):  # the dead-man ends the connection, too
            await device.infer(np.arange(4))
        await device.infer(np.arange(4))  # needs them where they were; on the way back they are no faster
        assert (await device.statistics())["sets"] == 6
        assert device.session.motion_limiter.stress == 3 * 1.25


async def test_what_the_link_has_no_room_for_is_refused(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        with pytest.raises(ConfigError, match="no parameters were written"):
            await device.infer(np.arange(4))
        await device.write(np.zeros(13))
        with pytest.raises(ConfigError, match="does not fit into Probe"):
            await device.probe(Block(0, 4, CodeSpec("random", 0, 1), SampleOrder(0, 4, 1, 1 << 32)))
        assert (await device.infer(np.arange(4))).shape == (4, 1)


async def test_questions_in_the_middle_of_a_block_change_no_number(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        await device.write(np.full(13, 0.25))
        block = Block(0, 20_000, CodeSpec("random", 1, 2), SampleOrder(2, 4, 4, 20_000))
        wanted = await device.probe(block)
        link, repeated = device.session.link, device.session.link.repeated
        task = asyncio.create_task(device.probe(block))
        for _ in range(5):
            for kind, payload in ((Type.PING, b""), (Type.IDENTIFY, Identify(7, 0, 16384, 0).pack())):
                link.byte_stream.write(encode(Frame(kind, 0, payload)))  # whose answers nobody awaits
            await asyncio.sleep(0.001)
        np.testing.assert_array_equal((await task).perturbed, wanted.perturbed)
        assert link.connection.stray >= 10
        assert link.repeated == repeated


async def test_a_cancelled_block_answers_no_later_question(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device, open_device(REFERENCE_CHIP) as chip:
        for one in (device, chip):
            await one.load(load("xor"))
            await one.write(np.full(13, 0.25))
        block = Block(0, 500, CodeSpec("random", 1, 2), SampleOrder(2, 4, 2, 3))
        wanted = await chip.probe(block)
        for wait in (0.0, 0.001, 0.01):
            task = asyncio.create_task(device.probe(block))
            await asyncio.sleep(wait)
            task.cancel()
            await asyncio.wait([task])
            answer = await device.probe(block)
            np.testing.assert_array_equal(answer.perturbed, wanted.perturbed)
            np.testing.assert_array_equal(answer.reference, wanted.reference)


async def test_one_host_at_a_time(bench: Any) -> None:
    async with bench.serve() as address, open_device(address):
        with pytest.raises((DeviceUnavailable, LinkLost), match="in use by another host"):
            await open_device(f"{address}?timeout=0.2&reconnect=0").open()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("tcp:127.0.0.1", "expected"),
        ("tcp:127.0.0.1:x", "expected"),
        ("tcp:127.0.0.1:1?tiemout=1", "did you mean 'timeout'"),
        ("tcp:127.0.0.1:1?baud=9600", "is for serial: addresses only"),
        ("serial:", "says no port"),
        ("serial:/dev/x?baud=fast", "expected a whole number"),
        ("serial:/dev/x?line=can", "expected usb or uart"),
        ("serial:/dev/x?timeout=0", "expected 0.05"),
    ],
)
def test_addresses_that_are_none(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_device(uri)


@pytest.mark.parametrize("uri", ["tcp:127.0.0.1:1?reconnect=0", "serial:/dev/no-such-port?reconnect=0"])
async def test_a_board_that_is_not_there(uri: str) -> None:
    with pytest.raises(DeviceUnavailable, match=r"cannot (connect|open)"):
        async with open_device(uri):
            pass


async def test_what_is_no_board_is_said_so(bench: Any) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(DeviceUnavailable, match="does not answer as a board"):
            async with open_device(f"tcp:127.0.0.1:{port}?timeout=0.2&reconnect=0"):
                pass
