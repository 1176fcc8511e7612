"""What a progress display knows: gathered from events, a few nanoseconds each."""

from __future__ import annotations

import time
from collections import deque

from mgdhw.cli.console import duration, percent, rate
from mgdhw.events import BlockDone, Evaluated, Event, Started

WINDOW_SECONDS = 5.0
"""Over how long the rate is taken: steady to look at, and still true after a change of load."""
SAMPLE_SECONDS = 0.1


class Meter:
    """Cost, accuracy, evaluations, rate and time left of a training under way."""

    def __init__(self) -> None:
        self.step = 0
        self.probes = 1
        self.evaluations = 0
        self.cost: float | None = None
        self.evaluated: Evaluated | None = None
        self.accuracies: list[float] = []
        self._passed: deque[tuple[float, int]] = deque()

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case BlockDone():
                self.step, self.evaluations = event.step, event.evaluations
                # A mean over the last hundredth of the run: single batches of samples jump about.
                weight = min(1.0, event.probes * 100 / self.probes)
                self.cost = event.cost if self.cost is None else self.cost + weight * (event.cost - self.cost)
                self._sample()
            case Evaluated():
                self.evaluated = event
                self.evaluations = event.evaluations
                self.accuracies.append(event.accuracy)
            case Started():
                self.step, self.probes = event.step, event.probes
                self._sample()

    def restart(self) -> None:
        """Take the rate from here on."""
        self._passed.clear()
        self._sample()

    @property
    def share(self) -> float:
        """How much of the run is done, 0 ... 1."""
        return min(1.0, self.step / self.probes)

    @property
    def per_second(self) -> float | None:
        """Probes per second of late; None while nobody can tell."""
        if len(self._passed) < 2:
            return None
        (began, first), (ended, last) = self._passed[0], self._passed[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None

    @property
    def left(self) -> str:
        """Time left, in words; empty while nobody can tell."""
        speed = self.per_second
        return (
            "" if speed is None or self.step >= self.probes else f"{duration((self.probes - self.step) / speed)} left"
        )

    def fields(self) -> list[str]:
        """What there is to say, most important first."""
        said = []
        if self.cost is not None:
            said.append(f"cost {self.cost:#.4g}")
        if self.evaluated is not None:
            said.append(f"{self.evaluated.split} accuracy {percent(self.evaluated.accuracy)}")
        said.append(f"{self.evaluations:,} evaluations")
        if self.per_second is not None:
            said.append(rate(self.per_second))
        return said

    def _sample(self) -> None:
        now = time.monotonic()
        if self._passed and now - self._passed[-1][0] < SAMPLE_SECONDS:
            return
        self._passed.append((now, self.step))
        while now - self._passed[0][0] > WINDOW_SECONDS and len(self._passed) > 2:
            self._passed.popleft()
