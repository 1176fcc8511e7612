"""Whether training keeps up with a chip that drifts, against the same chip whose training has ended, for many seeds."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from mgdhw.errors import ConfigError
from mgdhw.experiment.inputs import fitted
from mgdhw.experiment.load import check_experiment, with_overrides
from mgdhw.experiment.resolve import load_dataset, opening
from mgdhw.experiment.schema import Experiment, ScheduleSection
from mgdhw.learning.state import TrainState
from mgdhw.study import intervals
from mgdhw.study.axes import options_of, with_options
from mgdhw.study.intervals import Interval
from mgdhw.study.own import checked, data_of
from mgdhw.study.pool import each
from mgdhw.study.robustness import Task
from mgdhw.training.events import Checkpoint, Evaluated
from mgdhw.training.results import quartiles
from mgdhw.training.trainer import Trainer

TIME_CONSTANT = 100_000
"""Time constant of the cells' decay, in probes."""
CONSTANTS = 10
"""For how many of them training goes on, or doesn't."""
CHIP = "sim:analog-8bit?write_noise=0.01&drift_every=100"
"""The chip, but for the time constant."""
LEARNING = 100_000
"""Probes of the training before."""

Part = Literal["learning", "trained", "frozen"]
PARTS: tuple[Part, ...] = ("learning", "trained", "frozen")


@dataclass(frozen=True, slots=True)
class Course:
    """What every chip of a study goes through, time in probes.

    Args:
        experiment: how it learns, on which chip; seeds are added to its own.
        constants: for how many time constants it is followed after that.
        time_constant: of the cells' decay.
        split: what accuracies are of: "test", or "train" where the dataset has no test samples.
    """

    experiment: Experiment
    constants: float
    time_constant: float
    split: str

    @property
    def learned_at(self) -> int:
        """Where learning ends."""
        return self.experiment.training.probes

    @property
    def ends_at(self) -> int:
        """The last step."""
        return self.learned_at + round(self.constants * self.time_constant)

    @property
    def task(self) -> Task:
        """As a folder remembers it."""
        return _task(self.experiment)

    def of(self, seed: int) -> Experiment:
        """How one chip learns: each seed is another training, and another chip."""
        uri = with_options(self.experiment.device.uri, {"seed": str(seed)})
        return _on(self.experiment, uri).model_copy(update={"seed": self.experiment.seed + seed})


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation: a line of the CSV."""

    seed: int
    part: Part
    step: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed, in accuracies on the test samples.

    Args:
        learned: where learning ended.
        trained_worst, trained_end: while training went on, and at the end of it.
        frozen_end: at the end of the same time without training.
    """

    learned: float
    trained_worst: float
    trained_end: float
    frozen_end: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A number of all seeds: its median, and the median's interval of 95 %."""

    median: float
    interval: Interval

    def summary(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {"median": self.median, "median_interval": self.interval.summary()}


def experiment() -> Experiment:
    """Digits on a chip whose cells are written by a converter and decay: capacitors that leak."""
    return check_experiment(
        {
            "name": "drift",
            "device": {"uri": f"{CHIP}&retention={TIME_CONSTANT}"},
            "training": {"probes": LEARNING, "batch": 32, "tau_theta": 100},
            "codes": {"delta": 0.125},
            "optimizer": {"name": "adam", "eta": 0.02},
            "evaluation": {"every": 5_000},
        },
        source="study",
    )


def course(constants: float = CONSTANTS, own: Experiment | None = None) -> Course:
    """What is studied: the digits, or a user's experiment on its chip.

    Cells of the chip decay as its address says, or with the time constant above. It aims at nothing, and its learning
    rate is constant: it is followed beyond its end.

    Raises:
        ConfigError: the chip's cells do not decay, its sizes are not those of the data, or these have no classes.
    """
    given = experiment() if own is None else own
    options = {"drift_every": "100", "retention": str(TIME_CONSTANT), **options_of(given.device.uri)}
    given = _on(given, with_options(given.device.uri, options)).model_copy(
        update={
            "schedule": ScheduleSection(),
            "evaluation": given.evaluation.model_copy(update={"stop_at_accuracy": None, "stop_at_cost": None}),
        }
    )
    time_constant = _positive(options["retention"])
    dataset = data_of(checked(_task(given)))
    if not dataset.has_classes:
        raise ConfigError(
            f"data.name: a study of drift follows an accuracy, and {dataset.name!r} has no classes (regression); mgdhw"
            " study robustness --axis drift measures the time until a stop_at_cost is met"
        )
    return Course(given, constants, time_constant, "test" if dataset.n_test else "train")


def _task(experiment: Experiment) -> Task:
    return Task("drift", experiment.device.uri, experiment.model_dump(mode="json", exclude_none=True))


def _on(experiment: Experiment, uri: str) -> Experiment:
    """The experiment on another chip."""
    return experiment.model_copy(update={"device": experiment.device.model_copy(update={"uri": uri})})


def _positive(retention: str) -> float:
    try:
        found = float(retention)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ConfigError(f"retention={retention}: expected the time constant of the cells' decay, in probes")
    return found


def run(course: Course, seed: int) -> list[Row]:
    """Follow one chip."""
    return asyncio.run(follow(course, seed))


async def follow(course: Course, seed: int) -> list[Row]:
    """Train, then go on twice from there: training, and probing without updates."""
    first = course.of(seed)
    loaded = load_dataset(first, Path())
    rows: list[Row] = []

    async def go(part: Part, how: Experiment, state: TrainState | None) -> TrainState | None:
        seen: set[int] = set()
        async with opening(how.device.uri) as device:
            _, dataset, _ = fitted(how.data, loaded, device.info)
            async for event in Trainer(how, device, dataset, resume=state):
                if isinstance(event, Checkpoint):
                    state = event.state
                if isinstance(event, Evaluated) and event.step not in seen:
                    assert event.accuracy is not None, "its dataset has classes"
                    seen.add(event.step)
                    rows.append(Row(seed, part, event.step, event.accuracy))
        return state

    state = await go("learning", first, None)
    going = with_overrides(first, (f"training.probes={course.ends_at}",))
    await go("trained", going, None if state is None else replace(state))
    await go("frozen", with_overrides(going, ("optimizer.eta=0",)), state)
    return rows


def study(course: Course, seeds: Iterable[int], tell: Callable[[list[Row]], None], workers: int | None = None) -> None:
    """Follow chips on all processors; `tell` hears of each as it ends. See `mgdhw.study.pool`."""
    each(run, [(course, seed) for seed in seeds], tell, workers)


def outcomes(rows: Iterable[Row]) -> list[Outcome]:
    """What came of each seed, in the order of the seeds."""
    found: dict[int, dict[Part, list[Row]]] = {}
    for row in rows:
        found.setdefault(row.seed, {part: [] for part in PARTS})[row.part].append(row)
    return [
        Outcome(
            parts["learning"][-1].accuracy,
            min(row.accuracy for row in parts["trained"]),
            parts["trained"][-1].accuracy,
            parts["frozen"][-1].accuracy,
        )
        for _, parts in sorted(found.items())
    ]


def summary(accuracies: Sequence[float]) -> Summary:
    """Of one number of every seed."""
    return Summary(quartiles(accuracies).median, intervals.of_median(accuracies))


def to_csv(rows: Iterable[Row]) -> str:
    """The rows, by seed, part and step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    writer.writerows((*astuple(row)[:3], f"{row.accuracy:.4f}") for row in _ordered(rows))
    return text.getvalue()


def from_csv(text: str, source: str) -> list[Row]:
    """Rows that were written by `to_csv`; `source` is what an error calls the text.

    Raises:
        ConfigError: it is something else.
    """
    try:
        lines = csv.DictReader(io.StringIO(text))
        if text and lines.fieldnames != [field.name for field in fields(Row)]:
            raise ValueError(text)
        rows = [
            Row(int(one["seed"]), PARTS[PARTS.index(one["part"])], int(one["step"]), float(one["accuracy"]))
            for one in lines
        ]
        seeds = {row.seed for row in rows}
        complete = all({row.part for row in rows if row.seed == seed} == set(PARTS) for seed in seeds)
        if not complete:
            raise ValueError(text)
    except (KeyError, TypeError, ValueError, csv.Error):
        raise ConfigError(f"{source}: is no table of this study; move it away, or give another folder") from None
    return _ordered(rows)


def check_length(rows: Sequence[Row], course: Course, source: str) -> None:
    """See that chips were followed for as long as in `course`; `source` is what an error calls them.

    Raises:
        ConfigError: for another time.
    """
    if rows and max(row.step for row in rows) != course.ends_at:
        followed = (max(row.step for row in rows) - course.learned_at) / course.time_constant
        raise ConfigError(
            f"{source}: its chips were followed for {followed:g} time constants, not {course.constants:g}; move it"
            " away, or give another folder"
        )


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.seed, PARTS.index(row.part), row.step))
