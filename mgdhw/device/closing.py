"""The way to the safe state: told while it lasts, and not waited for without an end."""

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
"""How long a driver may take to disconnect, before its hardware is called not confirmed to be safe."""
LETTING_GO_SECONDS = 1.0
"""How long it may then take to let go of what was cancelled."""

log = logging.getLogger("mgdhw.device")

_under_way: dict[str, float] = {}
"""Addresses of devices that are being closed, and when that began."""


def unconfirmed(uri: str) -> str:
    """What is said where somebody leaves a driver that has not come back."""
    return f"{uri}: NOT confirmed to be safe: its driver does not come back from disconnect(); look at the hardware"


def slow_to_close() -> list[str]:
    """Addresses of devices that have been on their way to the safe state long enough for that to be told."""
    earliest = time.monotonic() - reminders.AFTER_SECONDS
    return [uri for uri, began in list(_under_way.items()) if began <= earliest]


@contextlib.contextmanager
def on_its_way(uri: str) -> Iterator[None]:
    """While this lasts, a device is on its way to the safe state; says so after a second, and again and again."""
    _under_way[uri] = time.monotonic()
    try:
        with reminders.reminding(lambda lasts: log.info("%s: on its way to the safe state for %.0f s", uri, lasts)):
            yield
    finally:
        _under_way.pop(uri, None)


async def told(uri: str, work: Coroutine[Any, Any, None]) -> None:
    """Do what brings a device to its safe state, and say so while it lasts."""
    with on_its_way(uri):
        await work


def log_unsafe(uri: str, problem: BaseException) -> None:
    """Say what closing has raised where nobody else would."""
    log.error("%s: closing failed; check that the hardware is safe: %s", uri, problem)


class Closable(Protocol):
    """What has an address, and can be disconnected."""

    uri: str
    closing_seconds: float

    async def disconnect(self) -> None:
        """Leave the hardware in its safe state, and let go of it."""


async def within(device: Closable) -> None:
    """Disconnect within `closing_seconds`; a driver that does not come back is left behind.

    Raises:
        DeviceFault: it has not come back in time.
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
        task.exception()  # nobody waits for it any more
