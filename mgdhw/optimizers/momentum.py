"""Gradient descent with momentum: Polyak's and Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.optimizers.base import Optimizer, State
from mgdhw.variants import FROM_0_TO_BELOW_1, number


@dataclass(frozen=True)
class Momentum(Optimizer):
    """m ← β m + ĝ; θ ← θ - η m. Source: Polyak (1964), in the form of Sutskever et al. (2013)."""

    name = "momentum"
    link_number = 1

    beta: float = number(0.9, FROM_0_TO_BELOW_1, "decay of the momentum")

    def init(self, n_parameters: int) -> State:
        return {"m": np.zeros(n_parameters)}

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        m = self.beta * state["m"] + gradient
        return theta - eta * m, {"m": m}


@dataclass(frozen=True)
class Nesterov(Momentum):
    """m ← β m + ĝ; θ ← θ - η (ĝ + β m). Source: Nesterov (1983), in the form of Sutskever et al. (2013)."""

    name = "nesterov"
    link_number = 2

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        m = self.beta * state["m"] + gradient
        return theta - eta * (gradient + self.beta * m), {"m": m}
