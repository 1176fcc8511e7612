"""How much of each imperfection a chip learns with: time to solution and share solved, over replicas.

A replica has its own seed and its own chip: mismatch and noise differ between replicas as they do between chips.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.outcome import Quartiles, quartiles
from mgdhw.study.axes import AXES, Axis

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
    """All replicas at one strength.

    Args:
        value: the strength.
        solved: share of the replicas that learned the task.
        times: quartiles of their probes to solution; infinite where too few did.
    """

    value: float
    solved: float
    times: Quartiles

    def summary(self) -> dict[str, float | None]:
        """As JSON can hold it."""
        return {"value": self.value, "solved": self.solved, **self.times.summary()}


def jobs(tasks: Iterable[str], axes: Iterable[str], replicas: int) -> list[Job]:
    """All trainings of a study; those of one replica number together, so that a study that is cut short is whole."""
    every = [(task, axis, value) for task in tasks for axis in axes for value in AXES[axis].values]
    return [Job(task, axis, value, replica) for replica in range(replicas) for task, axis, value in every]


def run(job: Job, task: Task) -> Row:
    """Train one chip."""
    from mgdhw.api import train
    from mgdhw.config import check_experiment

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
        result.evaluations, result.accuracy,
    )  # fmt: skip


def study(
    todo: Sequence[Job], tasks: Mapping[str, Task], tell: Callable[[Row], None], workers: int | None = None
) -> None:
    """Run trainings of tasks on all processors; `tell` hears of each as it ends.

    An interruption ends the others in the middle and is raised; what was told of is done.
    """
    _one_thread_each()
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, context, _end_with_parent) as pool:
        try:
            with _held_back(signal.SIGINT):  # and so in the workers, for good: who is interrupted is this process
                futures = [pool.submit(run, job, tasks[job.task]) for job in todo]
            for future in as_completed(futures):
                tell(future.result())
        except BaseException:
            # They would finish what they have begun. The pool is broken then: it begins nothing else, and is left when
            # its own thread has seen to that.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _end_with_parent() -> None:
    """In a worker: end when the process is gone that asked for the work, in whatever way it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers have one"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="mgdhw watches its parent", daemon=True).start()


@contextlib.contextmanager
def _held_back(number: int) -> Iterator[None]:
    """While this lasts, a signal waits; processes that are begun meanwhile never get it (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_thread_each() -> None:
    """The workers share the processors already."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def points(rows: Iterable[Row], task: str, axis: Axis) -> list[Point]:
    """What the replicas make together, strength by strength."""
    found = []
    for value in axis.values:
        own = [row for row in rows if (row.task, row.axis) == (task, axis.name) and row.value == value]
        if own:
            times = quartiles(row.probes if row.solved else math.inf for row in own)
            found.append(Point(value, sum(row.solved for row in own) / len(own), times))
    return found


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
