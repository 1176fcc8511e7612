"""How much of each imperfection a chip learns with: time to solution and share solved, over replicas.

A replica has its own seed and its own chip: mismatch and noise differ between replicas as they do between chips.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.study import intervals
from mgdhw.study.axes import AXES, SweptParameter
from mgdhw.study.intervals import Interval
from mgdhw.study.pool import each
from mgdhw.training.results import Quartiles, quartiles

DELTA = 0.125
"""Δ, in units of a parameter: four steps of 8 bits."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the chips have to learn.

    Args:
        name: of the task.
        uri: the chip without imperfections.
        experiment: how it is trained, and when it has learned it.
    """

    name: str
    uri: str
    experiment: dict[str, Any]


TASKS = {
    task.name: task
    for task in (
        Task(
            "nist7x7",
            "sim:analog-8bit?layers=49-4-4",
            {
                "data": {"name": "nist7x7"},
                "training": {"probes": 150_000, "batch": 4, "tau_theta": 50},
                "optimizer": {"name": "adam", "eta": 0.02},
                "evaluation": {"every": 500, "stop_at_accuracy": 0.9},
            },
        ),
        Task(
            "digits",
            "sim:analog-8bit?layers=64-16-10",
            {
                "data": {"name": "digits"},
                "training": {"probes": 400_000, "batch": 32, "tau_theta": 100},
                "optimizer": {"name": "adam", "eta": 0.02},
                "evaluation": {"every": 500, "stop_at_accuracy": 0.85},
            },
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training of a study."""

    task: str
    axis: str
    value: float
    replica: int


@dataclass(frozen=True, slots=True)
class Row:
    """How one training ended: a line of the CSV."""

    task: str
    axis: str
    value: float
    replica: int
    solved: bool
    probes: int
    evaluations: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Point:
    """All replicas at one strength. Intervals are of 95 %: see `mgdhw.study.intervals`.

    Args:
        value: the strength.
        chips: how many replicas there are.
        learned: how many of them learned the task.
        times: quartiles of their probes to solution; infinite where too few did.
        median: interval of the median.
        ratio, ratio_interval: median over that of the chip without the imperfection, of the replicas that have both;
            not a number where too few learned.
    """

    value: float
    chips: int
    learned: int
    times: Quartiles
    median: Interval
    ratio: float
    ratio_interval: Interval

    @property
    def solved(self) -> float:
        """Share of the replicas that learned."""
        return self.learned / self.chips

    @property
    def solved_interval(self) -> Interval:
        """Of that share."""
        return intervals.of_share(self.learned, self.chips)

    def summary(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {
            "value": self.value,
            "chips": self.chips,
            "solved": self.solved,
            "solved_interval": self.solved_interval.summary(),
            **self.times.summary(),
            "median_interval": self.median.summary(),
            "ratio": self.ratio if math.isfinite(self.ratio) else None,
            "ratio_interval": self.ratio_interval.summary(),
        }


def jobs(tasks: Iterable[str], axes: Mapping[str, Sequence[float]], replicas: int) -> list[Job]:
    """All trainings of a study; those of one replica number together, so that a study that is cut short is whole.

    Args:
        tasks: by name.
        axes: strengths by the name of the imperfection.
        replicas: of each.
    """
    every = [(task, axis, value) for task in tasks for axis, values in axes.items() for value in values]
    return [Job(task, axis, value, replica) for replica in range(replicas) for task, axis, value in every]


def run(job: Job, task: Task) -> Row:
    """Train one chip."""
    from mgdhw.api import train
    from mgdhw.experiment.load import check_experiment

    uri = AXES[job.axis].address(task.uri, job.value, seed=1 + job.replica)
    given = {"codes": {"delta": DELTA}, **task.experiment, "device": {"uri": uri}}
    given["seed"] = task.experiment.get("seed", 0) + job.replica
    delta = given["codes"].get("delta")
    if delta is not None:  # coarse parameters can be perturbed by no less than one of their steps
        step = float(np.max(open_device(uri).info.theta_lsb))
        given["codes"] = {**given["codes"], "delta": max(delta, step)}
    result = train(check_experiment(given, source="study"), runs=None)
    return Row(
        job.task, job.axis, job.value, job.replica, result.reason == "target", result.probes,
        result.evaluations, math.nan if result.accuracy is None else result.accuracy,
    )  # fmt: skip


def study(
    todo: Sequence[Job], tasks: Mapping[str, Task], tell: Callable[[Row], None], workers: int | None = None
) -> None:
    """Run trainings of tasks on all processors; `tell` hears of each as it ends. See `mgdhw.study.pool`."""
    each(run, [(job, tasks[job.task]) for job in todo], tell, workers)


def points(rows: Iterable[Row], task: str, axis: SweptParameter) -> list[Point]:
    """What the replicas make together, strength by strength."""
    times: dict[float, dict[int, float]] = {value: {} for value in axis.values}
    for row in rows:
        if (row.task, row.axis) == (task, axis.name):
            times[row.value][row.replica] = row.probes if row.solved else math.inf
    return [_point(value, own, times[axis.values[0]]) for value, own in times.items() if own]


def _point(value: float, own: Mapping[int, float], base: Mapping[int, float]) -> Point:
    """Times to solution by replica: at one strength, and without the imperfection."""
    both = sorted(own.keys() & base.keys())
    here, there = (np.array([times[replica] for replica in both], dtype=np.float64) for times in (own, base))
    over, under = quartiles(here).median, quartiles(there).median
    return Point(
        value,
        len(own),
        sum(math.isfinite(time) for time in own.values()),
        quartiles(own.values()),
        intervals.of_median(list(own.values())),
        over / under if math.isfinite(over) and math.isfinite(under) else math.nan,
        intervals.of_ratio(here, there),
    )


def to_csv(rows: Iterable[Row]) -> str:
    """The rows, in the order of the study."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in sorted(rows, key=_place))
    return text.getvalue()


def from_csv(text: str, source: str) -> list[Row]:
    """Rows that were written by `to_csv`; `source` is what an error calls the text.

    Raises:
        ConfigError: it is something else.
    """
    try:
        rows = _rows(text)
        for row in rows:
            _place(row)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{source}: is no table of this study; move it away, or give another folder") from None
    return rows


def _rows(text: str) -> list[Row]:
    if text and not text.startswith(",".join(f.name for f in fields(Row)) + "\n"):
        raise ValueError(text)
    return [
        Row(
            one["task"], one["axis"], float(one["value"]), int(one["replica"]), one["solved"] == "True",
            int(one["probes"]), int(one["evaluations"]), float(one["accuracy"]),
        )
        for one in csv.DictReader(io.StringIO(text))
    ]  # fmt: skip


def _place(row: Row) -> tuple[int, str, int, int, int]:
    values, known = AXES[row.axis].values, list(TASKS)
    task = known.index(row.task) if row.task in known else len(known)
    return task, row.task, list(AXES).index(row.axis), values.index(row.value), row.replica
