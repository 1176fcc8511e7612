"""What is known of a network's structure: which parameters and nodes belong to which layer.

θ is one vector. A layer's share of it is its weight matrix, (n_out, n_in) row by row, then its n_out biases.
Hardware whose structure nobody knows has no layers: "just P parameters" is enough for MGD, which is model-free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Layer:
    """One dense layer: where its parameters lie in θ and its nodes among all nodes.

    Args:
        n_in: inputs.
        n_out: outputs, which are its nodes.
        first_parameter: index in θ of weight (0, 0).
        first_node: index of its first node among the network's.
    """

    n_in: int
    n_out: int
    first_parameter: int
    first_node: int

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return self.n_out * (self.n_in + 1)

    @property
    def parameters(self) -> slice:
        """Weights and biases in θ."""
        return slice(self.first_parameter, self.first_parameter + self.n_parameters)

    @property
    def weights(self) -> slice:
        """Weights in θ: (n_out, n_in), row by row."""
        return slice(self.first_parameter, self.first_parameter + self.n_out * self.n_in)

    @property
    def biases(self) -> slice:
        """Biases in θ."""
        return slice(self.weights.stop, self.weights.stop + self.n_out)

    @property
    def nodes(self) -> slice:
        """Its nodes among the network's."""
        return slice(self.first_node, self.first_node + self.n_out)


@dataclass(frozen=True, slots=True)
class Topology:
    """Number of parameters and, where known, the layers that they make up, first layer first."""

    n_parameters: int
    layers: tuple[Layer, ...] = ()

    @property
    def n_nodes(self) -> int:
        """Neurons, where layers are known; else 0."""
        return sum(layer.n_out for layer in self.layers)

    @classmethod
    def dense(cls, sizes: Sequence[int]) -> Topology:
        """A multilayer network: `dense([64, 16, 10])` has two layers and 1,210 parameters."""
        layers: list[Layer] = []
        parameter = node = 0
        for n_in, n_out in pairwise(sizes):
            layers.append(Layer(n_in, n_out, parameter, node))
            parameter += layers[-1].n_parameters
            node += n_out
        return cls(parameter, tuple(layers))

    def __str__(self) -> str:
        if not self.layers:
            return f"{self.n_parameters} parameters"
        return "-".join(str(n) for n in (self.layers[0].n_in, *(layer.n_out for layer in self.layers)))
