"""Metrics for progress displays, updated from events at little cost."""

from __future__ import annotations

import time
from collections import deque

from mgdhw.cli.formatting import format_duration, format_rate, format_score
from mgdhw.device.readings import GuardCounts
from mgdhw.training.events import (
    BlockDone,
    Evaluated,
    Event,
    Guarded,
    Measured,
    ReplicaFinished,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasStarted,
    Started,
)

WINDOW_SECONDS = 5.0
"""Averaging time of the rate: long enough to be steady, short enough to follow changes."""
SAMPLE_SECONDS = 0.1


class Throughput:
    """Probes per second, recently and overall, not counting waits (while a simulated chip is compiled)."""

    def __init__(self) -> None:
        self.waited = 0.0
        """Seconds spent waiting for the device."""
        self._passed: deque[tuple[float, int]] = deque()
        self._latest: tuple[float, int] | None = None
        self._waits_since: float | None = None
        self._probes = 0
        self._seconds = 0.0

    def __call__(self, probes: int) -> None:
        """Update with the number of probes done."""
        now = time.monotonic()
        if self._waits_since is not None:
            self.waited += now - self._waits_since
            self._waits_since = None
            self._passed.clear()
        elif self._latest is not None:
            self._seconds += now - self._latest[0]
            self._probes += probes - self._latest[1]
        self._latest = now, probes
        if self._passed and now - self._passed[-1][0] < SAMPLE_SECONDS:
            return
        self._passed.append((now, probes))
        while now - self._passed[0][0] > WINDOW_SECONDS and len(self._passed) > 2:
            self._passed.popleft()

    def wait(self) -> None:
        """The time until the next probes counts as waiting."""
        if self._waits_since is None:
            self._waits_since = time.monotonic()

    @property
    def per_second(self) -> float | None:
        """None while unknown."""
        if len(self._passed) < 2:
            return None
        (began, first), (ended, last) = self._passed[0], self._passed[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None

    def summary(self, seconds: float) -> str:
        """The time of a training and its overall probes per second, as text."""
        fields = [format_duration(seconds)]
        if self.waited >= SAMPLE_SECONDS:
            fields.append(f"{format_duration(self.waited)} of it waiting for the device")
        if self._probes > 0 and self._seconds > 0:
            fields.append(format_rate(self._probes / self._seconds))
        return ", ".join(fields)


class TrainingMetrics:
    """Cost, accuracy, evaluations, rate and time left of training under way."""

    def __init__(self) -> None:
        self.step = 0
        self.probes = 1
        self.evaluations = 0
        self.cost: float | None = None
        self.evaluated: Evaluated | None = None
        self.scores: list[float] = []
        """Accuracies, or R², of all evaluations."""
        self.guarded = GuardCounts()
        self.speed = Throughput()
        self._within = 0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Update from an event."""
        match event:
            case Guarded():
                self.guarded += event.counts
            case BlockDone():
                self._within = 0
                self.step, self.evaluations = event.step, event.evaluations
                self.cost = _smoothed(self.cost, event.cost, event.probes / self.probes)
                self.speed(self.step)
            case Measured():
                self._within = event.readings
            case Evaluated():
                self._within = 0
                self.evaluated = event
                self.evaluations = event.evaluations
                found = event.r2 if event.accuracy is None else event.accuracy
                self.scores += [] if found is None else [found]
            case Started():
                self.step, self.probes = event.step, event.probes
                self.speed(self.step)

    @property
    def share(self) -> float:
        """Fraction done, 0 to 1."""
        return min(1.0, self.step / self.probes)

    @property
    def per_second(self) -> float | None:
        """Recent probes per second; None while unknown."""
        return self.speed.per_second

    @property
    def time_left(self) -> str:
        """Time left, as text; empty while unknown."""
        speed = self.per_second
        return (
            ""
            if speed is None or self.step >= self.probes
            else f"{format_duration((self.probes - self.step) / speed)} left"
        )

    def fields(self) -> list[str]:
        """Values to display, most important first."""
        fields = []
        if self.cost is not None:
            fields.append(f"training cost {self.cost:#.4g}")
        if self.evaluated is not None:
            fields.append(" ".join((self.evaluated.split, *format_score(self.evaluated.accuracy, self.evaluated.r2))))
        fields.append(f"{self.evaluations:,} evaluations")
        if self.per_second is not None:
            fields.append(format_rate(self.per_second))
        if self._within:
            fields.append(f"{self._within:,} readings")
        if self.guarded:
            fields.append(str(self.guarded))
        return fields


class ReplicasMetrics:
    """Replicas solved, mean cost, rate and time left of replicas under way."""

    def __init__(self) -> None:
        self.solved = 0
        self.finished = 0
        self.cost: float | None = None
        self._has_target = False
        self._replicas = 0
        self._each = 0
        self._done = 0
        self._left = 1
        self.guarded = GuardCounts()
        self.speed = Throughput()
        self._within = 0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Update from an event."""
        match event:
            case Guarded():
                self.guarded += event.counts
            case Measured():
                self._within = event.readings
            case ReplicasAdvanced():
                self._within = 0
                new = event.probes - self._done
                self._done, self._left = event.probes, event.left
                self.cost = _smoothed(self.cost, event.cost, new / max(1, self._done + self._left))
                self.speed(self._done)
            case ReplicaFinished():
                self.finished += 1
                self.solved += event.result.solved
                self._left -= self._each - event.result.probes
            case ReplicasStarted():
                self._has_target, self._replicas, self._each = event.has_target, event.replicas, event.probes
                self.finished, self.solved = len(event.finished), sum(one.solved for one in event.finished)
                self._left = (event.replicas - self.finished) * event.probes
                self.speed(0)

    @property
    def share(self) -> float:
        """Fraction done of what is left at most, 0 to 1."""
        return self._done / (self._done + self._left) if self._left > 0 else 1.0

    @property
    def time_left(self) -> str:
        """Time left, as text; empty while unknown."""
        speed = self.speed.per_second
        if speed is None or self._left <= 0:
            return ""
        return f"{'at most ' if self._has_target else ''}{format_duration(self._left / speed)} left"

    def fields(self) -> list[str]:
        """Values to display, most important first."""
        number, what = (self.solved, "solved") if self._has_target else (self.finished, "finished")
        fields = [f"{number:,} of {self._replicas:,} {what}"]
        if self.cost is not None:
            fields.append(f"mean training cost {self.cost:#.4g}")
        if self.speed.per_second is not None:
            fields.append(format_rate(self.speed.per_second))
        if self._within:
            fields.append(f"{self._within:,} readings")
        if self.guarded:
            fields.append(str(self.guarded))
        return fields


def _smoothed(before: float | None, cost: float, share: float) -> float:
    """A moving average over the last hundredth of training, of which `share` is new: single costs are noisy."""
    return cost if before is None else before + min(1.0, 100 * share) * (cost - before)
