"""Closing a device: the way to the safe state is logged and has a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol

from mgdhw.concurrency import reminders
from mgdhw.errors import DeviceFault

CLOSING_SECONDS = 30.0
"""Time limit for a driver to disconnect; after it the hardware is reported as not confirmed to be safe."""
LETTING_GO_SECONDS = 1.0
"""Time allowed for the cancelled call to end after that."""

log = logging.getLogger("mgdhw.device")

_under_way: dict[str, float] = {}
"""Devices being closed, and since when."""


def unconfirmed(uri: str) -> str:
    """The message about a driver that did not return."""
    return f"{uri}: NOT confirmed to be safe: its driver did not return from disconnect(); check the hardware"


def slow_to_close() -> list[str]:
    """Addresses of devices whose way to the safe state takes long enough to be reported."""
    earliest = time.monotonic() - reminders.AFTER_SECONDS
    return [uri for uri, began in list(_under_way.items()) if began <= earliest]


@contextlib.contextmanager
def closing_logged(uri: str) -> Iterator[None]:
    """In this context, a device is going to its safe state, which is logged after a second and then periodically."""
    _under_way[uri] = time.monotonic()
    try:
        with reminders.reminding(lambda lasts: log.info("%s: going to the safe state (%.0f s so far)", uri, lasts)):
            yield
    finally:
        _under_way.pop(uri, None)


async def logged(uri: str, work: Coroutine[Any, Any, None]) -> None:
    """Run what brings a device to its safe state, and log that it is under way."""
    with closing_logged(uri):
        await work


def log_unsafe(uri: str, problem: BaseException) -> None:
    """Log an error of closing that would otherwise be lost."""
    log.error("%s: closing failed; check that the hardware is safe: %s", uri, problem)


class Closable(Protocol):
    """Something with an address that can be disconnected."""

    uri: str
    closing_seconds: float

    async def disconnect(self) -> None:
        """Leave the hardware in its safe state and disconnect."""


async def disconnect(device: Closable) -> None:
    """Disconnect within `closing_seconds`; a driver that does not return is abandoned.

    Raises:
        DeviceFault: it did not return in time.
    """
    task = asyncio.ensure_future(device.disconnect())
    try:
        await asyncio.wait({task}, timeout=device.closing_seconds)
    finally:
        late = not task.done()
        if late:
            task.cancel()
            task.add_done_callback(_seen)
    if late:
        await asyncio.wait({task}, timeout=LETTING_GO_SECONDS)
        raise DeviceFault(unconfirmed(device.uri).removeprefix(f"{device.uri}: "), uri=device.uri)
    task.result()


def _seen(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # mark as retrieved: it is no longer awaited
