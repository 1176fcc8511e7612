"""A serial port of this machine, to which a host is wired."""

from __future__ import annotations

import asyncio
import contextlib

from mgdhw_drivers.client.serial import SerialTransport
from mgdhw_drivers.server.endpoint import Station
from mgdhw_drivers.server.listeners.listener import Listener

DRAIN_SECONDS = 0.01
"""How often it is looked whether what was sent has gone out."""


class SerialListener(Listener):
    """A serial port, to which a host is wired.

    Args:
        station: what hosts are let in to.
        port: its name.
        baud: speed of the line.
    """

    def __init__(self, station: Station, port: str, baud: int) -> None:
        super().__init__(station)
        self._port = port
        self._transport = SerialTransport(f"serial:{port}", port, baud, slow=False)
        self._draining: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        return f"serial:{self._port}"

    async def start(self) -> None:
        await self._transport.open(self)
        self.station.connected(self._write, lambda: None)

    async def stop(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        await self._transport.close()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._draining is None and self._transport.unsent:
            self.station.pause()
            self._drained()

    def _drained(self) -> None:
        """Go on once what was sent has gone out."""
        self._draining = None
        if self._transport.unsent:
            self._draining = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._drained)
        else:
            self.station.resume()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        self.station.received(data)

    def gone(self, why: str) -> None:
        """The port is gone."""
        with contextlib.suppress(RuntimeError):
            self.station.disconnected()
