"""Waiting for what tells nobody that it has happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""How long anything may take, on a machine that is busy with other things."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until a condition holds. Raises TimeoutError where it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (nobody sets an event)
            await asyncio.sleep(0.001)


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Sleep until a condition holds: whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
