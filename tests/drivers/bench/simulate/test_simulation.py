from __future__ import annotations

import asyncio
import os
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.load import parse_rack
from mgdhw_drivers.bench.simulate.faults import FaultInjector, Faults, MessageFault
from mgdhw_drivers.bench.simulate.rack_file import with_addresses
from mgdhw_drivers.bench.simulate.simulation import RackSimulation, SimulationSettings, chip_uri
from tests.drivers.bench.simulate.racks import BENCHES, NAMES, SMALL, example

RACK = example("source-and-scope")
SECONDS = 30.0


@asynccontextmanager
async def connection(
    simulation: RackSimulation, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to an instrument."""
    _, host, port, _ = simulation.addresses[name].split("::")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(SECONDS):
            yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def simulation(faults: str = "", **settings: bool) -> RackSimulation:
    """The first example."""
    chosen = SimulationSettings(faults=Faults.parse(faults), **settings)  # type: ignore[arg-type]
    return RackSimulation(RACK, "analog-8bit?engine=reference", chosen)


async def test_instruments_listen_on_loopback_only() -> None:
    async with simulation() as rig, connection(rig, "source") as (reader, writer):
        assert all(address.startswith("TCPIP::127.0.0.1::") for address in rig.addresses.values())
        writer.write(b"*IDN?\nSOUR3:VOLT 0.5;VOLT?\n")
        assert await reader.readline() == b"mgdhw,SRC32,source,simulated\n"
        assert await reader.readline() == b"0.5\n"


async def test_connections_share_the_instrument() -> None:
    async with simulation() as rig, connection(rig, "source") as one, connection(rig, "source") as other:
        one[1].write(b"SOUR3:VOLT 0.5;*OPC?\n")
        assert await one[0].readline() == b"1\n"
        other[1].write(b"SOUR3:VOLT?\n")
        assert await other[0].readline() == b"0.5\n"


async def test_a_web_page_is_hung_up_on() -> None:
    async with simulation() as rig:
        async with connection(rig, "source") as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSOUR1:VOLT 3\n")
            assert await reader.read() == b""
        async with connection(rig, "source") as (reader, writer):
            writer.write(b"SOUR1:VOLT?;:SYST:ERR:COUN?\n")
            assert await reader.readline() == b"0.0;0\n"


async def test_connections_are_closed_on_purpose() -> None:
    async with simulation("close=1") as rig, connection(rig, "source") as (reader, writer):
        writer.write(b"*IDN?\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert rig.fault_counts() == {"close": 1}


async def test_a_reboot_ends_every_connection() -> None:
    async with simulation() as rig, connection(rig, "source") as one, connection(rig, "source") as other:
        one[1].write(b"SOUR1:VOLT 1;*ESR?\n")
        assert await one[0].readline() == b"128\n"
        source = rig.ports[0].instrument
        source.faults.faults = Faults(reboot=1.0)
        other[1].write(b"SOUR1:VOLT 2;VOLT?\n")
        for reader, _ in (one, other):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        source.faults.faults = Faults()
        async with connection(rig, "source") as (reader, writer):
            writer.write(b"*ESR?;:SOUR1:VOLT?\n")
            assert await reader.readline() == b"128;0.0\n"


@pytest.mark.parametrize(("faults", "shown"), [("garbage=1", None), ("half=1", b"mgdhw,SRC32,so")])
async def test_replies_go_wrong_on_purpose(faults: str, shown: bytes | None) -> None:
    async with simulation(faults) as rig, connection(rig, "source") as (reader, writer):
        writer.write(b"*IDN?\n")
        if shown is not None:
            assert await reader.readexactly(len(shown)) == shown
        else:
            reply = await reader.readline()
            assert not any(character in reply for character in b"0123456789#")


async def test_late_replies_come_late() -> None:
    async with simulation("late=1,delay=20ms") as rig, connection(rig, "source") as (reader, writer):
        writer.write(b"*OPC?\n")
        assert await reader.readline() == b"1\n"
        assert rig.fault_counts() == {"late": 1}


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
async def test_pseudo_terminals() -> None:
    async with simulation(pty=True) as rig:
        address = rig.addresses["source"]
        assert address.startswith("ASRL/dev/")
        descriptor = os.open(address.removeprefix("ASRL").removesuffix("::INSTR"), os.O_RDWR | os.O_NOCTTY)
        try:
            for message, reply in ((b"*OPC?\n", b"1\n"), (b"GET / HTTP/1.1\r\n", b""), (b"SOUR1:VOLT?\n", b"0.0\n")):
                os.write(descriptor, message)
                seconds = SECONDS if reply else 0.2
                ready, _, _ = await asyncio.to_thread(select.select, [descriptor], [], [], seconds)
                assert (os.read(descriptor, 100) if ready else b"") == reply
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("name", NAMES)
def test_the_rack_file_gets_the_addresses(name: str) -> None:
    path = BENCHES / f"{name}.toml"
    rack = example(name)
    addresses = {member: f"TCPIP::127.0.0.1::{1000 + n}::SOCKET" for n, member in enumerate(rack.resources())}
    changed = parse_rack(with_addresses(path.read_text(), str(path), addresses), "changed")
    assert {member: address for member, (address, _) in changed.resources().items()} == addresses
    assert changed.parameters == rack.parameters
    assert changed.safe == rack.safe


def test_backends_and_terminations_become_those_of_the_simulation() -> None:
    text = (BENCHES / "source-and-scope.toml").read_text()
    text = text.replace('backend = "@py"', "backend = '@ivi'").replace(
        'read_termination = "\\n"', "read_termination='\\r'"
    )
    changed = parse_rack(with_addresses(text, "r", {"source": "ASRL/dev/pts/7::INSTR", "scope": "B"}), "r")
    source = changed.instruments["source"]
    assert (source.backend, source.read_termination, source.write_termination) == ("@py", "\n", "\n")


def test_an_address_that_cannot_be_replaced() -> None:
    text = (BENCHES / "source-and-scope.toml").read_text()
    text = text.replace('"TCPIP::192.168.0.20::5025::SOCKET"', '"TCPIP::192.168.0.20::\\u0035025::SOCKET"')
    with pytest.raises(ConfigError, match="the address of source cannot be replaced"):
        with_addresses(text, "r.toml", {"source": "A", "scope": "B"})


def test_addresses_of_chips() -> None:
    assert chip_uri(RACK, "sim:x?layers=1-1") == "sim:x?layers=1-1"
    assert chip_uri(RACK, "analog-8bit") == "sim:analog-8bit?layers=2-3-1&weight_range=4"
    assert chip_uri(RACK, "analog-8bit?weight_range=8") == "sim:analog-8bit?weight_range=8&layers=2-3-1"
    with pytest.raises(ConfigError, match="how many neurons"):
        chip_uri(SMALL, "analog-8bit")


async def test_a_chip_that_does_not_fit() -> None:
    rig = RackSimulation(RACK, "sim:analog-8bit?layers=2-2-1", SimulationSettings())
    with pytest.raises(ConfigError, match="has 9 parameters, the rack has 13"):
        await rig.__aenter__()


def test_faults_are_reproducible() -> None:
    faults = Faults.parse("close=0.2, reboot=0.2,delay=5ms")
    first, again = (FaultInjector(faults, 3, "source") for _ in range(2))
    drawn = [first.message() for _ in range(200)]
    assert drawn == [again.message() for _ in range(200)]
    assert {*drawn} == {None, MessageFault.CLOSE, MessageFault.REBOOT}
    assert first.counts["close"] == drawn.count(MessageFault.CLOSE)
    with pytest.raises(ConfigError, match="did you mean"):
        Faults.parse("rebot=0.1")


def test_settings_of_a_record(tmp_path: Path) -> None:
    assert SimulationSettings(record=tmp_path / "a.csv").faults == Faults()
