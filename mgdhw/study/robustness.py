"""Time to solution and fraction solved as functions of each non-ideality.

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
from mgdhw.study.intervals import Interval
from mgdhw.study.pool import run_all
from mgdhw.study.swept_parameters import SWEEPS, SweptParameter
from mgdhw.training.results import Quartiles, quartiles

DELTA = 0.125
"""Δ, in units of a parameter: four steps of 8 bits."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the chips have to learn.

    Args:
        name: of the task.
        uri: the ideal chip.
        experiment: training and target.
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
    """Result of one training: a line of the CSV."""

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
    """All replicas at one strength. Intervals are 95 % confidence intervals: see `mgdhw.study.intervals`.

    Args:
        value: the strength.
        chips: number of replicas.
        learned: number of those that learned the task.
        times: quartiles of their probes to solution; infinite if too few did.
        median: interval of the median.
        ratio, ratio_interval: median relative to that of the ideal chip, over the replicas that have both; NaN if too
            few learned.
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
        """Fraction of the replicas that learned."""
        return self.learned / self.chips

    @property
    def solved_interval(self) -> Interval:
        """Confidence interval of that fraction."""
        return intervals.of_share(self.learned, self.chips)

    def summary(self) -> dict[str, object]:
        """JSON-compatible form."""
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
    """All trainings of a study, ordered by replica, so that an interrupted study covers all strengths.

    Args:
        tasks: by name.
        axes: strengths by the name of the non-ideality.
        replicas: of each.
    """
    every = [(task, axis, value) for task in tasks for axis, values in axes.items() for value in values]
    return [Job(task, axis, value, replica) for replica in range(replicas) for task, axis, value in every]


def run(job: Job, task: Task) -> Row:
    """Train one chip."""
    from mgdhw.api import train
    from mgdhw.experiment.load import check_experiment

    uri = SWEEPS[job.axis].address(task.uri, job.value, seed=1 + job.replica)
    given = {"codes": {"delta": DELTA}, **task.experiment, "device": {"uri": uri}}
    given["seed"] = task.experiment.get("seed", 0) + job.replica
    delta = given["codes"].get("delta")
    if delta is not None:  # a perturbation is at least one parameter step
        step = float(np.max(open_device(uri).info.theta_lsb))
        given["codes"] = {**given["codes"], "delta": max(delta, step)}
    result = train(check_experiment(given, source="study"), runs=None)
    return Row(
        job.task, job.axis, job.value, job.replica, result.reason == "target", result.probes,
        result.evaluations, math.nan if result.accuracy is None else result.accuracy,
    )  # fmt: skip


def study(
    todo: Sequence[Job], tasks: Mapping[str, Task], on_result: Callable[[Row], None], workers: int | None = None
) -> None:
    """Run trainings on all processors; `on_result` is called for each. See `mgdhw.study.pool`."""
    run_all(run, [(job, tasks[job.task]) for job in todo], on_result, workers)


def points(rows: Iterable[Row], task: str, axis: SweptParameter) -> list[Point]:
    """Statistics over the replicas, strength by strength."""
    times: dict[float, dict[int, float]] = {value: {} for value in axis.values}
    for row in rows:
        if (row.task, row.axis) == (task, axis.name):
            times[row.value][row.replica] = row.probes if row.solved else math.inf
    return [_point(value, own, times[axis.values[0]]) for value, own in times.items() if own]


def _point(value: float, own: Mapping[int, float], base: Mapping[int, float]) -> Point:
    """From times to solution by replica: at one strength, and for the ideal chip."""
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
    """Rows that were written by `to_csv`; `source` is the name of the text in errors.

    Raises:
        ConfigError: it is not such a table.
    """
    try:
        rows = _rows(text)
        for row in rows:
            _place(row)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{source}: is not a table of this study; move it, or choose another folder with --output"
        ) from None
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
    values, known = SWEEPS[row.axis].values, list(TASKS)
    task = known.index(row.task) if row.task in known else len(known)
    return task, row.task, list(SWEEPS).index(row.axis), values.index(row.value), row.replica
