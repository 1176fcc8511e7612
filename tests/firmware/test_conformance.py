"""The C core held to the contract, on TCP and on a pseudo-terminal, through the ordinary drivers."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.testing import DeviceConformance, Opener

from .talk import board


@pytest.mark.long
class TestFirmware(DeviceConformance):
    """All of the contract."""

    @pytest.fixture(autouse=True, params=["--tcp 0", "--pty"], ids=["tcp", "pty"])
    async def served(self, request: pytest.FixtureRequest, host: Path) -> AsyncIterator[None]:
        with board(host, *request.param.split(), "layers=3-4-2") as (_, address):
            self.address = address
            yield

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Opener]:
        yield lambda: open_device(self.address)
