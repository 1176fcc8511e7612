"""`mgdhw devices` lists what is found at VISA, in bounded time, and says what was skipped."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from mgdhw.cli.devices import installed
from mgdhw_drivers.visa import backend, discovery
from mgdhw_drivers.visa.resource import Resource, ResourceSettings
from tests.helpers.sockets import free_port

from .acme import Acme


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the backend lists."""
    names: list[str] = []
    manager = backend.resource_manager("@py", "")
    monkeypatch.setattr(manager, "list_resources", lambda: tuple(names))
    monkeypatch.setattr(discovery, "_backends", lambda: ["@py"])
    return names


async def test_instruments_are_listed_with_their_identity(listed: list[str], bench: Any) -> None:
    async with Acme().listening() as acme, bench.serve(how="scpi") as chip:
        absent = f"TCPIP::127.0.0.1::{free_port()}::SOCKET"
        listed += [acme.address, absent, chip.removeprefix("visa:")]
        found = await asyncio.to_thread(discovery.discover)
        assert list(found) == [f"visa:{acme.address}", f"visa:{absent}", chip]
        assert found[f"visa:{acme.address}"].startswith("ACME,source,7,1.0: an instrument, for a rack")
        assert "skipped: cannot open" in found[f"visa:{absent}"]
        assert found[chip].startswith("mgdhw,simulated chip")
        assert acme.received == ["*IDN?", "*IDN?"]  # nothing else is sent


async def test_an_instrument_in_use_is_left_alone(listed: list[str]) -> None:
    async with Acme().listening() as acme:
        source = Resource("acme", acme.address, ResourceSettings(check_errors=False), "")
        await source.open()
        before = len(acme.received)
        listed.append(acme.address)
        found = await asyncio.to_thread(discovery.discover)
        assert "used by another program, or elsewhere in this one" in found[f"visa:{acme.address}"]
        assert len(acme.received) == before
        await source.close()


async def test_what_hangs_is_skipped(listed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(discovery, "ASK_SECONDS", 0.2)
    monkeypatch.setattr(discovery, "LIST_SECONDS", 0.2)
    monkeypatch.setattr(discovery, "_ask", lambda backend, name: str(release.wait()))
    listed.append("TCPIP::192.0.2.1::INSTR")
    began = time.monotonic()
    found = await asyncio.to_thread(discovery.discover)
    assert found == {"visa:TCPIP::192.0.2.1::INSTR": "skipped: no answer within 0.2 s"}
    monkeypatch.setattr(backend.resource_manager("@py", ""), "list_resources", release.wait)
    assert await asyncio.to_thread(discovery.discover) == {"visa:…": "skipped: no answer within 0.2 s"}
    assert time.monotonic() - began < 30
    release.set()


def test_visa_is_among_the_devices(listed: list[str]) -> None:
    (visa,) = [driver for driver in installed() if driver["scheme"] == "visa"]
    assert visa["problem"] is None
    assert "visa:RESOURCE" in visa["presets"]
