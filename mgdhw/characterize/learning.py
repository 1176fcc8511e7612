"""Whether a pilot has learnt anything: whether it does better than the best answer that never looks at the inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.characterize.bench import Bench
from mgdhw.characterize.constant import constant_accuracy, constant_cost
from mgdhw.costs import COSTS, correct

BETTER = 0.02
"""Share of its cost by which a constant answer has to be beaten."""
ANSWERS = 1024
"""Samples whose answers are looked at."""
ERRORS = 4.0
"""Standard errors by which it has to be beaten, too."""


@dataclass(frozen=True)
class Learning:
    """A pilot beside a constant answer, on training samples.

    Args:
        cost, constant: the pilot's cost per sample as the device measures it, and the best constant answer's.
        of_outputs: the cost of its outputs, as the host computes it.
        error: standard error of the former.
        samples: number of the answers.
        accuracy, chance: shares of right answers of both; None where the targets are no classes.
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
        """Whether the pilot does better: by its cost, or by its outputs, where the cost has an offset or a scale."""
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
    def told(self) -> str:
        """In words and numbers."""
        right = "" if self.accuracy is None else f" and {self.accuracy:.0%} right"
        chance = "" if self.chance is None else f" and {self.chance:.0%}"
        return f"a cost of {self.cost:.3g}{right}, where the best constant answer has {self.constant:.3g}{chance}"


async def measure_learning(bench: Bench, cost: float, batch: int, error: float, *, drifts: bool) -> Learning:
    """Compare what the device holds now with a constant answer. Takes ANSWERS / batch evaluations at most.

    Args:
        bench: the device.
        cost: its cost per sample, on the first `batch` samples of the bench.
        batch: samples.
        error: standard error of the cost.
        drifts: whether the cost changes by itself.
    """
    of_cost = np.asarray(bench.dataset.targets[bench.samples(batch)], dtype=np.float64)
    samples = min(ANSWERS, bench.dataset.n_train)
    outputs = await bench.infer(samples, batch)
    targets = np.asarray(bench.dataset.targets[bench.samples(samples)], dtype=np.float64)
    chance = constant_accuracy(targets)
    right = None if chance is None else float(correct(outputs, targets).mean())
    kind = bench.info.cost_kind
    constant = constant_cost(kind, of_cost)
    of_outputs = float(COSTS[kind](outputs, targets).mean()) if kind in COSTS else constant
    return Learning(cost, constant, of_outputs, error, samples, right, chance, drifts)
