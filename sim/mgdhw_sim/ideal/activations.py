"""Activation functions and their slopes, in numpy; names are those of the chip's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mgdhw.arrays import FloatArray

Function = Callable[[FloatArray], FloatArray]


def _logistic(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)  # no overflow, however negative


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "logistic": (_logistic, lambda h: h * (1.0 - h)),
    "tanh": (lambda z: np.asarray(np.tanh(z)), lambda h: 1.0 - h * h),
    "relu": (lambda z: np.maximum(z, 0.0), lambda h: (h > 0.0).astype(np.float64)),
    "identity": (lambda z: z, np.ones_like),
}
"""Each with its derivative, as a function of its own value."""
