"""A Unix socket of this machine: whoever may write to its file may come in, and that is this user alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from pathlib import Path

from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.server.endpoint import Station
from mgdhw_drivers.server.listeners.visitors import VisitedListener, Visitor


class UnixListener(VisitedListener):
    """A Unix socket.

    Args:
        station: what hosts are let in to.
        path: of its file, which is there while it listens.
    """

    def __init__(self, station: Station, path: Path) -> None:
        super().__init__(station)
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
            raise DeviceUnavailable("this system has no Unix sockets; use --tcp", uri=self.address)
        self._remove_old()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            self._path.chmod(0o600)  # nobody can connect before it listens
            found = self._path.lstat()
            self._made = (found.st_ino, found.st_mtime_ns)
            self._server = await loop.create_unix_server(lambda: Visitor(self), sock=listening)
        except OSError as error:
            listening.close()
            raise ConfigError(f"--unix {self._path}: cannot be made: {error.strerror or error}") from None

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._made is not None:
            with contextlib.suppress(OSError):
                found = self._path.lstat()
                if (found.st_ino, found.st_mtime_ns) == self._made:
                    self._path.unlink()
        await self.turn_out()

    def _remove_old(self) -> None:
        """Remove the socket of a server that was killed. Nothing else is replaced: it may be somebody's."""
        try:
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise ConfigError(f"--unix {self._path}: is there already, and no socket; choose another name")
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
