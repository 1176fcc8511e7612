"""Transports are declared once: what is declared is what is documented, and one more needs one file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import mgdhw
from mgdhw.cli.devices import installed
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw_drivers.client.options import option_names
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.transport import installed_transports, listen_forms, transport_for

from .conftest import CHIP, experiment

DOCUMENT = Path(__file__).parents[2] / "docs" / "drivers.md"
LOOP = '''
"""Boards of this process: `loop:NAME`."""

import asyncio

from mgdhw.errors import DeviceAbsent
from mgdhw_drivers.client.byte_stream import ByteStream
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.transports.transport import Transport

LISTENING = {}


class LoopListener(Listener):
    def __init__(self, endpoint, name):
        super().__init__(endpoint)
        self.name = name
        self.host = None

    @property
    def address(self):
        return f"loop:{self.name}"

    async def start(self):
        LISTENING[self.name] = self

    async def stop(self):
        del LISTENING[self.name]

    def connect(self, receiver):
        self.host = receiver
        self.endpoint.connected(self.write, self.close)

    def write(self, data):
        asyncio.get_running_loop().call_soon(lambda: self.host and self.host.received(data))

    def close(self):
        host, self.host = self.host, None
        self.endpoint.disconnected()
        if host is not None:
            host.gone("the board has hung up")


class LoopStream(ByteStream):
    async def open(self, receiver):
        if self.name not in LISTENING:
            raise DeviceAbsent(f"nothing is served at {self.name}", uri=self.uri)
        LISTENING[self.name].connect(receiver)

    def write(self, data):
        asyncio.get_running_loop().call_soon(LISTENING[self.name].endpoint.received, data)

    async def close(self):
        if self.name in LISTENING and LISTENING[self.name].host is not None:
            LISTENING[self.name].host = None
            LISTENING[self.name].endpoint.disconnected()


LOOP = Transport(
    scheme="loop",
    about="a board of this process",
    options=LinkOptions,
    place="NAME",
    lacks="name",
    example="loop:NAME",
    connect=lambda uri, place, options: LoopStream(uri, place),
    listen_place="NAME",
    listen=lambda endpoint, place, options: LoopListener(endpoint, place),
    listen_about="this process",
)
'''
POINTS = """
[mgdhw.transports]
loop = loop_of_a_test:LOOP
broken = loop_of_a_test:MISSING
number = loop_of_a_test:LISTENING
tcp = loop_of_a_test:LOOP
[mgdhw.devices]
loop = loop_of_a_test:LOOP.open_device
[mgdhw.presets]
loop = loop_of_a_test:LOOP.presets
"""


@pytest.fixture
def loop_transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another transport, installed as pip would: a module, and metadata with entry points."""
    info = tmp_path / "loop-1.dist-info"
    info.mkdir()
    (tmp_path / "loop_of_a_test.py").write_text(LOOP, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loop\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loop_of_a_test", raising=False)


def test_what_is_declared_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for scheme, transport in installed_transports().items():
        assert f"{scheme}:" in text, scheme
        for name in option_names(transport.options):
            assert f"| `{name}` |" in text, f"{scheme}: option {name}"


def test_whoever_asks_for_what_there_is_not_gets_to_know_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no transport answers to 'tpc'; did you mean 'tcp'\?"):
        transport_for("tpc")
    with pytest.raises(ConfigError, match="pty: is only served"):
        transport_for("pty").stream("pty:x", "x", transport_for("pty").options())
    for forms in ("pty:[LINK]", "serial:PORT", "tcp:PORT", "unix:PATH"):
        assert forms in listen_forms()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp:192.168.0.7:5510", "it is served to this machine alone; serve at tcp:PORT or unix:PATH"),
        ("tcp:", "port '': expected 0 ... 65535"),
        ("unix:", "says no path; expected unix:PATH"),
        ("serial:", "says no port; expected serial:PORT"),
        ("tcp:0?baud=9600", "option 'baud' is for serial: addresses only"),
    ],
)
def test_places_where_nothing_can_be_served(address: str, says: str) -> None:
    scheme, _, rest = address.partition(":")
    place, _, query = rest.partition("?")
    transport = transport_for(scheme)
    given = dict([query.split("=")]) if query else {}
    with pytest.raises(ConfigError, match=says):
        transport.listener(Endpoint(open_device(CHIP), Line()), place, transport.read_options(address, given))


@pytest.mark.usefixtures("loop_transport")
async def test_one_more_transport_is_a_file_and_its_entry_points() -> None:
    assert {"loop", "tcp"} <= installed_transports().keys()
    assert "loop:NAME" in listen_forms()
    with pytest.raises(ConfigError, match=r"transport 'broken', .* cannot be loaded: AttributeError"):
        transport_for("broken")
    with pytest.raises(ConfigError, match=r"cannot be loaded: is a dict; expected a mgdhw_drivers\.transports"):
        transport_for("number")
    with pytest.raises(
        ConfigError, match=r"several transports answer to 'tcp'; uninstall all but one of loop 1 \(loop_of"
    ):
        transport_for("tcp")
    (found,) = [driver for driver in installed() if driver["scheme"] == "loop"]
    assert found["presets"] == {"loop:NAME": "a board of this process"}
    transport = transport_for("loop")
    endpoint = Endpoint(open_device(CHIP), Line())
    listener = transport.listener(endpoint, "a", transport.read_options("loop:a", {}))
    async with asyncio.timeout(60), serving(endpoint, listener):
        served = await mgdhw.train_async(experiment(), device=listener.address, runs=None)
    alone = await mgdhw.train_async(experiment(), runs=None)
    assert served.digest == alone.digest
