"""Links over serial ports and pseudo-terminals: `serial:/dev/ttyACM0?baud=115200`, `serial:COM3`.

The system decides who may use a port: an error says how to get the permission. Whoever has the cable has the board.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError
from mgdhw.report.console import printable
from mgdhw_drivers.client.byte_stream import ByteStream, Receiver
from mgdhw_drivers.client.options import LinkOptions, option
from mgdhw_drivers.server.listener import HostEnd, Listener
from mgdhw_drivers.transports.serial_port import OpenPort, watch_port
from mgdhw_drivers.transports.transport import Transport

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint

DEFAULT_BAUD = 115_200
FASTEST = 100_000_000
"""Bits per second of a serial line."""
BITS_PER_BYTE = 10
"""Start bit, eight bits, stop bit."""
UNSENT_SECONDS = 0.01
"""How often it is looked whether what was sent has gone out."""
VENDORS = {0x2E8A: "Raspberry Pi", 0x2341: "Arduino", 0x1209: "pid.codes", 0x16C0: "Teensy", 0x303A: "Espressif"}
"""USB vendors whose boards people flash; other ports are listed, but nothing is sent to them."""


@dataclass(frozen=True, slots=True)
class SerialOptions(LinkOptions):
    """What a `serial:` address may say."""

    baud: int = option(DEFAULT_BAUD, "speed of the line", limits=(1, FASTEST))
    line: str = option(
        "usb",
        "`uart` where bytes take as long as `baud` says, `usb` where they go as fast as they can",
        choices=("usb", "uart"),
    )


class SerialStream(ByteStream):
    """A serial port.

    Args:
        uri: the device's address, for errors.
        port: its name, as the system calls it.
        baud: speed of the line. USB ports and pseudo-terminals have none, and take any.
        slow: whether the line really is as slow as that: bytes over USB are not.
    """

    def __init__(self, uri: str, port: str, baud: int, *, slow: bool) -> None:
        super().__init__(uri, port)
        self.port, self.baud = port, baud
        self._slow = slow
        self._open_port: OpenPort | None = None

    async def open(self, receiver: Receiver) -> None:
        await self.close()
        self._open_port = watch_port(self.uri, self.port, self.baud, receiver)

    def write(self, data: bytes) -> None:
        if self._open_port is not None:
            self._open_port.write(data)

    async def close(self) -> None:
        port, self._open_port = self._open_port, None
        if port is not None:
            await port.close()

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet."""
        return 0 if self._open_port is None else self._open_port.unsent

    def line_seconds(self, size: int) -> float:
        return BITS_PER_BYTE * size / self.baud if self._slow else 0.0


class SerialListener(Listener):
    """A serial port, to which a host is wired.

    Args:
        endpoint: the board that hosts are connected to.
        port: its name.
        baud: speed of the line.
    """

    def __init__(self, endpoint: HostEnd, port: str, baud: int) -> None:
        super().__init__(endpoint)
        self._port = port
        self._stream = SerialStream(f"serial:{port}", port, baud, slow=False)
        self._draining: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        return f"serial:{self._port}"

    async def start(self) -> None:
        await self._stream.open(self)
        self.endpoint.connected(self._write, lambda: None)

    async def stop(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        await self._stream.close()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        if self._draining is None and self._stream.unsent:
            self.endpoint.pause()
            self._drained()

    def _drained(self) -> None:
        """Go on once what was sent has gone out."""
        self._draining = None
        if self._stream.unsent:
            self._draining = asyncio.get_running_loop().call_later(UNSENT_SECONDS, self._drained)
        else:
            self.endpoint.resume()

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        self.endpoint.received(data)

    def gone(self, why: str) -> None:
        """The port is gone."""
        with contextlib.suppress(RuntimeError):
            self.endpoint.disconnected()


def _connect(uri: str, place: str, options: SerialOptions) -> SerialStream:
    return SerialStream(uri, place, options.baud, slow=options.line == "uart")


def _listen(endpoint: Endpoint, place: str, options: SerialOptions) -> SerialListener:
    if not place:
        raise ConfigError("serial: says no port; expected serial:PORT, for example serial:/dev/ttyUSB0")
    return SerialListener(endpoint, place, options.baud)


def _discover() -> dict[str, str]:
    """Each serial port that may be a board's, and what it answers. Changes nothing at any board."""
    from serial.tools.list_ports import comports

    from mgdhw_drivers.client.discovery import describe_boards

    ports = [port for port in comports() if port.vid in VENDORS]
    uris = [f"serial:{port.device}" for port in ports]
    streams = [SerialStream(uri, port.device, DEFAULT_BAUD, slow=False) for uri, port in zip(uris, ports, strict=True)]
    return {
        uri: f"{answer} ({VENDORS[port.vid]}, {printable(str(port.description))})"
        for uri, port, answer in zip(uris, ports, describe_boards(streams), strict=True)
    }


SERIAL = Transport(
    scheme="serial",
    about="a board at a serial port that speaks the link",
    options=SerialOptions,
    place="PORT",
    lacks="port",
    example="for example serial:/dev/ttyACM0 or serial:COM3",
    connect=_connect,
    discover=_discover,
    listen_place="PORT",
    listen=_listen,
    listen_about="a serial port, for a host that is wired to it",
)
