"""A TCP port of this machine, where hosts come in that know the server's secret."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from mgdhw.errors import DeviceUnavailable
from mgdhw_drivers import secret
from mgdhw_drivers.server.endpoint import Station
from mgdhw_drivers.server.listeners.visitors import VisitedListener, Visitor

LOOPBACK = "127.0.0.1"
"""The link is not encrypted, so it is served to this machine alone; to another one, through ssh."""


class TcpListener(VisitedListener):
    """A TCP port of this machine.

    Args:
        station: what hosts are let in to.
        port: its number; 0: any that is free.
    """

    def __init__(self, station: Station, port: int) -> None:
        super().__init__(station)
        self.port = port
        self.secret_file: Path | None = None
        """Where this user's hosts find what they have to know, while it listens."""
        self._server: asyncio.Server | None = None
        self._offer = contextlib.ExitStack()

    @property
    def address(self) -> str:
        return f"tcp:{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable, and ConfigError where the secret cannot be kept."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Visitor(self), LOOPBACK, self.port, start_serving=False)
        except OSError as error:
            raise DeviceUnavailable(
                f"cannot listen on port {self.port}: {error.strerror or error}; try --tcp 0", uri=self.address
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self.secret, self.secret_file = self._offer.enter_context(secret.offered(self.port))
        await self._server.start_serving()

    async def stop(self) -> None:
        self._offer.close()  # before another server can have the port
        if self._server is not None:
            self._server.close()
        await self.turn_out()
