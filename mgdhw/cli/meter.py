"""What a progress display knows: gathered from events, a few nanoseconds each."""

from __future__ import annotations

import time
from collections import deque

from mgdhw.cli.numbers import duration, percent, rate
from mgdhw.events import (
    BlockDone,
    Evaluated,
    Event,
    ReplicaFinished,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasStarted,
    Started,
)

WINDOW_SECONDS = 5.0
"""Over how long the rate is taken: steady to look at, and still true after a change of load."""
SAMPLE_SECONDS = 0.1


class Speed:
    """Probes per second of late."""

    def __init__(self) -> None:
        self._passed: deque[tuple[float, int]] = deque()

    def __call__(self, probes: int) -> None:
        """Take in how many probes are done."""
        now = time.monotonic()
        if self._passed and now - self._passed[-1][0] < SAMPLE_SECONDS:
            return
        self._passed.append((now, probes))
        while now - self._passed[0][0] > WINDOW_SECONDS and len(self._passed) > 2:
            self._passed.popleft()

    def restart(self, probes: int) -> None:
        """Take the rate from here on."""
        self._passed.clear()
        self(probes)

    @property
    def per_second(self) -> float | None:
        """None while nobody can tell."""
        if len(self._passed) < 2:
            return None
        (began, first), (ended, last) = self._passed[0], self._passed[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None


class Meter:
    """Cost, accuracy, evaluations, rate and time left of a training under way."""

    def __init__(self) -> None:
        self.step = 0
        self.probes = 1
        self.evaluations = 0
        self.cost: float | None = None
        self.evaluated: Evaluated | None = None
        self.accuracies: list[float] = []
        self._speed = Speed()

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event."""
        match event:
            case BlockDone():
                self.step, self.evaluations = event.step, event.evaluations
                self.cost = _smoothed(self.cost, event.cost, event.probes / self.probes)
                self._speed(self.step)
            case Evaluated():
                self.evaluated = event
                self.evaluations = event.evaluations
                self.accuracies.append(event.accuracy)
            case Started():
                self.step, self.probes = event.step, event.probes
                self._speed(self.step)

    def restart(self) -> None:
        """Take the rate from here on."""
        self._speed.restart(self.step)

    @property
    def share(self) -> float:
        """How much of the run is done, 0 ... 1."""
        return min(1.0, self.step / self.probes)

    @property
    def per_second(self) -> float | None:
        """Probes per second of late; None while nobody can tell."""
        return self._speed.per_second

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


class ReplicasMeter:
    """Replicas solved, mean cost, rate and time left of a set of replicas under way."""

    def __init__(self) -> None:
        self.solved = 0
        self.finished = 0
        self.cost: float | None = None
        self._has_target = False
        self._replicas = 0
        self._each = 0
        self._done = 0
        self._left = 1
        self._speed = Speed()

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event."""
        match event:
            case ReplicasAdvanced():
                new = event.probes - self._done
                self._done, self._left = event.probes, event.left
                self.cost = _smoothed(self.cost, event.cost, new / max(1, self._done + self._left))
                self._speed(self._done)
            case ReplicaFinished():
                self.finished += 1
                self.solved += event.result.solved
                self._left -= self._each - event.result.probes
            case ReplicasStarted():
                self._has_target, self._replicas, self._each = event.has_target, event.replicas, event.probes
                self.finished, self.solved = len(event.finished), sum(one.solved for one in event.finished)
                self._left = (event.replicas - self.finished) * event.probes
                self._speed(0)

    def restart(self) -> None:
        """Take the rate from here on."""
        self._speed.restart(self._done)

    @property
    def share(self) -> float:
        """How much of what there may be to do is done, 0 ... 1."""
        return self._done / (self._done + self._left) if self._left > 0 else 1.0

    @property
    def left(self) -> str:
        """Time left, in words; empty while nobody can tell."""
        speed = self._speed.per_second
        if speed is None or self._left <= 0:
            return ""
        return f"{'at most ' if self._has_target else ''}{duration(self._left / speed)} left"

    def fields(self) -> list[str]:
        """What there is to say, most important first."""
        number, what = (self.solved, "solved") if self._has_target else (self.finished, "finished")
        said = [f"{number:,} of {self._replicas:,} {what}"]
        if self.cost is not None:
            said.append(f"mean cost {self.cost:#.4g}")
        if self._speed.per_second is not None:
            said.append(rate(self._speed.per_second))
        return said


def _smoothed(before: float | None, cost: float, share: float) -> float:
    """A mean over the last hundredth of the work, of which `share` is new: single batches of samples jump about."""
    return cost if before is None else before + min(1.0, 100 * share) * (cost - before)
