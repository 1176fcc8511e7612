"""Chips that speak SCPI: to people at a terminal, to programs, and to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from mgdhw.block import Block, CodeSpec
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceUnavailable, LimitExceeded
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.numbers import State
from mgdhw_drivers.server.limits import Limits
from mgdhw_drivers.transports.scpi import SCPI
from tests.helpers.chips import REFERENCE_CHIP
from tests.helpers.waiting import until


class Terminal:
    """Somebody who types SCPI."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def write(self, message: bytes) -> None:
        self._writer.write(message + b"\n")

    async def ask(self, message: bytes) -> str:
        self.write(message)
        return (await self._reader.readline()).decode().strip()

    async def is_ended(self) -> bool:
        """Whether the other end hangs up, and says nothing before."""
        with contextlib.suppress(ConnectionError):
            return await self._reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def terminal(address: str) -> AsyncIterator[Terminal]:
    """A raw connection to a chip."""
    _, host, port, _ = address.split("::")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Terminal(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def is_safe(bench: Any) -> bool:
    """Whether the hardware is in its safe state."""
    return bench.station._board.state is not State.READY and bench.station._board.hardware.safe


async def test_a_person_trains_by_hand(bench: Any) -> None:
    async with bench.serve(how="scpi") as address, terminal(address) as chip:
        assert (await chip.ask(b"*IDN?")).startswith("mgdhw,simulated chip ")
        assert is_safe(bench)  # nothing moves before anything is asked to
        assert await chip.ask(b"SYST:VERS?") == "1999.0"
        parameters = len((await chip.ask(b"MGD:PAR?")).split(","))
        limits = np.array((await chip.ask(b"MGD:LIM?")).split(","), dtype=float).reshape(3, -1)
        theta = np.clip(np.round(0.3 / limits[2]) * limits[2], limits[0], limits[1])
        chip.write(b"MGD:PAR " + b",".join(b"%r" % value for value in theta.tolist()))
        held = np.array((await chip.ask(b"mgd:parameters?")).split(","), dtype=float)
        np.testing.assert_array_equal(held, theta)
        data = load("xor")
        inputs, targets = data.values(np.arange(4)), data.targets
        for form, dtype in ((b"REAL,32;:FORM:BORD NORM", ">f4"), (b"REAL,64;:FORM:BORD SWAP", "<f8")):
            blocks = b",".join(_block(array.astype(dtype).tobytes()) for array in (inputs, targets))
            assert await chip.ask(b"FORM " + form + b";:MGD:DAT 4," + blocks + b";:SYST:ERR?") == '0,"No error"'
        assert await chip.ask(b"FORM ASC;:MGD:INF? 0,1,2,3;:SYST:ERR?") != ""
        outputs = np.array((await chip.ask(b"MGD:INF? 0,1,2,3")).split(","), dtype=float)
        costs = [int(await chip.ask(b"MGD:COST? 0,1,2,3")) for _ in range(2)]
        assert costs[0] == costs[1]
        probed = await chip.ask(b'MGD:PROB? 0,5,RANDOM,"7",2,4')
        async with open_device(REFERENCE_CHIP) as device:
            await device.load(data)
            await device.write(theta)
            assert device.info.n_parameters == parameters
            np.testing.assert_array_equal(outputs, (await device.infer(np.arange(4))).ravel())
            result = await device.probe(Block(0, 5, CodeSpec("random", 7, 2), SampleOrder(0, 4, 4, 1)))
        wanted = np.stack([result.reference, result.perturbed], axis=1)
        got = np.array(probed.split(","), dtype=int)
        assert set(got.tolist()) >= set(wanted[:, 1].tolist())
        chip.write(b"*RST")
        assert await chip.ask(b"*OPC?") == "1"
        assert is_safe(bench)
        assert await chip.ask(b"MGD:SAFE?") == "1"
        assert await chip.ask(b"SYST:ERR?") == '0,"No error"'


def _block(raw: bytes) -> bytes:
    size = b"%d" % len(raw)
    return b"#%d%s%s" % (len(size), size, raw)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"MGD:PAR 1,2", "-220"),
        (b"MGD:PAR nonsense", "-224"),
        (b"MGD:COST? 0", "-221"),
        (b"MGD:PROB? 0,5", "-221"),
        (b"MGD:PROB? 0,5,NONSENSE", "-224"),
        (b"MGD:DAT 4,#11a,#11b", "-221"),
        (b"MGD:REST #13abc", "-2"),
        (b"MGD:NONSENSE", "-113"),
        (b"MGD:REQ? 77,#10", "-224"),
        (b"MGD:SNAP? 7", "-108"),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_in_the_queue(bench: Any, message: bytes, error: str) -> None:
    async with bench.serve(how="scpi") as address, terminal(address) as chip:
        chip.write(message)
        assert (await chip.ask(b"SYST:ERR?")).startswith(error)
        assert await chip.ask(b"SYST:ERR?") == '0,"No error"'


async def test_limits_hold_for_every_host(bench: Any) -> None:
    async with bench.serve(how="scpi", limits=Limits(slew=0.1, stress=1.0)) as address, terminal(address) as chip:
        number = len((await chip.ask(b"MGD:PAR?")).split(","))
        for value, error in ((b"0.5", '0,"No error"'), (b"-0.5", '-222,"Data out of range;LIMIT -1')):
            chip.write(b"MGD:PAR " + b",".join([value] * number))
            assert (await chip.ask(b"SYST:ERR?")).startswith(error)


PAGES = {
    "form": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\nMGD:PAR {theta}\r\n",
    "image": b"GET /MGD:PAR?{theta} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "preflight": b"OPTIONS / HTTP/1.1\r\n\r\nMGD:PAR {theta}\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\nMGD:PAR {theta}\n",
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("split", [1, 1000])
async def test_what_a_web_page_can_send_moves_nothing(bench: Any, page: str, split: int) -> None:
    async with bench.serve(how="scpi") as address:
        async with terminal(address) as visitor:
            request = PAGES[page].replace(b"{theta}", b",".join([b"0.5"] * 26))
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(request), split):
                    visitor._writer.write(request[start : start + split])
                    await asyncio.sleep(0)
            assert await visitor.is_ended()
        await until(lambda: not bench.listener.endpoint.occupied)
        assert bench.station._board.work.sets == 0
        async with open_device(address) as device:  # and keeps nobody out
            await device.write(np.zeros(device.info.n_parameters))


async def test_there_is_one_host_at_a_time(bench: Any) -> None:
    async with bench.serve(how="scpi") as address, open_device(address) as device:
        await device.write(np.full(device.info.n_parameters, 0.25))
        async with terminal(address) as other:
            assert await other.is_ended()
        with pytest.raises(DeviceUnavailable, match="used by another program"):
            await open_device(address).open()
        np.testing.assert_array_equal(await device.read(), 0.25)


async def test_a_host_that_hangs_up_leaves_a_safe_chip(bench: Any) -> None:
    async with bench.serve(how="scpi") as address:
        async with terminal(address) as chip:
            number = len((await chip.ask(b"MGD:PAR?")).split(","))
            chip.write(b"MGD:PAR " + b",".join([b"0.5"] * number))
            assert set((await chip.ask(b"MGD:PAR?")).split(",")) == {"0.5"}
            assert not is_safe(bench)
        await until(lambda: is_safe(bench))


HOST = """
import asyncio, sys
import numpy as np
from mgdhw.device import open_device

async def host():
    async with open_device(sys.argv[1]) as device:
        await device.write(np.full(device.info.n_parameters, 0.5))
        print("written", flush=True)
        await asyncio.sleep(1000)

asyncio.run(host())
"""


@pytest.mark.parametrize("how", ["scpi", pytest.param("scpi-pty", marks=pytest.mark.long)])
async def test_a_killed_host_leaves_a_safe_chip_that_can_be_used_again(bench: Any, how: str) -> None:
    async with bench.serve(how=how) as address:
        host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, address, stdout=asyncio.subprocess.PIPE)
        assert host.stdout is not None
        assert await host.stdout.readline() == b"written\n"
        assert not is_safe(bench)
        host.kill()
        await host.wait()
        await until(lambda: is_safe(bench))
        async with open_device(address) as device:
            await device.write(np.zeros(device.info.n_parameters))


async def test_a_host_that_falls_silent_is_disconnected(bench: Any) -> None:
    async with bench.serve(how="scpi") as address:
        device = open_device(f"{address}?dead_man=0.3")
        await device.open()
        await device.write(np.full(device.info.n_parameters, 0.25))
        await asyncio.sleep(0.5)
        assert not is_safe(bench)  # it sends signs of life
        device._heartbeat.cancel()  # type: ignore[attr-defined]
        await until(lambda: is_safe(bench))
        await until(lambda: not bench.listener.endpoint.occupied)
        await device.write(np.full(device.info.n_parameters, 0.5))  # it connects again
        np.testing.assert_array_equal(await device.read(), 0.5)
        await device.close()


async def test_long_operations_are_waited_for(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.serve(how="scpi") as address, open_device(f"{address}?timeout=0.3") as device:
        await device.load(load("xor"))
        await device.write(np.zeros(device.info.n_parameters))
        block = Block(0, 20, CodeSpec("random", 7, 2), SampleOrder(0, 4, 4, 20))
        wanted = await device.probe(block)
        served = bench.station.device
        probe = served.probe

        async def slowly(block: Block) -> Any:
            await asyncio.sleep(0.5)
            return await probe(block)

        monkeypatch.setattr(served, "probe", slowly)
        np.testing.assert_array_equal((await device.probe(block)).perturbed, wanted.perturbed)
        task = asyncio.create_task(device.probe(block))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        monkeypatch.setattr(served, "probe", probe)
        np.testing.assert_array_equal((await device.probe(block)).perturbed, wanted.perturbed)


async def test_errors_of_the_chip_are_those_of_the_link(bench: Any) -> None:
    async with bench.serve(how="scpi", limits=Limits(stress=0.6)) as address, open_device(address) as device:
        await device.write(np.full(device.info.n_parameters, 0.5))
        with pytest.raises(LimitExceeded, match="limit of stress"):
            await device.write(np.full(device.info.n_parameters, -0.5))


async def test_what_is_no_chip_is_refused(bench: Any) -> None:
    with pytest.raises(ConfigError, match="expected scpi:PORT"):
        SCPI.listener(None, "nonsense", SCPI.options())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no option 'nonsense'"):
        open_device("visa:ASRL1::INSTR?nonsense=1")
    with pytest.raises(ConfigError, match="is only served"):
        SCPI.open_device("scpi:5025")
