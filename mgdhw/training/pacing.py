"""How many probes to ask a device for at once, and when to let other tasks run. None of it changes a bit."""

from __future__ import annotations

import asyncio
import time

from mgdhw.experiment.schema import LARGEST_BLOCK
from mgdhw.learning.digest import probes_to_checkpoint
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import probes_to_update

FIRST_WORK = 10**9
"""Multiplications of the first request at most, whose time nobody knows yet: a second of a simulated chip's, or two."""
FREE = 4 / 3
"""A request of twice the size that takes less than so many times as long is made of delays, not of work."""
PATIENCE = 20
"""How many times too long a request may take, where smaller ones would not be much shorter."""
YIELD_SECONDS = 0.02
"""How long the event loop may be kept from other tasks by a device that never waits."""


def first_size(wanted: int, rule: LearningRule, n_parameters: int, replicas: int = 1) -> int:
    """Probes of the first request: as many as wanted, if that is no great work for a simulated chip."""
    return max(1, min(wanted, FIRST_WORK // (rule.order.batch * n_parameters * replicas)))


class AdaptiveBlockSize:
    """How many probes to ask for at once, so that it takes about as long as wanted.

    Args:
        first: probes to begin with.
        seconds: how long one request should take.
        fixed: probes in every request, if the user has said so.
    """

    def __init__(self, first: int, seconds: float, fixed: int | None = None) -> None:
        self.size = first if fixed is None else fixed
        self._seconds = seconds
        self._fixed = fixed is not None
        self._last: tuple[int, float] | None = None

    def learn(self, size: int, seconds: float) -> None:
        """Take in how long a request of some size took."""
        if self._fixed:
            return
        whole = 2 * size >= self.size  # some are cut short
        if whole and (seconds < self._seconds / 2 or self._grows_for_free(size, seconds)):
            self._last, self.size = (size, seconds), min(LARGEST_BLOCK, 2 * size)
        elif seconds > 2 * self._seconds:
            self._last, self.size = (size, seconds), max(1, self.size // 2)

    def _grows_for_free(self, size: int, seconds: float) -> bool:
        """Whether the time goes into the request itself: one of half or twice the size took almost as long."""
        if seconds >= PATIENCE * self._seconds:
            return False
        if self._last is None:  # try it
            return seconds <= 2 * self._seconds
        if self._last[0] not in (2 * size, size // 2):
            return False
        shorter, longer = sorted((seconds, self._last[1]))
        return longer < FREE * shorter


class CooperativeYield:
    """Lets other tasks run now and then, beside a device that never waits."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def take(self) -> None:
        """Let others run, if it is time."""
        if time.monotonic() - self._last >= YIELD_SECONDS:
            await asyncio.sleep(0)
            self._last = time.monotonic()


def next_size(state: TrainState, rule: LearningRule, *, at_most: int, every: int, probes: int, segments: bool) -> int:
    """Probes of the next request: up to an update, an evaluation or the end, whichever comes first.

    A segment runs through updates, but not past a checkpoint of the digest; where nothing else ends it, an update does,
    if that takes no more than half of it away.

    Args:
        state, rule: where training stands and how it goes on.
        at_most: probes that may be asked for at once.
        every: probes between evaluations.
        probes: length of the training.
        segments: whether the device runs segments, or blocks.
    """
    to_stop = probes_to_checkpoint(state, rule) if segments else probes_to_update(state, rule)
    to_stop = min(to_stop, every - state.step % every, probes - state.step)
    if to_stop <= at_most:
        return to_stop
    whole = (state.step + at_most) // rule.update_period * rule.update_period - state.step
    # After an update the window is empty: there is less to carry from one segment to the next.
    return whole if segments and 2 * whole >= at_most else at_most
