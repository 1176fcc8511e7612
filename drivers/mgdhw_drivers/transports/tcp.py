"""Links over TCP: `tcp:HOST:PORT`. Hosts and servers of one user prove to each other that they know a secret."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mgdhw.device.uri import expand_path, shorten_uri
from mgdhw.errors import ConfigError, DeviceAbsent, DeviceError, DeviceUnavailable, LinkError, LinkLost
from mgdhw.parsing import short_repr
from mgdhw_drivers.client.byte_stream import Receiver
from mgdhw_drivers.client.options import LinkOptions, option
from mgdhw_drivers.protocol.greeting import HELLO, HostGreeting
from mgdhw_drivers.transports import secret
from mgdhw_drivers.transports.socket_listener import IncomingConnection, SocketListener
from mgdhw_drivers.transports.socket_stream import SocketProtocol, SocketStream
from mgdhw_drivers.transports.transport import Transport

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint
    from mgdhw_drivers.server.listener import HostEnd

CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0
LONGEST_LABEL = 63
"""Letters between two dots of a host's name."""
LOOPBACK = "127.0.0.1"
"""The link is not encrypted, so it is served to this machine alone; to another one, through ssh."""
EXAMPLE = "tcp:HOST:PORT, for example tcp:127.0.0.1:5510"


@dataclass(frozen=True, slots=True)
class TcpOptions(LinkOptions):
    """What a `tcp:` address may say."""

    secret: str = option(
        "", "file of the server's secret; found by itself where the server is this user's, on this machine"
    )


def parse_place(uri: str, place: str) -> tuple[str, int]:
    """Host and port. Raises ConfigError."""
    uri = shorten_uri(uri)
    host, separator, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port:
        raise ConfigError(f"{uri}: expected {EXAMPLE}")
    number = parse_port(uri, port, least=1)
    _check_host(uri, host)
    return host, number


def parse_port(uri: str, port: str, *, least: int) -> int:
    """A port's number. Raises ConfigError where it is less than `least`, or none."""
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and least <= int(port) <= 65535):
        raise ConfigError(f"{uri}: port {short_repr(port)}: expected {least} ... 65535")
    return int(port)


class TcpStream(SocketStream):
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
            self._stream = await self._connect(_WithoutSecret(self, receiver))
            return
        try:
            handshake = _Handshake(secret.read(file), receiver)
        except ConfigError as error:
            raise DeviceUnavailable(str(error), uri=self.uri) from None
        stream = await self._connect(handshake)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await handshake.done
        except (TimeoutError, LinkError, DeviceUnavailable) as error:
            await stream.close()
            raise DeviceUnavailable(self._refusal_of(error, handshake, file), uri=self.uri) from None
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

    async def _connect(self, first: _WithoutSecret | _Handshake) -> SocketProtocol:
        def make() -> SocketProtocol:
            first.stream = SocketProtocol(first, self.name)
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

    def _refusal_of(self, error: Exception, handshake: _Handshake, file: Path) -> str:
        if isinstance(error, DeviceUnavailable):
            return f"{self.name} {error}; try again when that has ended"
        if isinstance(error, LinkLost) and handshake.greeted:
            return (
                f"{self.name} does not accept the secret in {file}: `mgdhw serve` makes another one at each start; copy"
                " it again, and say ?secret=FILE"
            )
        what = "does not greet" if isinstance(error, TimeoutError) else str(error).removeprefix(f"{self.name} ")
        return (
            f"{self.name} {what}, though {file} has a secret for it; is `mgdhw serve` running there? If a board that"
            " needs none is, remove that file"
        )


class _WithoutSecret:
    """Receives the first bytes of a board without a secret, and passes them on; a greeting ends the connection."""

    def __init__(self, transport: TcpStream, receiver: Receiver) -> None:
        self._transport, self._receiver = transport, receiver
        self._received = b""
        self.stream: SocketProtocol

    def received(self, data: bytes) -> None:
        """Bytes from the board."""
        self._received += data
        if len(self._received) < len(HELLO) and HELLO.startswith(self._received):
            return
        greeted = self._received.startswith(HELLO)
        self.stream.receiver = None if greeted else self._receiver
        if greeted:
            self._receiver.gone(self._transport.refused())
        else:
            self._receiver.received(self._received)

    def gone(self, why: str) -> None:
        """The board has ended the connection."""
        self._receiver.gone(why)


class _Handshake:
    """Proves that the host knows the secret; from then on the receiver gets the bytes."""

    def __init__(self, known: bytes, receiver: Receiver) -> None:
        self._greeting = HostGreeting(known)
        self._receiver = receiver
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stream: SocketProtocol

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


def _check_host(uri: str, host: str) -> None:
    """Raise ConfigError for what no resolver would take as the name of a host, or as its number."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return
    except ValueError:
        labels = host.removesuffix(".").split(".")
    if not all(labels):
        raise ConfigError(f"{uri}: host {short_repr(host)} has two dots in a row, or begins with one")
    try:
        encoded = host.encode("idna").decode("ascii")
    except UnicodeError:  # which does not say which label
        encoded = host
        if all(len(label) <= LONGEST_LABEL for label in labels):
            raise ConfigError(f"{uri}: host {short_repr(host)} has letters that no host's name may have") from None
    for label in encoded.split("."):
        if len(label) > LONGEST_LABEL:
            raise ConfigError(
                f"{uri}: host {short_repr(host)} has {len(label)} letters between two dots; expected {LONGEST_LABEL} at"
                " most"
            )
    if not all(letter.isalnum() or letter in "-_." for letter in encoded):
        raise ConfigError(
            f"{uri}: host {short_repr(host)} has letters that no host's name may have; expected {EXAMPLE}"
        )


class TcpListener(SocketListener):
    """A TCP port of this machine.

    Args:
        endpoint: the board that hosts are connected to.
        port: its number; 0: any that is free.
    """

    def __init__(self, endpoint: HostEnd, port: int) -> None:
        super().__init__(endpoint)
        self.port = port
        self.secret_file: Path | None = None
        """Where this user's hosts find what they have to know, while it listens."""
        self._server: asyncio.Server | None = None
        self._offer = contextlib.ExitStack()

    @property
    def address(self) -> str:
        return f"tcp:{LOOPBACK}:{self.port}"

    @property
    def notice(self) -> str:
        return f"only hosts that know the secret in {self.secret_file} are let in; yours on this machine find it"

    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable, and ConfigError where the secret cannot be kept."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: IncomingConnection(self), LOOPBACK, self.port, start_serving=False
            )
        except OSError as error:
            raise DeviceUnavailable(
                f"cannot listen on port {self.port}: {error.strerror or error}; try port 0, which is any that is free",
                uri=self.address,
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self.secret, self.secret_file = self._offer.enter_context(secret.offered(self.port))
        await self._server.start_serving()

    async def stop(self) -> None:
        self._offer.close()  # before another server can have the port
        if self._server is not None:
            self._server.close()
        await self.close_all()


def _connect(uri: str, place: str, options: TcpOptions) -> TcpStream:
    host, port = parse_place(uri, place)
    if options.secret:
        expand_path(uri, options.secret)
    return TcpStream(uri, host, port, options.secret)


def _listen(endpoint: Endpoint, place: str, options: TcpOptions) -> TcpListener:
    """At PORT, or HOST:PORT where that is this machine."""
    uri = shorten_uri(f"tcp:{place}")
    host, _, port = place.rpartition(":")
    if host and not _is_loopback(host.removeprefix("[").removesuffix("]")):
        raise ConfigError(
            f"{uri}: the link is not encrypted, so it is served to this machine alone; serve at tcp:PORT or unix:PATH,"
            " and let ssh carry it to others"
        )
    return TcpListener(endpoint, parse_port(uri, port, least=0))


TCP = Transport(
    scheme="tcp",
    about="a board, or `mgdhw serve`, that speaks the link over TCP",
    options=TcpOptions,
    place="HOST:PORT",
    lacks="host",
    example=EXAMPLE,
    connect=_connect,
    listen_place="PORT",
    listen=_listen,
    listen_about="a TCP port of this machine, for hosts that know the server's secret; 0: any port",
)
