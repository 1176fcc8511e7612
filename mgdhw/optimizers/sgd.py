"""Plain gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from mgdhw.arrays import FloatArray
from mgdhw.optimizers.base import Optimizer, State


@dataclass(frozen=True)
class Sgd(Optimizer):
    """θ ← θ - η ĝ."""

    name = "sgd"
    link_number = 0

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        return theta - eta * gradient, state
