"""Whether training keeps up with a chip that drifts, compared with the same chip without further training."""

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
from mgdhw.study.intervals import Interval
from mgdhw.study.pool import run_all
from mgdhw.study.robustness import Task
from mgdhw.study.swept_parameters import options_of, with_options
from mgdhw.study.user_experiments import checked, task_dataset
from mgdhw.training.events import Checkpoint, Evaluated
from mgdhw.training.results import quartiles
from mgdhw.training.trainer import Trainer

TIME_CONSTANT = 100_000
"""Time constant of the cells' decay, in probes."""
CONSTANTS = 10
"""Duration after learning, in time constants."""
CHIP = "sim:analog-8bit?write_noise=0.01&drift_every=100"
"""The chip, without the time constant."""
LEARNING = 100_000
"""Probes of the initial training."""

Phase = Literal["learning", "trained", "frozen"]
PHASES: tuple[Phase, ...] = ("learning", "trained", "frozen")


@dataclass(frozen=True, slots=True)
class DriftProtocol:
    """What is done with every chip of a study; times in probes.

    Args:
        experiment: the initial training and its chip; seeds are added to its own.
        constants: duration after it, in time constants.
        time_constant: of the cells' decay.
        split: samples of the accuracies: "test", or "train" if there are no test samples.
    """

    experiment: Experiment
    constants: float
    time_constant: float
    split: str

    @property
    def learned_at(self) -> int:
        """Last step of the initial training."""
        return self.experiment.training.probes

    @property
    def ends_at(self) -> int:
        """The last step."""
        return self.learned_at + round(self.constants * self.time_constant)

    @property
    def task(self) -> Task:
        """For the record in the folder."""
        return _task(self.experiment)

    def of(self, seed: int) -> Experiment:
        """The initial training of one chip: each seed is a different training and a different chip."""
        uri = with_options(self.experiment.device.uri, {"seed": str(seed)})
        return _on(self.experiment, uri).model_copy(update={"seed": self.experiment.seed + seed})


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation: a line of the CSV."""

    seed: int
    part: Phase
    step: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one seed: accuracies on the test samples.

    Args:
        learned: at the end of the initial training.
        trained_worst, trained_end: worst and last with continued training.
        frozen_end: last without further training.
    """

    learned: float
    trained_worst: float
    trained_end: float
    frozen_end: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A median over all seeds with its 95 % confidence interval."""

    median: float
    interval: Interval

    def summary(self) -> dict[str, object]:
        """JSON-compatible form."""
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


def protocol(constants: float = CONSTANTS, own: Experiment | None = None) -> DriftProtocol:
    """The protocol for the digits, or for a user's experiment on its chip.

    Cells decay as the chip's address says, or with the default time constant. Targets and schedules of the learning
    rate are dropped, because the chip is followed beyond the end of the initial training.

    Raises:
        ConfigError: the chip's cells do not decay, its sizes do not fit the data, or the data have no classes.
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
    dataset = task_dataset(checked(_task(given)))
    if not dataset.has_classes:
        raise ConfigError(
            f"data.name: the drift study needs accuracies, but {dataset.name!r} has no classes (regression); use"
            " mgdhw study robustness --axis drift with evaluation.stop_at_cost"
        )
    return DriftProtocol(given, constants, time_constant, "test" if dataset.n_test else "train")


def _task(experiment: Experiment) -> Task:
    return Task("drift", experiment.device.uri, experiment.model_dump(mode="json", exclude_none=True))


def _on(experiment: Experiment, uri: str) -> Experiment:
    """The experiment on a different chip."""
    return experiment.model_copy(update={"device": experiment.device.model_copy(update={"uri": uri})})


def _positive(retention: str) -> float:
    try:
        found = float(retention)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ConfigError(f"retention={retention}: expected the time constant of the cells' decay in probes, above 0")
    return found


def run(protocol: DriftProtocol, seed: int) -> list[Row]:
    """Follow one chip (blocking)."""
    return asyncio.run(follow(protocol, seed))


async def follow(protocol: DriftProtocol, seed: int) -> list[Row]:
    """Train, then continue twice from there: with training, and probing without updates."""
    first = protocol.of(seed)
    loaded = load_dataset(first, Path())
    rows: list[Row] = []

    async def go(part: Phase, how: Experiment, state: TrainState | None) -> TrainState | None:
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
    going = with_overrides(first, (f"training.probes={protocol.ends_at}",))
    await go("trained", going, None if state is None else replace(state))
    await go("frozen", with_overrides(going, ("optimizer.eta=0",)), state)
    return rows


def study(
    protocol: DriftProtocol, seeds: Iterable[int], on_result: Callable[[list[Row]], None], workers: int | None = None
) -> None:
    """Follow chips on all processors; `on_result` is called for each. See `mgdhw.study.pool`."""
    run_all(run, [(protocol, seed) for seed in seeds], on_result, workers)


def outcomes(rows: Iterable[Row]) -> list[Outcome]:
    """Results in the order of the seeds."""
    found: dict[int, dict[Phase, list[Row]]] = {}
    for row in rows:
        found.setdefault(row.seed, {part: [] for part in PHASES})[row.part].append(row)
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
    """Median and confidence interval over all seeds."""
    return Summary(quartiles(accuracies).median, intervals.of_median(accuracies))


def to_csv(rows: Iterable[Row]) -> str:
    """The rows, by seed, part and step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    writer.writerows((*astuple(row)[:3], f"{row.accuracy:.4f}") for row in _ordered(rows))
    return text.getvalue()


def from_csv(text: str, source: str) -> list[Row]:
    """Rows that were written by `to_csv`; `source` is the name of the text in errors.

    Raises:
        ConfigError: it is not such a table.
    """
    try:
        lines = csv.DictReader(io.StringIO(text))
        if text and lines.fieldnames != [field.name for field in fields(Row)]:
            raise ValueError(text)
        rows = [
            Row(int(one["seed"]), PHASES[PHASES.index(one["part"])], int(one["step"]), float(one["accuracy"]))
            for one in lines
        ]
        seeds = {row.seed for row in rows}
        complete = all({row.part for row in rows if row.seed == seed} == set(PHASES) for seed in seeds)
        if not complete:
            raise ValueError(text)
    except (KeyError, TypeError, ValueError, csv.Error):
        raise ConfigError(
            f"{source}: is not a table of this study; move it, or choose another folder with --output"
        ) from None
    return _ordered(rows)


def check_length(rows: Sequence[Row], protocol: DriftProtocol, source: str) -> None:
    """Check that the duration is that of `protocol`; `source` is the name of the table in errors.

    Raises:
        ConfigError: it is not.
    """
    if rows and max(row.step for row in rows) != protocol.ends_at:
        followed = (max(row.step for row in rows) - protocol.learned_at) / protocol.time_constant
        raise ConfigError(
            f"{source}: its chips were followed for {followed:g} time constants, not {protocol.constants:g}; move it,"
            " or choose another folder with --output"
        )


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.seed, PHASES.index(row.part), row.step))
