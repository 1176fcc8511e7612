"""Whether training keeps up with a chip that drifts, against the same chip whose training has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mgdhw.config import Experiment, check_experiment
from mgdhw.events import Checkpoint, Evaluated
from mgdhw.sources import changed, load_dataset, opening
from mgdhw.state import TrainState
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
    """Learning, and what came after it with and without training, time in probes."""

    learning: Curve
    trained: Curve
    frozen: Curve


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


async def study(constants: float, seed: int, tell: Callable[[str, Evaluated], None]) -> Drifting:
    """Train, then go on twice from there: training, and probing without updates.

    Args:
        constants: time constants to follow the chip for.
        seed: of training and chip.
        tell: hears of every evaluation, with the name of the part.
    """
    first = experiment(constants, seed)
    dataset = load_dataset(first, Path())
    end = LEARNING + round(constants * TIME_CONSTANT)

    async def follow(name: str, how: Experiment, state: TrainState | None) -> tuple[Curve, TrainState | None]:
        steps: list[int] = []
        accuracies: list[float] = []
        async with opening(how.device.uri) as device:
            async for event in Trainer(how, device, dataset, resume=state):
                if isinstance(event, Checkpoint):
                    state = event.state
                if isinstance(event, Evaluated) and (not steps or event.step > steps[-1]):
                    assert event.accuracy is not None, "its dataset has classes"
                    steps.append(event.step)
                    accuracies.append(event.accuracy)
                    tell(name, event)
        return Curve(tuple(steps), tuple(accuracies)), state

    learning, state = await follow("learning", first, None)
    going = changed(first, (f"training.probes={end}",))
    trained, _ = await follow("trained", going, None if state is None else replace(state))
    frozen, _ = await follow("frozen", changed(going, ("optimizer.eta=0",)), state)
    return Drifting(learning, trained, frozen)
