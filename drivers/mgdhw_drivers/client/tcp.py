"""Links over TCP: `tcp:HOST:PORT`, with the greeting where a secret is known."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path

from mgdhw.device.uri import expand_path
from mgdhw.errors import ConfigError, DeviceAbsent, DeviceError, DeviceUnavailable, LinkError, LinkLost
from mgdhw_drivers import secret
from mgdhw_drivers.client.stream import Stream, StreamTransport
from mgdhw_drivers.client.transport import Receiver
from mgdhw_drivers.protocol.greeting import HELLO, HostGreeting

CONNECT_SECONDS = 5.0
GREETING_SECONDS = 5.0


class TcpTransport(StreamTransport):
    """A TCP connection, without Nagle's delay.

    Args:
        uri: the device's address, for errors.
        host, port: where.
        file: of the server's secret; "": found by itself where the server is this user's, on this machine.
    """

    def __init__(self, uri: str, host: str, port: int, file: str = "") -> None:
        super().__init__(uri, f"{host} port {port}")
        self._host, self._port = host, port
        self._file = file

    async def open(self, receiver: Receiver) -> None:
        await self.close()
        self.refusal = None
        file = self._find()
        if file is None:
            self._stream = await self._connect(_Plain(self, receiver))
            return
        try:
            greeting = _Greeting(secret.read(file), receiver)
        except ConfigError as error:
            raise DeviceUnavailable(str(error), uri=self.uri) from None
        stream = await self._connect(greeting)
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await greeting.done
        except (TimeoutError, LinkError, DeviceUnavailable) as error:
            await stream.close()
            raise DeviceUnavailable(self._why_not(error, greeting, file), uri=self.uri) from None
        except BaseException:
            await stream.close()
            raise
        self._stream = stream

    def refused(self) -> str:
        """What to say of a server that greets a host which knows no secret. It ends the connection."""
        where = f", and there is no {secret.sought(self._port)} here" if _is_loopback(self._host) else ""
        self.refusal = (
            f"{self.name} wants to know a secret{where}: `mgdhw serve` keeps it in a file of the user who has started"
            " it. Copy that file (chmod 600) and say ?secret=FILE, or connect to its --unix PATH, through ssh from"
            " another machine"
        )
        return self.refusal

    async def _connect(self, first: _Plain | _Greeting) -> Stream:
        def make() -> Stream:
            first.stream = Stream(first, self.name)
            return first.stream

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, stream = await asyncio.get_running_loop().create_connection(make, self._host, self._port)
        except TimeoutError:
            raise DeviceAbsent(
                f"{self.name} does not answer; is it on, and reachable from here?", uri=self.uri
            ) from None
        except UnicodeError as error:  # a name that Python does not ask the system for
            raise DeviceUnavailable(f"cannot connect to {self.name}: {error}", uri=self.uri) from None
        except OSError as error:
            kind = DeviceUnavailable if isinstance(error, socket.gaierror) else DeviceAbsent
            raise kind(
                f"cannot connect to {self.name}: {error.strerror or error}; is the board (or `mgdhw serve`) running?",
                uri=self.uri,
            ) from None
        return stream

    def _find(self) -> Path | None:
        """The file of the secret. Servers make theirs before they listen, and another one at each start."""
        if self._file:
            return expand_path(self.uri, self._file)
        return secret.find(self._port) if _is_loopback(self._host) else None

    def _why_not(self, error: Exception, greeting: _Greeting, file: Path) -> str:
        if isinstance(error, DeviceUnavailable):
            return f"{self.name} {error}; try again when that has ended"
        if isinstance(error, LinkLost) and greeting.greeted:
            return (
                f"{self.name} does not accept the secret in {file}: `mgdhw serve` makes another one at each start; copy"
                " it again, and say ?secret=FILE"
            )
        what = "does not greet" if isinstance(error, TimeoutError) else str(error).removeprefix(f"{self.name} ")
        return (
            f"{self.name} {what}, though {file} has a secret for it; is `mgdhw serve` running there? If a board that"
            " needs none is, remove that file"
        )


class _Plain:
    """The first bytes of a board that needs no secret go on to whoever wants them; a greeting is refused."""

    def __init__(self, transport: TcpTransport, receiver: Receiver) -> None:
        self._transport, self._receiver = transport, receiver
        self._heard = b""
        self.stream: Stream

    def received(self, data: bytes) -> None:
        """Bytes from the board."""
        self._heard += data
        if len(self._heard) < len(HELLO) and HELLO.startswith(self._heard):
            return
        greeted = self._heard.startswith(HELLO)
        self.stream.receiver = None if greeted else self._receiver
        if greeted:
            self._receiver.gone(self._transport.refused())
        else:
            self._receiver.received(self._heard)

    def gone(self, why: str) -> None:
        """The board has ended the connection."""
        self._receiver.gone(why)


class _Greeting:
    """Greets, and lets the board speak to the receiver then."""

    def __init__(self, known: bytes, receiver: Receiver) -> None:
        self._greeting = HostGreeting(known)
        self._receiver = receiver
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stream: Stream

    @property
    def greeted(self) -> bool:
        """Whether the board has greeted."""
        return self._greeting.greeted

    def received(self, data: bytes) -> None:
        """Bytes from the board."""
        if self.done.done():
            return
        try:
            reply = self._greeting.receive(data)
        except DeviceError as error:
            self.done.set_exception(error)
            return
        if not self._greeting.proven:
            self.stream.write(reply)
            return
        self.stream.receiver = self._receiver
        self.done.set_result(None)
        if reply:
            self._receiver.received(reply)

    def gone(self, why: str) -> None:
        """The board has ended the connection."""
        if not self.done.done():
            self.done.set_exception(LinkLost(why))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
