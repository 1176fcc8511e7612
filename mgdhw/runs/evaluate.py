"""How good the network of a run is: its last checkpoint, on the device, with every sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.costs import CostFunction, accuracy_or_r2
from mgdhw.datasets import Dataset
from mgdhw.device import Device, guarded
from mgdhw.device.control import take_control
from mgdhw.device.interlock import require_closed
from mgdhw.errors import CheckpointError, LinkLost
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.rounding import round_stochastically
from mgdhw.learning.rule import ParameterGrid
from mgdhw.learning.state import TrainState
from mgdhw.training.iteration import applying


@dataclass(frozen=True)
class Score:
    """What a network makes of one split.

    Args:
        samples: number of them.
        accuracy: share that is right, 0 ... 1; None where the outputs are no classes (regression).
        cost: mean, in the device's kind of cost.
        confusion: (classes, classes) samples of the row's class taken for the column's; None for a single output,
            and of regression.
        r2: of regression: the share of the targets' variance that is explained; else None.
    """

    samples: int
    accuracy: float | None
    cost: float
    confusion: NDArray[np.int64] | None
    r2: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """A run's network on the data: scores by split ("train", and "test" where there are test samples).

    Args:
        step: probes that the network was trained for.
        scores: by split.
        classes: their names, where outputs are classes.
        run: folder of the run.
        notes: what the user should know (a newer checkpoint that could not be read, ...).
    """

    step: int
    scores: dict[str, Score]
    classes: tuple[str, ...]
    run: Path = Path()
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "run": str(self.run),
            "notes": list(self.notes),
            "step": self.step,
            "classes": list(self.classes),
            "splits": {
                split: {
                    "samples": score.samples,
                    "accuracy": score.accuracy,
                    "r2": score.r2,
                    "cost": score.cost if math.isfinite(score.cost) else None,
                    "confusion": None if score.confusion is None else score.confusion.tolist(),
                }
                for split, score in self.scores.items()
            },
        }


async def evaluate_run(experiment: Experiment, device: Device, dataset: Dataset, state: TrainState) -> Evaluation:
    """Write a checkpoint's θ to an open device, as the trainer would, and try every sample.

    Raises:
        CheckpointError: the checkpoint is of another network.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed.
        InterlockOpen: an interlock is open.
    """
    info = device.info
    if state.theta.size != info.n_parameters:
        raise CheckpointError(
            f"the checkpoint has {state.theta.size} parameters, {device.uri} has {info.n_parameters};"
            " evaluate on the device that the run began with"
        )
    theta = state.theta
    if experiment.training.rounding == "stochastic":
        theta = round_stochastically(
            theta, ParameterGrid(info.theta_min, info.theta_max, info.theta_lsb), experiment.seed, state.update
        )
    scores = {}
    with await take_control(device, "an evaluation"), applying(experiment.readings, device):
        try:
            await device.load(dataset)
            await require_closed(device.interlocks, device.uri)
            if state.cells:
                await device.restore(state.cells)
            await device.write(theta, state.step)
            for split, first, end in (("train", 0, dataset.n_train), ("test", dataset.n_train, dataset.n_samples)):
                if end > first:
                    samples = np.arange(first, end)
                    await require_closed(device.interlocks, device.uri)
                    outputs = await guarded.infer(device, samples, state.step)
                    targets = dataset.targets[samples]
                    scores[split] = _score(device.cost_of, outputs, targets, classes=dataset.has_classes)
        except OSError as error:
            raise LinkLost(str(error), uri=device.uri) from error
    return Evaluation(state.step, scores, dataset.classes)


def _score(
    cost_of: CostFunction, outputs: NDArray[np.float64], targets: NDArray[np.float64], *, classes: bool
) -> Score:
    confusion = None
    n = targets.shape[1]
    if n > 1 and classes:
        confusion = np.zeros((n, n), dtype=np.int64)
        np.add.at(confusion, (targets.argmax(axis=1), outputs.argmax(axis=1)), 1)
    cost = float(cost_of(outputs, targets).mean())
    accuracy, r2 = accuracy_or_r2(outputs, targets, classes=classes)
    return Score(len(outputs), accuracy, cost, confusion, r2)
