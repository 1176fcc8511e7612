"""What a progress display knows: gathered from events, a few nanoseconds each."""

from __future__ import annotations

import time
from collections import deque

from mgdhw.cli.numbers import duration, rate, score
from mgdhw.training.events import (
    BlockDone,
    Evaluated,
    Event,
    Measured,
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
    """Probes per second, of late and on the whole. What is waited for meanwhile (a chip to be compiled) is no probe."""

    def __init__(self) -> None:
        self.waited = 0.0
        """Seconds in which a device got ready."""
        self._passed: deque[tuple[float, int]] = deque()
        self._latest: tuple[float, int] | None = None
        self._waits_since: float | None = None
        self._probes = 0
        self._seconds = 0.0

    def __call__(self, probes: int) -> None:
        """Take in how many probes are done."""
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
        """Until the next probes are done, what takes time is something else."""
        if self._waits_since is None:
            self._waits_since = time.monotonic()

    @property
    def per_second(self) -> float | None:
        """None while nobody can tell."""
        if len(self._passed) < 2:
            return None
        (began, first), (ended, last) = self._passed[0], self._passed[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None

    def told(self, seconds: float) -> str:
        """A training's time in words, and its probes per second on the whole."""
        said = [duration(seconds)]
        if self.waited >= SAMPLE_SECONDS:
            said.append(f"{duration(self.waited)} of it until the device was ready")
        if self._probes > 0 and self._seconds > 0:
            said.append(rate(self._probes / self._seconds))
        return ", ".join(said)


class TrainingMetrics:
    """Cost, accuracy, evaluations, rate and time left of a training under way."""

    def __init__(self) -> None:
        self.step = 0
        self.probes = 1
        self.evaluations = 0
        self.cost: float | None = None
        self.evaluated: Evaluated | None = None
        self.scores: list[float] = []
        """Accuracies, or R², of all evaluations."""
        self.speed = Speed()
        self._within = 0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event."""
        match event:
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
        """How much of the run is done, 0 ... 1."""
        return min(1.0, self.step / self.probes)

    @property
    def per_second(self) -> float | None:
        """Probes per second of late; None while nobody can tell."""
        return self.speed.per_second

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
            said.append(" ".join((self.evaluated.split, *score(self.evaluated.accuracy, self.evaluated.r2))))
        said.append(f"{self.evaluations:,} evaluations")
        if self.per_second is not None:
            said.append(rate(self.per_second))
        if self._within:
            said.append(f"measuring: {self._within:,}")
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
        self.speed = Speed()
        self._within = 0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event."""
        match event:
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
        """How much of what there may be to do is done, 0 ... 1."""
        return self._done / (self._done + self._left) if self._left > 0 else 1.0

    @property
    def left(self) -> str:
        """Time left, in words; empty while nobody can tell."""
        speed = self.speed.per_second
        if speed is None or self._left <= 0:
            return ""
        return f"{'at most ' if self._has_target else ''}{duration(self._left / speed)} left"

    def fields(self) -> list[str]:
        """What there is to say, most important first."""
        number, what = (self.solved, "solved") if self._has_target else (self.finished, "finished")
        said = [f"{number:,} of {self._replicas:,} {what}"]
        if self.cost is not None:
            said.append(f"mean cost {self.cost:#.4g}")
        if self.speed.per_second is not None:
            said.append(rate(self.speed.per_second))
        if self._within:
            said.append(f"measuring: {self._within:,}")
        return said


def _smoothed(before: float | None, cost: float, share: float) -> float:
    """A mean over the last hundredth of the work, of which `share` is new: single batches of samples jump about."""
    return cost if before is None else before + min(1.0, 100 * share) * (cost - before)
