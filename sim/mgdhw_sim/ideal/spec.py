"""The definition of an ideal network: its layers, its cost, and the three noises of the 2023 paper."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from mgdhw.costs import COSTS
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, format_number
from mgdhw_sim.ideal.network import Network

THETA_RANGE = 64.0
"""Parameters lie within ± this: ideal ones have no limits, and none of a network that learns comes near."""
THETA_LSB = 2.0**-18
"""The unit of a code: Δ goes up to 32,767 units, 0.125, in steps of 4 · 10⁻⁶. See docs/ideal.md."""
FINEST_LSB, COARSEST_LSB = 2.0**-40, 1.0
ENGINE_NAMES = ("auto", "jax", "numba", "reference")


@dataclass(frozen=True, kw_only=True)
class IdealSpec:
    """A network in floating point.

    Args:
        name: the preset that it began as, or "ideal".
        network: its layers.
        cost: "mse", the mean square of the outputs' errors, or "xent", softmax cross-entropy of logits.
        cost_noise: standard deviation of what is added to each sample's cost (σ_C of the 2023 paper), in its units.
        write_noise: of what is added to each parameter at each write (σ_θ), in parameter units.
        neuron_std: spread of each node's activation (σ_a): y₀ + L f(k (z - x₀)), x₀ and y₀ about 0, k and L about 1.
        seed: of the noises, and of the nodes' activations.
        theta_lsb: the unit of a code, in parameter units; a power of two. θ itself is not rounded to it.
        engine: what computes it: "numba" (CPU), "jax" (GPU or CPU), "reference" (numpy, float64), or "auto": JAX where
            it has a GPU, else numba.

    Raises:
        ConfigError: a value outside its range.
    """

    network: Network
    name: str = "ideal"
    cost: str = "mse"
    cost_noise: float = 0.0
    write_noise: float = 0.0
    neuron_std: float = 0.0
    seed: int = 0
    theta_lsb: float = THETA_LSB
    engine: str = "auto"

    def __post_init__(self) -> None:
        for name, known in (("cost", tuple(COSTS)), ("engine", ENGINE_NAMES)):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"{name}={value}: expected {' or '.join(known)}{did_you_mean(value, known)}")
        for name, high in (("cost_noise", 1e6), ("write_noise", THETA_RANGE), ("neuron_std", 1.0)):
            value = getattr(self, name)
            if not 0 <= value <= high:  # also where it is not a number
                raise ConfigError(f"{name}={format_number(value)}: expected 0 ... {high:g}")
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"seed={format_number(self.seed)}: expected 0 ... 2**64 - 1")
        if not FINEST_LSB <= self.theta_lsb <= COARSEST_LSB or math.frexp(self.theta_lsb)[0] != 0.5:
            raise ConfigError(
                f"theta_lsb={format_number(self.theta_lsb)}: expected a power of two from 2**-40 to 1, such as"
                f" {THETA_LSB!r}"
            )
        if self.cost == "xent" and self.network.n_outputs < 2:
            raise ConfigError("cost=xent: the softmax of one output is always 1; expected more outputs, or cost=mse")

    @property
    def node_lsb(self) -> float:
        """The unit of a code at the nodes, in units of a pre-activation.

        Coarser than at the parameters: a layer has fewer nodes, and each may be perturbed by more.
        """
        return 4.0 * self.theta_lsb

    @property
    def exact_writes(self) -> bool:
        """Whether writing θ + θ̃ is the same as adding θ̃ to what is held."""
        return self.write_noise == 0

    def details(self) -> dict[str, Any]:
        """All that it is, as a run records it."""
        network = self.network
        return {
            "name": self.name,
            "input": "x".join(map(str, network.shape)),
            "layers": str(network),
            "activation": network.activation,
            "last": network.last,
            "cost": self.cost,
            "cost_noise": self.cost_noise,
            "write_noise": self.write_noise,
            "neuron_std": self.neuron_std,
            "seed": self.seed,
            "theta_lsb": self.theta_lsb,
        }

    def identity(self) -> str:
        """A hash of its definition. The engine is no part of it."""
        definition = {name: value for name, value in self.details().items() if name != "name"}
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]
