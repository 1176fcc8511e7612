"""Random experiments on nonideal chips: however the work is cut, there is one digest.

Each is drawn by its number, trained in one go, and then again in other ways: other blocks, levels and engines, stops
and kills at random events, each resumed from a checkpoint that was written to a file. Runnable alone:
`python -m tests.sim.experiments 500` prints how many trainings were compared, and fails where one of them differs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.schedule import SCHEDULES
from mgdhw.optimizers import OPTIMIZERS
from mgdhw.runs.checkpoint import load, save
from mgdhw.training.events import Checkpoint, Event, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.spec import ChipSpec

from .draws import SIGNALS, draw_chip, draw_dataset, draw_effects

WAYS = 5
"""In which each experiment is trained again."""
MOST_RESUMES = 4


@dataclass(frozen=True)
class Drawn:
    """An experiment, the chip and the data that it is on."""

    spec: ChipSpec
    dataset: Dataset
    experiment: dict[str, Any]

    def checked(self, **run: Any) -> Experiment:
        """The experiment with some settings of how the work is done."""
        return check_experiment({**self.experiment, "run": run}, source="drawn")


@dataclass(frozen=True)
class Way:
    """How an experiment is trained: level, engine, block, and the chance that it ends after an event."""

    level: str = "learn"
    engine: str = "reference"
    block: int | None = None
    ends: float = 0.0


def draw(number: int) -> Drawn:
    """An experiment on a chip with any effects, most of an odd length, some with a target."""
    rng = Random(number)
    spec = draw_chip(rng, SIGNALS[0])
    spec = replace(spec, layers=tuple(min(size, 6) for size in spec.layers), weight_bits=max(6, spec.weight_bits))
    spec = draw_effects(rng, spec)
    dataset = draw_dataset(rng, spec)
    period = rng.choice((1, 2, 7, 20, 50))
    mode = rng.choice(("discrete", "discrete", "discrete", "continuous"))
    training = {
        "probes": rng.randint(1, 160),
        "batch": rng.randint(1, 4),
        "tau_x": rng.choice((1, 1, 2, 5)),
        "tau_theta": period,
        "mode": mode,
        "baseline": rng.choice(("held", "every", "antithetic")),
        "normalise": rng.choice(("energy", "energy", "oripov")),
        "update_every": rng.choice((1, 3, 10)),
        "init": rng.choice(("glorot", "uniform", "read")),
        "rounding": rng.choice(("nearest", "stochastic")),
    }
    families = list(FAMILIES) if mode == "discrete" else ["random", "sparse"]  # others lose too much by the filter
    codes = {"family": rng.choice(families), "delta": spec.weight_lsb * rng.randint(1, 4)}
    if rng.random() < 0.3 and codes["family"] != "rank1":
        codes["groups"] = "layer"
    experiment = {
        "seed": rng.randrange(1 << 32),
        "training": training,
        "codes": codes,
        "optimizer": {"name": rng.choice(list(OPTIMIZERS)), "eta": spec.weight_lsb * rng.choice((0.3, 1.0, 5.0))},
        "schedule": {"name": rng.choice(list(SCHEDULES))},
        "evaluation": {"every": rng.randint(1, 60)} | ({"stop_at_cost": rng.uniform(0.0, 1.0)} if period < 7 else {}),
    }
    return Drawn(spec, dataset, experiment)


def ways(drawn: Drawn, rng: Random, compiled: bool) -> list[Way]:
    """Other ways to train it; host codes only where that is the same experiment."""
    levels = ["learn", "device-codes"] + (["host-codes"] if drawn.spec.nonidealities.exact_writes else [])
    return [
        Way(
            rng.choice(levels),
            "numba" if compiled and rng.random() < 0.5 else "reference",
            rng.choice((1, 3, 7, 50, 1000)),
            rng.choice((0.0, 0.05, 0.3)),
        )
        for _ in range(WAYS)
    ]


async def digest_of(drawn: Drawn, way: Way, rng: Random, file: Path) -> str:
    """Train it so. An end is a stop that is asked for, or a kill, after which nothing is left but the checkpoint."""
    resume, resumed = None, 0
    while True:
        ends = way.ends if resumed < MOST_RESUMES else 0.0
        given = drawn.checked(level=way.level, block=way.block, checkpoint_seconds=1e-9)
        async with SimDevice("sim:drawn", replace(drawn.spec, engine=way.engine)) as device:
            trainer = Trainer(given, device, drawn.dataset, resume=resume)
            end = await follow(trainer, ends, rng, file)
        if end is not None and end.reason != "stopped":
            return f"{end.digest} ({end.reason} at {end.state.step})"
        resume, resumed = load(file).state, resumed + 1


async def follow(trainer: Trainer, ends: float, rng: Random, file: Path) -> Finished | None:
    """The end of a training, None if it was killed."""
    saved = False
    async with contextlib.aclosing(trainer.__aiter__()) as events:
        async for event in events:
            if isinstance(event, Checkpoint) and ends > 0:
                save(file, event.state)
                saved = True
            if isinstance(event, Finished):
                return event
            if saved and end_here(event, ends, rng):
                if rng.random() < 0.5:
                    return None
                trainer.stop()
    raise AssertionError("a training ends with Finished")


def end_here(event: Event, ends: float, rng: Random) -> bool:
    """Whether a training is ended after an event."""
    return ends > 0 and rng.random() < ends


async def compare(number: int, *, compiled: bool) -> int:
    """Train an experiment in several ways. Returns how many; raises AssertionError where two of them differ."""
    drawn, rng = draw(number), Random(f"ways {number}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "checkpoint.npz")
        expected = await digest_of(drawn, Way(), rng, file)
        for way in ways(drawn, rng, compiled):
            found = await digest_of(drawn, way, rng, file)
            assert found == expected, f"experiment {number}, {way}: {found}, in one go {expected}: {drawn}"
    return 1 + WAYS


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.disable(logging.WARNING)
    trainings = failed = 0
    for number in range(first, first + count):
        try:
            trainings += asyncio.run(compare(number, compiled=True))
        except AssertionError as error:
            failed += 1
            sys.stdout.write(f"{error}\n")
        if (number + 1 - first) % 50 == 0:
            told = f"{number + 1 - first} experiments, {trainings} trainings, {failed} with more than one digest"
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
