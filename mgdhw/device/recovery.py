"""Waiting for hardware that is not there yet, or not any more: patiently, and not in silence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Protocol, TypeVar

from mgdhw.concurrency.reminders import reminding
from mgdhw.device.info import DeviceInfo
from mgdhw.errors import DeviceUnavailable, LinkError, LinkLost

Answer = TypeVar("Answer")

SHORTEST_SECONDS, LONGEST_SECONDS = 0.05, 2.0
"""Pause before the first new attempt, and before any."""

log = logging.getLogger("mgdhw.device")


class Recovering(Protocol):
    """What can be let go of, and opened again."""

    uri: str
    info: DeviceInfo
    reconnect_seconds: float

    async def open(self) -> None:
        """Connect."""

    async def let_go(self) -> None:
        """Disconnect; raises nothing."""


def back_off(attempt: int) -> float:
    """Seconds to wait after the first, second, ... attempt that failed."""
    return float(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0 ** (attempt - 1)))


AWAY: tuple[type[Exception], ...] = (DeviceUnavailable, LinkError, OSError)
"""What hardware raises that has gone away."""


async def patiently(
    attempt: Callable[[], Awaitable[Answer]],
    seconds: float,
    what: str,
    passing: tuple[type[Exception], ...] = AWAY,
) -> Answer:
    """The answer of an attempt that is made again while it fails as hardware does that is not there.

    Args:
        attempt: what is tried.
        seconds: after which no new one is made; 0: there is one.
        what: is waited for; told after a second, and now and then from then on.
        passing: errors that may pass; any other is raised at once.

    Raises:
        Exception: what the last attempt raised.
    """
    deadline = time.monotonic() + seconds
    with telling(what, seconds):
        for number in count(1):
            try:
                return await attempt()
            except passing:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                await asyncio.sleep(min(back_off(number), left))
    raise AssertionError("attempts have no end")


async def recover(device: Recovering, attempt: int) -> bool:
    """See `Device.recover`."""
    identity = device.info.identity
    await device.let_go()
    await asyncio.sleep(back_off(attempt))

    async def reopen() -> None:
        try:
            await device.open()
        except BaseException:
            await device.let_go()  # half open is not safe
            raise

    try:
        await patiently(reopen, device.reconnect_seconds, f"{device.uri} to come back")
    except AWAY as error:
        raise LinkLost(
            f"it did not come back within {device.reconnect_seconds:g} s; see to its power and its cable:"
            f" {str(error).removeprefix(f'{device.uri}: ')}",
            uri=device.uri,
        ) from error
    now = device.info.identity
    if now != identity:
        await device.let_go()
        raise DeviceUnavailable(
            f"another device answers ({now}) than the one that was here before ({identity}); connect that one, and"
            " resume",
            uri=device.uri,
        )
    return True


def telling(what: str, seconds: float) -> contextlib.AbstractContextManager[None]:
    """While this lasts, it is said now and again what is waited for.

    Args:
        what: is waited for.
        seconds: after which it will be given up.
    """
    return reminding(lambda waited: log.info("waiting for %s (%.0f s of %g s)", what, waited, seconds))
