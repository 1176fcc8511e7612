"""Costs and accuracy of outputs, in floating point: for reports.

What trains is the cost that the device measures; what is computed here decides no bit of a trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray

CostFunction = Callable[[FloatArray, FloatArray], FloatArray]
"""(B,) costs of (B, n_out) outputs and targets."""


def mean_squared_error(outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B,) mean over the outputs of (y - t)², for (B, n_out) outputs and targets."""
    return np.asarray(np.square(outputs - targets).mean(axis=1))


def cross_entropy(outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B,) softmax cross-entropy in nats: log Σ exp y - Σ t y, for (B, n_out) logits and target probabilities."""
    top = outputs.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(outputs - top).sum(axis=1)) + top[:, 0]
    return np.asarray(log_sum - (targets * outputs).sum(axis=1))


COSTS: dict[str, CostFunction] = {
    "mse": mean_squared_error,
    "xent": cross_entropy,
}
"""By name, in the order of their numbers on the link: a new one goes to the end."""


def accuracy_or_r2(outputs: FloatArray, targets: FloatArray, *, classes: bool) -> tuple[float | None, float | None]:
    """How good (B, n_out) outputs are: the share that is right where they are classes, else R²; the other is None."""
    return (float(correct(outputs, targets).mean()), None) if classes else (None, r_squared(outputs, targets))


def r_squared(outputs: FloatArray, targets: FloatArray) -> float | None:
    """R² of (B, n_out) outputs: the share of the targets' variance that they explain, all outputs together.

    1 is perfect, 0 as good as the mean of the targets, less is worse. None where targets don't vary, or outputs are
    not finite.
    """
    variation = float(np.square(targets - targets.mean(axis=0)).sum())
    found = 1.0 - float(np.square(outputs - targets).sum()) / variation if variation > 0 else math.nan
    return found if math.isfinite(found) else None


def correct(outputs: FloatArray, targets: FloatArray) -> NDArray[np.bool_]:
    """(B,) whether each sample is right: the largest output for classes, a threshold of 0.5 for a single output."""
    if outputs.shape[1] == 1:
        return np.asarray((outputs[:, 0] > 0.5) == (targets[:, 0] > 0.5))
    return np.asarray(outputs.argmax(axis=1) == targets.argmax(axis=1))
