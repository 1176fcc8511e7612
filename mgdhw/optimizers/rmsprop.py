"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.optimizers.base import Optimizer, State
from mgdhw.variants import FROM_0_TO_BELOW_1, NOT_NEGATIVE, number


@dataclass(frozen=True)
class Rmsprop(Optimizer):
    """v ← ρ v + (1 - ρ) ĝ²; θ ← θ - η ĝ / (√v + ε). Source: Hinton, Neural networks for ML, lecture 6e (2012)."""

    name = "rmsprop"
    link_number = 3
    not_negative = frozenset({"v"})

    rho: float = number(0.99, FROM_0_TO_BELOW_1, "decay of the mean square")
    epsilon: float = number(1e-8, NOT_NEGATIVE, "added to the root")

    def init(self, n_parameters: int) -> State:
        return {"v": np.zeros(n_parameters)}

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        v = self.rho * state["v"] + (1.0 - self.rho) * (gradient * gradient)
        root = theta.__array_namespace__().sqrt(v)
        return theta - eta * gradient / (root + self.epsilon), {"v": v}
