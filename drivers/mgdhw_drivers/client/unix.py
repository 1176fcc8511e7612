"""Links over a Unix socket of this machine: `unix:PATH`."""

from __future__ import annotations

import asyncio

from mgdhw.errors import DeviceAbsent, DeviceUnavailable
from mgdhw_drivers.client.stream import Stream, StreamTransport
from mgdhw_drivers.client.transport import Receiver

CONNECT_SECONDS = 5.0


class UnixTransport(StreamTransport):
    """A connection to a Unix socket. Who may connect is the business of the file system.

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
                _, self._stream = await loop.create_unix_connection(lambda: Stream(receiver, self.name), self._path)
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
