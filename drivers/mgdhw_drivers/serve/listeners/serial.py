"""A serial port of this machine, to which a host is wired."""

from __future__ import annotations

import contextlib

from mgdhw_drivers.linked.serial import SerialTransport
from mgdhw_drivers.serve.listeners.listener import Listener
from mgdhw_drivers.serve.station import Station


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

    @property
    def address(self) -> str:
        return f"serial:{self._port}"

    async def start(self) -> None:
        await self._transport.open(self)
        self.station.connected(self._transport.write, lambda: None)

    async def stop(self) -> None:
        await self._transport.close()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        self.station.received(data)

    def gone(self, why: str) -> None:
        """The port is gone."""
        with contextlib.suppress(RuntimeError):
            self.station.disconnected()
