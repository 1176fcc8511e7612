"""Instruments of other people: opened, identified, written, read, their errors drained, their timeouts recovered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mgdhw.errors import DeviceFault, LinkTimeout
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

from . import parts

URI = "bench:test.toml"
SIMULATED = {
    "pyvisa-sim asrl": "ASRL1::INSTR",
    "pyvisa-sim socket": "TCPIP0::localhost::5025::SOCKET",
    "pyvisa-sim usb": "USB0::0x1111::0x2222::0x1::0::INSTR",
}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of the sources of other projects, by their names; those of pyvisa-sim are in its file."""
    folder = tmp_path_factory.mktemp("sinstruments")
    with parts.sinstruments(folder) as (tcp, pty), parts.scpipy(tmp_path_factory.mktemp("scpipy")) as other:
        yield {"sinstruments tcp": tcp, "sinstruments pty": pty, "scpipy": other, **SIMULATED}


@pytest.fixture(
    params=[
        *("sinstruments tcp", "sinstruments pty", "scpipy", "pyvisa-sim asrl"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("pyvisa-sim socket", "pyvisa-sim usb")),
    ]
)
def source(request: pytest.FixtureRequest, tmp_path: Path, addresses: dict[str, str]) -> Resource:
    """A source of another project."""
    project = request.param.partition(" ")[0]
    file = tmp_path / "source.yaml"
    file.write_text(parts.SIMULATED)
    backend = f"{file}@sim" if project == "pyvisa-sim" else "@py"
    settings = ResourceSettings(backend=backend, timeout=0.3, identity=f"{project},source")
    return Resource("source", addresses[request.param], settings, URI)


async def test_a_source_of_another_project_is_used(source: Resource) -> None:
    await source.open()
    try:
        assert source.identity.endswith("source,1,1.0")
        await source.write("VOLT 1.500")
        assert float(await source.query("VOLT?")) == 1.5
        await source.drain_errors()
        await source.write("NONSENSE 1")
        with pytest.raises(DeviceFault, match=r"source reports error -11[03], .* header"):
            await source.drain_errors()
        await source.drain_errors()
        assert float((await source.query_ascii("VOLT?"))[0]) == 1.5
    finally:
        await source.close()


async def test_its_late_answers_are_not_taken_for_others(source: Resource) -> None:
    await source.open()
    try:
        await source.write("VOLT 2.500")
        with pytest.raises(LinkTimeout, match=URI):
            await source.query("SLOW? 0.4")  # pyvisa-sim does not answer it at all
        assert float(await source.query("VOLT?")) == 2.5
    finally:
        await source.close()


@pytest.mark.parametrize("name", ["sinstruments tcp", "sinstruments pty"])
async def test_a_block_of_another_project_is_read_whole(addresses: dict[str, str], name: str) -> None:
    source = Resource("source", addresses[name], ResourceSettings(check_errors=False), URI)
    await source.open()
    try:
        for _ in range(3):
            assert await source.query_block("TRAC?") == bytes(range(256))
    finally:
        await source.close()
