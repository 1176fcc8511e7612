"""Whether a pilot run has learned anything: whether it does better than the best constant output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.constant_predictor import constant_predictor_accuracy, constant_predictor_cost
from mgdhw.costs import COSTS, correct

BETTER = 0.02
"""Least improvement over a constant output, as a share of its cost."""
SAMPLES = 1024
"""Samples whose outputs are compared."""
ERRORS = 4.0
"""Least improvement in standard errors."""


@dataclass(frozen=True)
class LearningCheck:
    """A pilot run compared with a constant output, on training samples.

    Args:
        cost, constant: cost per sample of the pilot run, as measured by the device, and of the best constant output.
        of_outputs: cost of its outputs, as computed by the host.
        error: standard error of the measured cost.
        samples: number of samples.
        accuracy, chance: accuracies of the two; None if the targets are not classes.
        drifts: whether the measured cost changes by itself, so that it cannot be compared with a computed one.
    """

    cost: float
    constant: float
    of_outputs: float
    error: float
    samples: int
    accuracy: float | None
    chance: float | None
    drifts: bool = False

    @property
    def seen(self) -> bool:
        """Whether the pilot run is better: in cost, or in its outputs, in case the cost has an offset or a scale."""
        least = BETTER * self.constant
        if not self.drifts and self.cost < self.constant - max(least, ERRORS * self.error):
            return True
        if self.of_outputs < self.constant - least:
            return True
        if self.accuracy is None or self.chance is None:
            return False
        error = float(np.sqrt(self.chance * (1 - self.chance) / self.samples))
        return self.accuracy > self.chance + ERRORS * error

    @property
    def description(self) -> str:
        """For messages that state the cost already."""
        correct = "" if self.accuracy is None else f"{self.accuracy:.0%} correct "
        chance = "" if self.chance is None else f", {self.chance:.0%} correct"
        return f"{correct}(best constant output: cost {self.constant:.3g}{chance})"


async def check_learning(
    device: BudgetedDevice, cost: float, batch: int, error: float, *, drifts: bool
) -> LearningCheck:
    """Compare the device at its current parameters with a constant output. Takes SAMPLES / batch evaluations at most.

    Args:
        device: the device.
        cost: its cost per sample on the fixed batch.
        batch: size of the fixed batch.
        error: standard error of the cost.
        drifts: whether the cost drifts.
    """
    of_cost = np.asarray(device.dataset.targets[device.samples(batch)], dtype=np.float64)
    samples = min(SAMPLES, device.dataset.n_train)
    outputs = await device.infer(samples, batch)
    targets = np.asarray(device.dataset.targets[device.samples(samples)], dtype=np.float64)
    chance = constant_predictor_accuracy(targets)
    right = None if chance is None else float(correct(outputs, targets).mean())
    kind = device.info.cost_kind
    constant = constant_predictor_cost(kind, of_cost)
    of_outputs = float(COSTS[kind](outputs, targets).mean()) if kind in COSTS else constant
    return LearningCheck(cost, constant, of_outputs, error, samples, right, chance, drifts)
