"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.optimizers.optimizer import Optimizer, State


@dataclass(frozen=True)
class Rmsprop(Optimizer):
    """v ← ρ v + (1 - ρ) ĝ²; θ ← θ - η ĝ / (√v + ε). Source: Hinton, Neural networks for ML, lecture 6e (2012)."""

    rho: float = 0.99
    epsilon: float = 1e-8

    def init(self, n_parameters: int) -> State:
        return {"v": np.zeros(n_parameters)}

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        v = self.rho * state["v"] + (1.0 - self.rho) * (gradient * gradient)
        return theta - eta * gradient / (np.sqrt(v) + self.epsilon), {"v": v}
