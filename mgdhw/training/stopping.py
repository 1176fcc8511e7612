"""A stop that somebody asks for, and work that does not keep it waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from mgdhw.concurrency.completion import run_unless_first
from mgdhw.training.retry import Retries

Answer = TypeVar("Answer")

STOP_SECONDS = 0.2
"""Measurements one after another that go on for longer are not waited for by who asks for a stop."""


class StopRequest:
    """Whether somebody has asked for a stop."""

    def __init__(self) -> None:
        self.asked = False
        self.event = asyncio.Event()
        """Set in the event loop once a stop was asked for."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        """The running loop is the one that the event belongs to."""
        self._loop = asyncio.get_running_loop()
        if self.asked:
            self.event.set()

    def ask(self) -> None:
        """Ask for a stop. May be called from a signal handler, or another thread."""
        self.asked = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: training is over
                self._loop.call_soon_threadsafe(self.event.set)

    async def run_unless_long(self, work: Coroutine[Any, Any, Answer], retries: Retries) -> Answer | None:
        """The result of work; None if a stop is asked for that would have to wait for it for long.

        It is then cancelled, which a driver does after its current reading. A device that is being reopened is waited
        for.
        """
        return await run_unless_first(self._impatience(retries), work)

    async def _impatience(self, retries: Retries) -> None:
        await self.event.wait()
        await asyncio.sleep(STOP_SECONDS)
        while retries.recovering:  # noqa: ASYNC110 (ends by itself, or by who asks twice)
            await asyncio.sleep(STOP_SECONDS)
