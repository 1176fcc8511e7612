"""Adam and AdamW."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.optimizers.base import Optimizer, State
from mgdhw.variants import FROM_0_TO_BELOW_1, NOT_NEGATIVE, number


@dataclass(frozen=True)
class Adam(Optimizer):
    """First and second moments of the gradient. Source: Kingma & Ba (2015), algorithm 1.

    Powers of β are kept as running products. Without `bias_correction` it is the Adam of Oripov et al. 2025.
    """

    name = "adam"
    link_number = 4
    not_negative = frozenset({"v"})

    beta1: float = number(0.9, FROM_0_TO_BELOW_1, "decay of the first moment")
    beta2: float = number(0.999, FROM_0_TO_BELOW_1, "decay of the second moment")
    epsilon: float = number(1e-8, NOT_NEGATIVE, "added to the root")
    bias_correction: bool = True

    def init(self, n_parameters: int) -> State:
        return {
            "m": np.zeros(n_parameters),
            "v": np.zeros(n_parameters),
            "beta1_power": np.ones(()),
            "beta2_power": np.ones(()),
        }

    def scalars_after(self, state: State, updates: int) -> dict[str, float]:
        after = {}
        for name, beta in (("beta1_power", self.beta1), ("beta2_power", self.beta2)):
            power = float(state[name])
            for _ in range(updates):
                power *= beta
            after[name] = power
        return after

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        m = self.beta1 * state["m"] + (1.0 - self.beta1) * gradient
        v = self.beta2 * state["v"] + (1.0 - self.beta2) * (gradient * gradient)
        arrays = theta.__array_namespace__()
        power1 = arrays.asarray(state["beta1_power"] * self.beta1)
        power2 = arrays.asarray(state["beta2_power"] * self.beta2)
        m_hat, v_hat = (m / (1.0 - power1), v / (1.0 - power2)) if self.bias_correction else (m, v)
        change = eta * m_hat / (arrays.sqrt(v_hat) + self.epsilon)
        return theta - change, {"m": m, "v": v, "beta1_power": power1, "beta2_power": power2}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam after a decoupled decay: θ ← θ - η λ θ. Source: Loshchilov & Hutter (2019), algorithm 2."""

    name = "adamw"
    link_number = 5

    weight_decay: float = number(0.01, NOT_NEGATIVE, "λ")

    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        return super().update(theta - eta * self.weight_decay * theta, gradient, eta, state)
