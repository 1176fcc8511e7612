"""What came of a training, and of a set of replicas: independent seeds of one experiment, and how long they took to
solve it.

A replica that has not solved its problem counts as one that takes for ever. A quantile is therefore always the time of
one replica, never between two: the q-quantile is the least time within which a share of at least q had solved it. So a
median exists exactly where at least half of the replicas have.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mgdhw.device.readings import NOTHING_GUARDED, GuardCounts
from mgdhw.report import markup
from mgdhw.timing import TimeAndEnergy

if TYPE_CHECKING:
    from mgdhw.training.events import Evaluated

Measure = Literal["probes", "evaluations", "updates"]
MEASURES: tuple[Measure, ...] = ("probes", "evaluations", "updates")
QUARTILES = (0.25, 0.5, 0.75)


def score_summary(evaluated: Evaluated) -> dict[str, Any]:
    """An evaluation as JSON can hold it."""
    return {
        "step": evaluated.step,
        "evaluations": evaluated.evaluations,
        "split": evaluated.split,
        "accuracy": evaluated.accuracy,
        "cost": evaluated.cost if math.isfinite(evaluated.cost) else None,
        "r2": evaluated.r2,
    }


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Args:
        reason: "done", "target" (the accuracy or cost aimed at), "stopped" (asked to), or "interlock" (one is open).
        accuracy: at the end, on `split`, 0 ... 1; None where the outputs are no classes (regression).
        cost: at the end, on `split`, in the device's kind of cost.
        split: "test", or "train" where the dataset has no test samples.
        evaluations: applications of a batch to the hardware, probes and baselines.
        probes: probes done.
        updates: updates of θ.
        parameter_writes: single parameters written: by updates, and by codes that the host makes.
        seconds: spent, in all sessions of the run.
        digest: of the trajectory, in hexadecimal: same digest, same bits.
        run: folder of the run, None if nothing was kept.
        theta: (P,) the optimizer's θ at the end.
        hardware: the time and energy that this takes on the device's hardware, where its timing is known.
        r2: of regression, at the end, on `split`: 1 is perfect, 0 as good as the targets' mean; else None.
        guarded: readings that were not taken as they came, in all sessions of the run.
        notes: what the user should know (that the run was finished already, which interlock is open).
        best: the best evaluation of the learning curve, whose θ is kept in the run; None if there was none.
    """

    reason: str
    accuracy: float | None
    cost: float
    split: str
    evaluations: int
    probes: int
    updates: int
    parameter_writes: int
    seconds: float
    digest: str
    run: Path | None
    theta: NDArray[np.float64] = field(repr=False)
    hardware: TimeAndEnergy | None = None
    r2: float | None = None
    guarded: GuardCounts = NOTHING_GUARDED
    notes: tuple[str, ...] = ()
    best: Evaluated | None = None

    def summary(self) -> dict[str, Any]:
        """Everything but θ and the notes, as JSON can hold it."""
        return {
            "reason": self.reason,
            "accuracy": self.accuracy,
            "r2": self.r2,
            "cost": self.cost if math.isfinite(self.cost) else None,
            "split": self.split,
            "evaluations": self.evaluations,
            "probes": self.probes,
            "updates": self.updates,
            "parameter_writes": self.parameter_writes,
            "guarded": self.guarded.summary(),
            "hardware": None if self.hardware is None else self.hardware.summary(),
            "seconds": round(self.seconds, 3),
            "digest": self.digest,
            "best": None if self.best is None else score_summary(self.best),
            "run": None if self.run is None else str(self.run),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        return markup.summary(self.summary(), "training")


@dataclass(frozen=True, slots=True)
class ReplicaResult:
    """What came of one replica: the same as of the single training with its seed.

    Args:
        replica: its number, from 0.
        seed: the experiment's seed + `replica`.
        reason: "target" (it reached what the experiment aims at: it is solved) or "done".
        accuracy, cost: at the end; accuracy is None where outputs are no classes (regression).
        probes, evaluations, updates: done until the end; where it is solved, its time to solution.
        digest: of the trajectory, in hexadecimal.
        r2: of regression, at the end; else None.
    """

    replica: int
    seed: int
    reason: str
    accuracy: float | None
    cost: float
    probes: int
    evaluations: int
    updates: int
    digest: str
    r2: float | None = None

    @property
    def solved(self) -> bool:
        """Whether it reached its target."""
        return self.reason == "target"


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Least values within which a quarter, a half and three quarters lie; infinite where they never do."""

    lower: float
    median: float
    upper: float

    def summary(self) -> dict[str, float | None]:
        """As JSON can hold it: null for what is not finite."""
        values = {"lower": self.lower, "median": self.median, "upper": self.upper}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True)
class ReplicasResult:
    """What came of a set of replicas.

    Args:
        reason: "done", or "stopped" (asked to, before all were finished).
        asked: replicas that were asked for; those that did not get to their end count as unsolved.
        has_target: whether the experiment aims at an accuracy or a cost; else nothing is ever solved.
        evaluated_every: probes between evaluations: a time to solution is that of the first evaluation that shows it.
        replicas: the finished ones, by number.
        split: what accuracy and cost are of: "test", or "train" where the dataset has no test samples.
        seconds: spent, in all sessions of the run that were not killed.
        run: folder of the run, None if nothing was kept.
        parameter_writes: single parameters written, by all finished replicas.
        hardware: the time and energy that all finished replicas would take on the device's hardware, one after the
            other, where its timing is known.
        guarded: readings that were not taken as they came, in this session.
        notes: what the user should know (that the run was finished already).
    """

    reason: str
    asked: int
    has_target: bool
    evaluated_every: int
    replicas: tuple[ReplicaResult, ...]
    split: str
    seconds: float
    run: Path | None
    parameter_writes: int = 0
    hardware: TimeAndEnergy | None = None
    guarded: GuardCounts = NOTHING_GUARDED
    notes: tuple[str, ...] = ()

    @property
    def solved(self) -> int:
        """Replicas that reached their target."""
        return sum(one.solved for one in self.replicas)

    @property
    def fraction_solved(self) -> float:
        """Share of the replicas asked for that reached their target, 0 ... 1."""
        return self.solved / self.asked

    @property
    def probes(self) -> int:
        """Probes of all finished replicas."""
        return sum(one.probes for one in self.replicas)

    @property
    def digest(self) -> str:
        """Of the digests of all finished replicas, in hexadecimal."""
        combined = hashlib.sha256()
        for one in self.replicas:
            combined.update(one.seed.to_bytes(8, "little") + bytes.fromhex(one.digest))
        return combined.hexdigest()

    def times(self, measure: Measure = "probes") -> list[float]:
        """Time to solution of every replica asked for, shortest first, infinite for the unsolved."""
        times: list[float] = [getattr(one, measure) for one in self.replicas if one.solved]
        return sorted(times) + [math.inf] * (self.asked - len(times))

    def quartiles(self, measure: Measure = "probes") -> Quartiles:
        """Of the time to solution."""
        return quartiles(self.times(measure))

    def median(self, measure: Measure = "probes") -> float:
        """Median time to solution; infinite where fewer than half are solved."""
        return self.quartiles(measure).median

    def accuracies(self) -> Quartiles:
        """Of the final accuracy of the finished replicas; not numbers where there are none, or of regression."""
        return quartiles(one.accuracy for one in self.replicas if one.accuracy is not None)

    def r2s(self) -> Quartiles:
        """Of the final R² of the finished replicas; not numbers where there are none, or where outputs are classes."""
        return quartiles(one.r2 for one in self.replicas if one.r2 is not None)

    def mean_accuracy(self) -> tuple[float, float]:
        """Mean and standard deviation of the finished replicas' final accuracy.

        They are not numbers where there are too few, or of regression.
        """
        values = [one.accuracy for one in self.replicas if one.accuracy is not None]
        return (
            statistics.fmean(values) if values else math.nan,
            statistics.stdev(values) if len(values) > 1 else math.nan,
        )

    def costs(self) -> Quartiles:
        """Of the final cost of the finished replicas; not numbers where there are none."""
        return quartiles([one.cost for one in self.replicas])

    def summary(self) -> dict[str, Any]:
        """The distribution as JSON can hold it: null for a time within which too few are solved."""
        return {
            "reason": self.reason,
            "replicas": self.asked,
            "has_target": self.has_target,
            "evaluated_every": self.evaluated_every,
            "finished": len(self.replicas),
            "solved": self.solved,
            "fraction_solved": self.fraction_solved,
            "time_to_solution": {measure: self.quartiles(measure).summary() for measure in MEASURES},
            "split": self.split,
            "accuracy": self.accuracies().summary(),
            "mean_accuracy": _finite(self.mean_accuracy()[0]),
            "accuracy_deviation": _finite(self.mean_accuracy()[1]),
            "r2": self.r2s().summary(),
            "cost": self.costs().summary(),
            "probes": self.probes,
            "parameter_writes": self.parameter_writes,
            "guarded": self.guarded.summary(),
            "hardware": None if self.hardware is None else self.hardware.summary(),
            "seconds": round(self.seconds, 3),
            "digest": self.digest,
            "run": None if self.run is None else str(self.run),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        return markup.summary(self.summary(), f"{len(self.replicas):,} of {self.asked:,} replicas finished")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def quartiles(values: Iterable[float]) -> Quartiles:
    """Quartiles that are values themselves; not numbers where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return Quartiles(math.nan, math.nan, math.nan)
    return Quartiles(*(ordered[math.ceil(share * len(ordered)) - 1] for share in QUARTILES))
