"""A board that speaks SCPI: the same board, asked by its own link from within."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from mgdhw_drivers.scpi import Interpreter
from mgdhw_drivers.server.endpoint import Endpoint
from mgdhw_drivers.server.loopback import Loopback
from mgdhw_drivers.server.scpi_chip import ScpiChip

log = logging.getLogger("mgdhw.serve")

MOST_QUEUED = 1 << 25
"""Bytes of a host that wait at most; one that sends more without listening is given up."""


class ScpiEndpoint:
    """What SCPI listeners connect hosts to.

    Args:
        endpoint: the board's end of the link. It keeps all that makes a board safe: one host at a time, limits, the
            safe state when a host has gone.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: _Connection | None = None

    @property
    def away(self) -> float:
        """Loop time until which the board is unplugged."""
        return self._endpoint.away

    @property
    def occupied(self) -> bool:
        """Whether a host is connected."""
        return self._connection is not None or self._endpoint.occupied

    def connected(self, write: Callable[[bytes], None], hang_up: Callable[[], None], *, hangs_up: bool = False) -> None:
        """A host has connected."""
        self._connection = _Connection(self._endpoint, write, hang_up)

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        if self._connection is not None:
            self._connection.received(data)

    def pause(self) -> None:
        """The host does not read what it is sent."""
        self._endpoint.pause()

    def resume(self) -> None:
        """It reads again."""
        self._endpoint.resume()

    def disconnected(self) -> None:
        """The host has disconnected."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end()
            self._endpoint.disconnected()


class _Connection:
    """One host.

    Args:
        endpoint: the board's end.
        write: sends bytes to the host.
        hang_up: ends the connection.
    """

    def __init__(self, endpoint: Endpoint, write: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        self._write, self._hang_up = write, hang_up
        self._loopback = Loopback(endpoint, hang_up)
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="SCPI connection")
        self._task.add_done_callback(self._ended)

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        self._queue.append(data)
        self._queued += len(data)
        if self._queued > MOST_QUEUED:
            log.warning("a host sends without waiting for answers; the connection is ended")
            self._hang_up()
        self._arrived.set()

    def end(self) -> None:
        """The host has gone."""
        self._task.cancel()

    async def _run(self) -> None:
        description = await self._loopback.connect()
        chip = ScpiChip(self._loopback, description, _version())
        interpreter = Interpreter(chip)
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._queue:
                    data = self._queue.popleft()
                    self._queued -= len(data)
                    async for answer in interpreter.replies(data):
                        self._write(answer)
                    if interpreter.hang_up:
                        log.warning("a connection was ended: what came is no SCPI")
                        self._hang_up()
                        return
        finally:
            await chip.end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("an SCPI connection is ended by an unforeseen error", exc_info=error)
            self._hang_up()


def _version() -> str:
    try:
        return version("mgdhw")
    except PackageNotFoundError:
        return "0"
