"""Boards that speak SCPI: `mgdhw serve … --listen scpi:5025`, or at a pseudo-terminal or serial port.

SCPI has no way to prove who asks: it is served to this machine alone, at a TCP port of the loopback interface, where
any user of the machine may connect. What a web page may send ends the connection before anything is executed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.server.listener import HostEnd, Listener
from mgdhw_drivers.server.scpi_endpoint import ScpiEndpoint
from mgdhw_drivers.transports.socket_listener import IncomingConnection, SocketListener
from mgdhw_drivers.transports.transport import Transport, transport_for

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint

LOOPBACK = "127.0.0.1"
LINES = ("pty", "serial")
"""Transports over which SCPI is spoken as well."""


class ScpiListener(SocketListener):
    """A TCP port of this machine, for raw SCPI.

    Args:
        endpoint: the board that hosts are connected to.
        port: 0: any.
    """

    def __init__(self, endpoint: HostEnd, port: int) -> None:
        super().__init__(endpoint)
        self._port = port
        self._server: asyncio.AbstractServer | None = None

    @property
    def address(self) -> str:
        return f"visa:TCPIP::{LOOPBACK}::{self._port}::SOCKET"

    @property
    def notice(self) -> str:
        return (
            f"any SCPI client on this machine can use it: TCPIP::{LOOPBACK}::{self._port}::SOCKET, newline at the end"
        )

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: IncomingConnection(self), LOOPBACK, self._port)
        except OSError as error:
            raise DeviceUnavailable(
                f"cannot listen there: {error.strerror or error}", uri=f"scpi:{self._port}"
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.close_all()


class LineListener(Listener):
    """A pseudo-terminal or a serial port, for SCPI.

    Args:
        line: which connects its hosts to a board that speaks SCPI.
    """

    def __init__(self, line: Listener) -> None:
        super().__init__(line.endpoint)
        self._line = line

    @property
    def address(self) -> str:
        return f"visa:ASRL{self._line.address.removeprefix('serial:')}::INSTR"

    async def start(self) -> None:
        await self._line.start()

    async def stop(self) -> None:
        await self._line.stop()


def _listen(endpoint: Endpoint, place: str, options: LinkOptions) -> Listener:
    kind, separator, rest = place.partition(":")
    if separator and kind in LINES:
        transport = transport_for(kind)
        if transport.listen is None:
            raise ConfigError(f"scpi:{place}: nothing can be served at {kind}:")
        return LineListener(transport.listen(ScpiEndpoint(endpoint), rest, transport.options()))
    if not (place.isascii() and place.isdecimal() and len(place) <= 5 and int(place) <= 65535):
        raise ConfigError(
            f"scpi:{place}: expected scpi:PORT, scpi:pty:[LINK] or scpi:serial:PORT, for example scpi:5025"
        )
    return ScpiListener(ScpiEndpoint(endpoint), int(place))


SCPI = Transport(
    scheme="scpi",
    about="SCPI is spoken to hosts: connect to visa:TCPIP::127.0.0.1::PORT::SOCKET",
    options=LinkOptions,
    listen_place="PORT",
    listen=_listen,
    listen_about="SCPI on a TCP port of this machine; scpi:pty:[LINK] and scpi:serial:PORT for a line",
)
