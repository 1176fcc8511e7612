"""Repeating what a link lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mgdhw.errors import LinkError, LinkLost
from mgdhw.events import Faulted

Answer = TypeVar("Answer")

RETRY_SECONDS = 0.05
"""Pause before the second repetition of a lost request; it doubles from then on."""


class Retries:
    """Repeats idempotent requests to a device, and remembers what went wrong until somebody asks.

    Args:
        uri: address of the device.
        at_most: repetitions of one request.
    """

    def __init__(self, uri: str, at_most: int) -> None:
        self._uri = uri
        self._at_most = at_most
        self._faults: list[Faulted] = []

    async def repeat(self, request: Callable[[], Awaitable[Answer]], step: int) -> Answer:
        """The answer to a request that is made again where a link lost it. Raises LinkError when it stays lost."""
        attempt = 1
        while True:
            try:
                return await request()
            except (LinkError, OSError) as error:
                fault = error if isinstance(error, LinkError) else LinkLost(str(error), uri=self._uri)
                if attempt > self._at_most:
                    raise fault from error
                self._faults.append(Faulted(step, fault, attempt))
                if attempt > 1:  # once at once, then ever more patiently
                    await asyncio.sleep(RETRY_SECONDS * 2 ** (attempt - 2))
                attempt += 1

    def take_faults(self) -> list[Faulted]:
        """What went wrong since this was last asked."""
        faults, self._faults = self._faults, []
        return faults
