"""A time of waking that is put off again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class RestartableTimer:
    """Rings at the time that it was set to last.

    Setting it mostly sets a number: one timer of the event loop's is running, and is begun again where it ran out too
    early. A timer for each request would cost more than the rest of the waiting.

    Args:
        ring: what to call, in the event loop's thread.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def set(self, when: float) -> None:
        """Ring at this time of the loop's, and at none that was set before."""
        self._due = when
        if self._timer is None:
            self._timer = self._loop.call_at(when, self._ran_out, when)
        elif when < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(when, self._ran_out, when)

    def stop(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ran_out(self, when: float) -> None:
        self._timer = None
        if when < self._due:
            self.set(self._due)
        else:
            self._ring()
