"""Waiting for hardware that is not connected yet, or no longer, with log messages."""

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
"""Pause before the first retry, and longest pause."""

log = logging.getLogger("mgdhw.device")


class Recovering(Protocol):
    """A device that can be disconnected and reopened."""

    uri: str
    info: DeviceInfo
    reconnect_seconds: float

    async def open(self) -> None:
        """Connect."""

    async def let_go(self) -> None:
        """Disconnect without raising."""


def back_off(attempt: int) -> float:
    """Seconds to wait after the first, second, ... failed attempt."""
    return float(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0 ** (attempt - 1)))


AWAY: tuple[type[Exception], ...] = (DeviceUnavailable, LinkError, OSError)
"""Errors of hardware that is not connected."""


async def retry_while_away(
    attempt: Callable[[], Awaitable[Answer]],
    seconds: float,
    what: str,
    passing: tuple[type[Exception], ...] = AWAY,
) -> Answer:
    """Retry an attempt while it fails because the hardware is not connected.

    Args:
        attempt: the attempt.
        seconds: after which there are no retries; 0: one attempt.
        what: what is waited for; logged after a second and then periodically.
        passing: errors that may be temporary; any other is raised immediately.

    Raises:
        Exception: that of the last attempt.
    """
    deadline = time.monotonic() + seconds
    reason = ""
    with log_waiting(what, seconds, lambda: reason):
        for number in count(1):
            try:
                return await attempt()
            except passing as error:
                reason = ": " + str(error).removeprefix(f"{getattr(error, 'uri', '')}: ")
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
            await device.let_go()  # a half-open device is not safe
            raise

    try:
        await retry_while_away(reopen, device.reconnect_seconds, f"{device.uri} to reconnect")
    except AWAY as error:
        raise LinkLost(
            f"it did not reconnect within {device.reconnect_seconds:g} s; check its power and cable:"
            f" {str(error).removeprefix(f'{device.uri}: ')}",
            uri=device.uri,
        ) from error
    now = device.info.identity
    if now != identity:
        await device.let_go()
        raise DeviceUnavailable(
            f"a different device is connected ({now}) than before ({identity}); connect the original one and resume",
            uri=device.uri,
        )
    return True


def log_waiting(what: str, seconds: float, reason: Callable[[], str] = str) -> contextlib.AbstractContextManager[None]:
    """In this context, waiting is logged periodically.

    Args:
        what: what is waited for.
        seconds: time limit.
        reason: what to add about why, by now.
    """
    return reminding(lambda waited: log.info("waiting for %s (%.0f s of %g s)%s", what, waited, seconds, reason()))
