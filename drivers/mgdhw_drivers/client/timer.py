"""A timer that is restarted for every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class RestartableTimer:
    """Calls back at the time that it was set to last.

    Setting it mostly sets a number: one timer of the event loop runs, and is started again where it expires too early.
    A timer for each request would cost more than the rest of the waiting.

    Args:
        callback: what to call, in the event loop's thread.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def set(self, when: float) -> None:
        """Call back at this time of the event loop, and at none that was set before."""
        self._due = when
        if self._timer is None:
            self._timer = self._loop.call_at(when, self._expired, when)
        elif when < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(when, self._expired, when)

    def stop(self) -> None:
        """Do not call back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, when: float) -> None:
        self._timer = None
        if when < self._due:
            self.set(self._due)
        else:
            self._callback()
