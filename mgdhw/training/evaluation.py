"""Trying a network while it is trained: its accuracy and cost, whether they are enough, and whether η is too large.

None of it decides a bit of a trajectory but where it ends.
"""

from __future__ import annotations

import logging
import math

import numpy as np

from mgdhw.costs import accuracy_or_r2
from mgdhw.datasets import Dataset
from mgdhw.device import Device, guarded
from mgdhw.experiment.schema import EvaluationSection
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.training.events import Evaluated

SATURATED_SHARE = 0.5
"""So many of the parameters at the ends of their range, and somebody should know."""

log = logging.getLogger("mgdhw.training")


async def evaluate(device: Device, dataset: Dataset, state: TrainState) -> Evaluated:
    """Try the network that the device holds on the test samples, or on all where there are none."""
    split = "test" if dataset.n_test else "train"
    samples = np.arange(dataset.n_train if dataset.n_test else 0, dataset.n_samples)
    outputs = await guarded.infer(device, samples, state.step)
    targets = dataset.targets[samples]
    cost = float(device.cost_of(outputs, targets).mean())
    accuracy, r2 = accuracy_or_r2(outputs, targets, classes=dataset.has_classes)
    return Evaluated(state.step, state.evaluations, split, accuracy, cost, r2)


def target_reached(wanted: EvaluationSection, evaluated: Evaluated) -> bool:
    """Whether the accuracy and the cost aimed at are reached; never, where neither is given."""
    accurate = wanted.stop_at_accuracy is None or (evaluated.accuracy or 0.0) >= wanted.stop_at_accuracy
    return wanted.has_target and accurate and (wanted.stop_at_cost is None or evaluated.cost < wanted.stop_at_cost)


def not_evaluated(state: TrainState, dataset: Dataset) -> Evaluated:
    """What is known of a network that was not evaluated, because a stop was asked for."""
    return Evaluated(state.step, state.evaluations, "test" if dataset.n_test else "train", None, math.nan)


class SaturationMonitor:
    """Says, once, that most parameters are at the ends of their range: nothing is learnt by steps that are too large.

    It is no error, and no limit of η would be right: how far η moves a parameter depends on the optimizer and on costs.
    """

    def __init__(self) -> None:
        self._said = False

    def check(self, state: TrainState, rule: LearningRule) -> None:
        """Take in where the parameters are."""
        if self._said or state.update == 0:
            return
        share = float(np.mean((state.theta <= rule.low) | (state.theta >= rule.high)))
        if share >= SATURATED_SHARE:
            self._said = True
            log.warning(
                "%.0f %% of the parameters are at the ends of their range after %s updates; a smaller optimizer.eta"
                " (it is %g) moves them less",
                100 * share, f"{state.update:,}", rule.eta,
            )  # fmt: skip
