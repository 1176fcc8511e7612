"""Every device that mgdhw has, held to the contract, over every transport that there is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.testing import DeviceConformance, Opener
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.scpi import SCPI
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener

Surroundings = Callable[[], AbstractAsyncContextManager[Opener]]
"""Sets up what a device needs (a server, a pair of ports, a process) for one test; gives what makes the device."""

CHIP = "sim:analog-8bit?layers=3-4-2"


def in_process(uri: str) -> Surroundings:
    """A device that needs nothing but its address."""

    @contextlib.asynccontextmanager
    async def surroundings() -> AsyncIterator[Opener]:
        yield lambda: open_device(uri)

    return surroundings


def served(uri: str, how: str = "tcp") -> Surroundings:
    """A device that is served over TCP, a Unix socket or a pseudo-terminal, and driven from there."""

    @contextlib.asynccontextmanager
    async def surroundings() -> AsyncIterator[Opener]:
        station = Endpoint(open_device(uri), Line())
        with tempfile.TemporaryDirectory() as folder:
            listeners: dict[str, Listener] = {
                "tcp": TcpListener(station, 0),
                "unix": UnixListener(station, Path(folder) / "board"),
                "pty": PtyListener(station, None),
                "scpi": SCPI.listener(station, "0", SCPI.options()),
                "scpi-pty": SCPI.listener(station, "pty:", SCPI.options()),
            }
            async with serving(station, listeners[how]):
                yield lambda: open_device(listeners[how].address)

    return surroundings


DEVICES: dict[str, Surroundings] = {
    "chip, reference": in_process(f"{CHIP}&engine=reference"),
    "chip, numba": in_process(f"{CHIP}&engine=numba"),
    "chip, host codes": in_process(f"{CHIP}&engine=reference&codes=host"),
    "chip, noise": in_process(f"{CHIP}&engine=reference&cost_noise=0.02"),
    "chip, cells that move by pulses": in_process(f"{CHIP}&engine=reference&w_max=2&w_min=-2&write_noise=0.05"),
    "chip, 16 bits, classes": in_process("sim:ideal-16bit?layers=5-3-3&cost=xent&engine=reference"),
    "tcp": served(f"{CHIP}&engine=reference"),
    "unix": served(f"{CHIP}&engine=reference", "unix"),
    "pty": served(f"{CHIP}&engine=reference", "pty"),
    "scpi": served(f"{CHIP}&engine=reference", "scpi"),
    "scpi-pty": served(f"{CHIP}&engine=reference", "scpi-pty"),
    "tcp, host codes": served(f"{CHIP}&engine=reference&codes=host"),
}
"""A new device or transport is a line here."""


@pytest.mark.long
class TestDevice(DeviceConformance):
    """All of the contract, for all of the devices."""

    @pytest.fixture(autouse=True, params=DEVICES)
    def surrounded(self, request: pytest.FixtureRequest) -> None:
        self.surroundings = DEVICES[request.param]

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Opener]:
        async with self.surroundings() as opener:
            yield opener
