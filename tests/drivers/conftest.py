"""Boards in software on real ports, in the test's own event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mgdhw.device import open_device
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.fault_injection import Faults
from mgdhw_drivers.server.limits import NO_LIMITS, Limits
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.scpi import SCPI
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener
from tests.helpers.chips import REFERENCE_CHIP


class DeviceServer:
    """Serves devices, each at an address of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._served = 0
        self.station: Endpoint
        self.listener: Listener

    @contextlib.asynccontextmanager
    async def serve(
        self,
        uri: str = REFERENCE_CHIP,
        how: str = "tcp",
        faults: str = "",
        *,
        baud: int = 0,
        seed: int = 0,
        limits: Limits = NO_LIMITS,
    ) -> AsyncIterator[str]:
        """An address where a device is served for as long as this lasts."""
        self._served += 1
        self.station = Endpoint(open_device(uri), Line(baud, Faults.parse(faults), seed), limits)
        if how == "tcp":
            self.listener = TcpListener(self.station, 0)
        elif how == "unix":
            self.listener = UnixListener(self.station, self._folder / f"socket{self._served}")
        elif how.startswith("scpi"):
            place = {"scpi": "0", "scpi-pty": f"pty:{self._folder / f'port{self._served}'}"}[how]
            self.listener = SCPI.listener(self.station, place, SCPI.options())
        else:
            self.listener = PtyListener(self.station, self._folder / f"port{self._served}")
        async with serving(self.station, self.listener):
            yield self.listener.address


@pytest.fixture
def bench(tmp_path: Path) -> DeviceServer:
    """Serves devices over real TCP connections and pseudo-terminals."""
    return DeviceServer(tmp_path)


def experiment(level: str = "auto", **training: Any) -> dict[str, Any]:
    """A short training of XOR."""
    return {
        "device": {"uri": REFERENCE_CHIP},
        "data": {"name": "xor"},
        "training": {"probes": 200, "tau_theta": 20, **training},
        "evaluation": {"every": 100},
        "run": {"level": level, "retries": 8},
    }


@pytest.fixture
def xor() -> Any:
    """Makes experiments."""
    return experiment
