"""Cost and accuracy of the best constant output: a network that does no better has learned nothing."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray


def constant_predictor_cost(kind: str, targets: FloatArray) -> float:
    """Mean cost per sample of the best constant output for (N, n_out) targets and a cost in COSTS.

    The mean squared error is least at the targets' mean, where it is their variance; the cross-entropy where the
    softmax is that mean, where it is the mean's entropy.
    """
    mean = targets.mean(axis=0)
    if kind == "xent":
        shares = mean[mean > 0]
        return float(-(shares * np.log(shares)).sum())
    return float(np.square(targets - mean).mean())


def constant_predictor_accuracy(targets: FloatArray) -> float | None:
    """Accuracy of the best constant output, as `costs.correct` counts; None if the targets are not classes."""
    if not np.isin(targets, (0.0, 1.0)).all():
        return None
    if targets.shape[1] == 1:
        ones = float(targets.mean())
        return max(ones, 1 - ones)
    return float(np.bincount(targets.argmax(axis=1)).max() / targets.shape[0])
