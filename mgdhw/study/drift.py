"""Whether training keeps up with a chip that drifts, against the same chip whose training has ended, for many seeds."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from mgdhw.config import Experiment, check_experiment
from mgdhw.errors import ConfigError
from mgdhw.events import Checkpoint, Evaluated
from mgdhw.outcome import quartiles
from mgdhw.sources import changed, load_dataset, opening
from mgdhw.state import TrainState
from mgdhw.study import intervals
from mgdhw.study.intervals import Interval
from mgdhw.study.pool import each
from mgdhw.trainer import Trainer

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
class Job:
    """One seed of the study: of training and chip; and for how many time constants it is followed."""

    seed: int
    constants: float


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


def experiment(seed: int = 0) -> Experiment:
    """Digits on a chip whose cells are written by a converter and decay: capacitors that leak."""
    return check_experiment(
        {
            "name": "drift",
            "seed": seed,
            "device": {"uri": f"{CHIP}&retention={TIME_CONSTANT}&seed={seed}"},
            "training": {"probes": LEARNING, "batch": 32, "tau_theta": 100},
            "codes": {"delta": 0.125},
            "optimizer": {"name": "adam", "eta": 0.02},
            "evaluation": {"every": 5_000},
        },
        source="study",
    )


def end_of(constants: float) -> int:
    """The last step, for so many time constants after learning."""
    return LEARNING + round(constants * TIME_CONSTANT)


def run(job: Job) -> list[Row]:
    """Follow one chip."""
    return asyncio.run(follow(job))


async def follow(job: Job) -> list[Row]:
    """Train, then go on twice from there: training, and probing without updates."""
    first = experiment(job.seed)
    dataset = load_dataset(first, Path())
    rows: list[Row] = []

    async def go(part: Part, how: Experiment, state: TrainState | None) -> TrainState | None:
        seen: set[int] = set()
        async with opening(how.device.uri) as device:
            async for event in Trainer(how, device, dataset, resume=state):
                if isinstance(event, Checkpoint):
                    state = event.state
                if isinstance(event, Evaluated) and event.step not in seen:
                    seen.add(event.step)
                    rows.append(Row(job.seed, part, event.step, event.accuracy))
        return state

    state = await go("learning", first, None)
    going = changed(first, (f"training.probes={end_of(job.constants)}",))
    await go("trained", going, None if state is None else replace(state))
    await go("frozen", changed(going, ("optimizer.eta=0",)), state)
    return rows


def study(todo: Sequence[Job], tell: Callable[[list[Row]], None], workers: int | None = None) -> None:
    """Follow chips on all processors; `tell` hears of each as it ends. See `mgdhw.study.pool`."""
    each(run, todo, tell, workers)


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


def from_csv(text: str, source: str, constants: float) -> list[Row]:
    """Rows that were written by `to_csv`; `source` is what an error calls the text.

    Raises:
        ConfigError: it is something else, or follows the chips for another time than `constants`.
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
        complete = all({(row.part) for row in rows if row.seed == seed} == set(PARTS) for seed in seeds)
        if not complete:
            raise ValueError(text)
    except (KeyError, TypeError, ValueError, csv.Error):
        raise ConfigError(f"{source}: is no table of this study; move it away, or give another folder") from None
    if rows and max(row.step for row in rows) != end_of(constants):
        followed = (max(row.step for row in rows) - LEARNING) / TIME_CONSTANT
        raise ConfigError(
            f"{source}: its chips were followed for {followed:g} time constants, not {constants:g}; move it away,"
            " or give another folder"
        )
    return _ordered(rows)


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.seed, PARTS.index(row.part), row.step))
