"""Links over a Unix socket of this machine: `unix:PATH`.

Whoever may write to its file may connect, and that is the user who serves it alone: the file system asks who comes, and
nothing else has to.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError, DeviceAbsent, DeviceUnavailable
from mgdhw_drivers.client.byte_stream import Receiver
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.transports.socket_listener import IncomingConnection, SocketListener
from mgdhw_drivers.transports.socket_stream import SocketProtocol, SocketStream
from mgdhw_drivers.transports.transport import Transport

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint
    from mgdhw_drivers.server.listener import HostEnd

CONNECT_SECONDS = 5.0


class UnixStream(SocketStream):
    """A connection to a Unix socket. The file system decides who may connect.

    Args:
        uri: the device's address, for errors.
        path: of the socket.
    """

    def __init__(self, uri: str, path: str) -> None:
        super().__init__(uri, path)
        self._path = path

    async def open(self, receiver: Receiver) -> None:
        await self.close()
        loop = asyncio.get_running_loop()
        if not hasattr(loop, "create_unix_connection"):
            raise DeviceUnavailable("this system has no Unix sockets; use tcp:127.0.0.1:PORT", uri=self.uri)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, self._stream = await loop.create_unix_connection(
                    lambda: SocketProtocol(receiver, self.name), self._path
                )
        except TimeoutError:
            raise DeviceAbsent(f"{self.name} does not answer; does `mgdhw serve` hang?", uri=self.uri) from None
        except PermissionError:
            raise DeviceUnavailable(
                f"{self.name} is another user's: who may connect is whoever may write to that file", uri=self.uri
            ) from None
        except OSError as error:
            if error.errno is None:  # Python's own: the path is too long for the system's form of an address
                raise DeviceUnavailable(
                    f"cannot connect to {self.name}: {error}; a shorter path will do", uri=self.uri
                ) from None
            raise DeviceAbsent(
                f"cannot connect to {self.name}: {error.strerror or error}; is `mgdhw serve … --unix {self._path}`"
                " running?",
                uri=self.uri,
            ) from None


class UnixListener(SocketListener):
    """A Unix socket.

    Args:
        endpoint: the board that hosts are connected to.
        path: of its file, which is there while it listens.
    """

    def __init__(self, endpoint: HostEnd, path: Path) -> None:
        super().__init__(endpoint)
        self._path = path
        self._made: tuple[int, int] | None = None
        """Inode of the file, and when it was made: numbers of inodes are used again at once."""
        self._server: asyncio.AbstractServer | None = None

    @property
    def address(self) -> str:
        return f"unix:{self._path}"

    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable, and ConfigError where the path is something else's."""
        loop = asyncio.get_running_loop()
        if not hasattr(loop, "create_unix_server"):
            raise DeviceUnavailable("this system has no Unix sockets; use tcp:PORT", uri=self.address)
        self._remove_old()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            self._path.chmod(0o600)  # nobody can connect before it listens
            found = self._path.lstat()
            self._made = (found.st_ino, found.st_mtime_ns)
            self._server = await loop.create_unix_server(lambda: IncomingConnection(self), sock=listening)
        except OSError as error:
            listening.close()
            raise ConfigError(f"unix:{self._path}: cannot be made: {error.strerror or error}") from None

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._made is not None:
            with contextlib.suppress(OSError):
                found = self._path.lstat()
                if (found.st_ino, found.st_mtime_ns) == self._made:
                    self._path.unlink()
        await self.close_all()

    def _remove_old(self) -> None:
        """Remove the socket of a server that was killed. Nothing else is replaced: it may be the user's file."""
        try:
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise ConfigError(f"unix:{self._path}: is there already, and no socket; choose another name")
        except OSError:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            try:
                asking.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)
                return
            except OSError:
                pass
        raise DeviceUnavailable("another server listens there; choose another name", uri=self.address)


def _connect(uri: str, place: str, options: LinkOptions) -> UnixStream:
    return UnixStream(uri, place)


def _listen(endpoint: Endpoint, place: str, options: LinkOptions) -> UnixListener:
    if not place:
        raise ConfigError("unix: says no path; expected unix:PATH, for example unix:board.sock")
    return UnixListener(endpoint, Path(place))


UNIX = Transport(
    scheme="unix",
    about="`mgdhw serve … --listen unix:PATH` on this machine, which speaks the link to this user alone",
    options=LinkOptions,
    place="PATH",
    lacks="path",
    example="unix:PATH, for example unix:board.sock",
    connect=_connect,
    listen_place="PATH",
    listen=_listen,
    listen_about="a Unix socket, for this user alone",
)
