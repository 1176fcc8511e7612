"""Whether threads share the work of a probe: by how long it took lately.

Beside another program a team (`thread_team.py`) loses more than a single thread that the scheduler puts where there is
room, as long as there is any. Only trying tells which is faster; bits do not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.numba.kernels.segments import Setup
from mgdhw_sim.engines.numba.pinned_threads import run_pinned
from mgdhw_sim.reference.chip import Chip

Answer = TypeVar("Answer")

LATE = 1.3
"""So many times as long as at best: a thread was late."""
AGAIN = 2.0
"""Seconds until what was worse is tried again."""
SHORTEST = 0.005
"""Seconds of work from which on its time says something."""


class TeamChoice:
    """Chooses between a team and a single thread for consecutive pieces of the same kind of work."""

    def __init__(self) -> None:
        self._best = self._team = self._one = float("inf")
        self._pieces = 0
        self._alone = False
        self._until = 0.0

    def is_alone(self, now: float) -> bool:
        """Whether the next piece, at a time in seconds, is for a single thread."""
        return self._alone and now < self._until

    def took(self, alone: bool, probes: int, seconds: float, now: float) -> None:
        """Record how long a piece of work took that ended now."""
        if seconds < SHORTEST:
            return
        each = seconds / probes
        if alone:
            self._one = each
            if each > self._team:  # it was no better
                self._alone, self._until = False, now + AGAIN
            return
        self._pieces += 1
        self._team, self._best = each, min(self._best, each)
        if now >= self._until:
            # The second piece is followed by one alone, in case others were there before; the first may have compiled.
            self._alone = self._pieces == 2 or each > self._one or each > LATE * self._best
            self._until = now + AGAIN if self._alone else 0.0


class ProbeThreads:
    """Those that work on some probes: a team, or one alone.

    Args:
        chip, fixed: the work, which decides its kind.
    """

    def __init__(self, chip: Chip, fixed: Setup) -> None:
        order = fixed.order
        kind = f"sharing {order.batch} {order.tau_x} {fixed.baseline} {fixed.plan.family}"
        self.n_threads = kernel_args.threads_for(chip, fixed)
        self._choice: TeamChoice | None = (
            chip.engine_cache.setdefault(kind, TeamChoice()) if self.n_threads > 1 else None
        )
        if self._choice is not None and self._choice.is_alone(time.perf_counter()):
            self.n_threads = 1

    def run(self, work: Callable[[int], Answer], probes: int, release: Callable[[], None]) -> Answer:
        """`pinned_threads.run_pinned` for so many probes, timed."""
        began = time.perf_counter()
        answer = run_pinned(work, self.n_threads, release)
        if self._choice is not None:
            now = time.perf_counter()
            self._choice.took(self.n_threads == 1, probes, now - began, now)
        return answer
