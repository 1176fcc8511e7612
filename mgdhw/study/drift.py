"""Whether training keeps up with a chip that drifts, against the same chip whose training has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mgdhw.config import Experiment, ScheduleSection, check_experiment
from mgdhw.errors import ConfigError
from mgdhw.events import Checkpoint, Evaluated
from mgdhw.sources import changed, load_dataset, opening
from mgdhw.state import TrainState
from mgdhw.study.axes import options_of, with_options
from mgdhw.trainer import Trainer

TIME_CONSTANT = 100_000
"""Time constant of the cells' decay, in probes."""
CONSTANTS = 10
"""For how many of them training goes on, or doesn't."""
CHIP = "sim:analog-8bit?write_noise=0.01&drift_every=100"
"""The chip, but for the time constant."""
LEARNING = 100_000
"""Probes of the training before."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy over time: step and accuracy on the test samples."""

    steps: tuple[int, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drifting:
    """Learning, and what came after it with and without training, time in probes.

    Args:
        learning, trained, frozen: accuracy over time.
        learned_at: where learning ended.
        time_constant: of the cells' decay.
    """

    learning: Curve
    trained: Curve
    frozen: Curve
    learned_at: int
    time_constant: float


def experiment(constants: float = CONSTANTS, seed: int = 0) -> Experiment:
    """Digits on a chip whose cells are written by a converter and decay: capacitors that leak."""
    return check_experiment(
        {
            "name": "drift",
            "seed": seed,
            "device": {"uri": f"{CHIP}&retention={TIME_CONSTANT}"},
            "training": {"probes": LEARNING, "batch": 32, "tau_theta": 100},
            "codes": {"delta": 0.125},
            "optimizer": {"name": "adam", "eta": 0.02},
            "evaluation": {"every": 5_000},
        },
        source="study",
    )


def decaying(own: Experiment, seed: int) -> Experiment:
    """A user's experiment on its chip, whose cells decay: as its address says, or with the time constant above.

    It aims at nothing, and its learning rate is constant: it is followed beyond its end.
    """
    others = {"drift_every": "100", "retention": str(TIME_CONSTANT)}
    uri = with_options(own.device.uri, {**others, **options_of(own.device.uri)})
    return own.model_copy(
        update={
            "seed": own.seed + seed,
            "device": own.device.model_copy(update={"uri": uri}),
            "schedule": ScheduleSection(),
            "evaluation": own.evaluation.model_copy(update={"stop_at_accuracy": None, "stop_at_cost": None}),
        }
    )


async def study(
    constants: float, seed: int, tell: Callable[[str, Evaluated], None], own: Experiment | None = None
) -> Drifting:
    """Train, then go on twice from there: training, and probing without updates.

    Args:
        constants: time constants to follow the chip for.
        seed: of training and chip.
        tell: hears of every evaluation, with the name of the part.
        own: a user's experiment, instead of the digits.

    Raises:
        ConfigError: the chip's cells do not decay.
    """
    first = experiment(constants, seed) if own is None else decaying(own, seed)
    given = options_of(first.device.uri)["retention"]
    time_constant = _positive(given)
    dataset = load_dataset(first, Path())
    learning_ends = first.training.probes
    end = learning_ends + round(constants * time_constant)

    async def follow(name: str, how: Experiment, state: TrainState | None) -> tuple[Curve, TrainState | None]:
        steps: list[int] = []
        accuracies: list[float] = []
        async with opening(how.device.uri) as device:
            async for event in Trainer(how, device, dataset, resume=state):
                if isinstance(event, Checkpoint):
                    state = event.state
                if isinstance(event, Evaluated) and (not steps or event.step > steps[-1]):
                    steps.append(event.step)
                    accuracies.append(event.accuracy)
                    tell(name, event)
        return Curve(tuple(steps), tuple(accuracies)), state

    learning, state = await follow("learning", first, None)
    going = changed(first, (f"training.probes={end}",))
    trained, _ = await follow("trained", going, None if state is None else replace(state))
    frozen, _ = await follow("frozen", changed(going, ("optimizer.eta=0",)), state)
    return Drifting(learning, trained, frozen, learning_ends, time_constant)


def _positive(retention: str) -> float:
    try:
        found = float(retention)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ConfigError(f"retention={retention}: expected the time constant of the cells' decay, in probes")
    return found
