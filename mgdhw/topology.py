"""What is known of a network's structure: which parameters and nodes belong to which layer.

θ is one vector. A layer's share of it is its weight matrix, (n_out, n_in) row by row, then its n_out biases. A
convolution is a weight matrix that is used at many positions: n_in is its fan-in (kernel height × width × channels).
Hardware whose structure nobody knows has no layers: "just P parameters" is enough for MGD, which is model-free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with parameters: where they lie in θ, and its nodes among all nodes.

    Args:
        n_in: inputs of a node: its fan-in.
        n_out: rows of the weight matrix: outputs, or channels of a convolution.
        first_parameter: index in θ of weight (0, 0).
        first_node: index of its first node among the network's.
        positions: of the outputs that share a row; 1 in a dense layer.
        kernel: weights between an input channel and an output channel; 1 in a dense layer.
    """

    n_in: int
    n_out: int
    first_parameter: int
    first_node: int
    positions: int = 1
    kernel: int = 1

    @property
    def fan_out(self) -> int:
        """Weights by which an input acts on the outputs, as Glorot and Bengio count them."""
        return self.n_out * self.kernel

    @property
    def n_nodes(self) -> int:
        """Nodes: a pre-activation each, position by position."""
        return self.n_out * self.positions

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
        return slice(self.first_node, self.first_node + self.n_nodes)


@dataclass(frozen=True, slots=True)
class Topology:
    """Number of parameters and, where known, the layers that they make up, first layer first."""

    n_parameters: int
    layers: tuple[Layer, ...] = ()

    @property
    def n_nodes(self) -> int:
        """Neurons, where layers are known; else 0."""
        return sum(layer.n_nodes for layer in self.layers)

    @property
    def dense_sizes(self) -> tuple[int, ...]:
        """Inputs and outputs of each layer, where it is a multilayer network of dense layers; else ()."""
        sizes = tuple(layer.n_in for layer in self.layers[:1]) + tuple(layer.n_out for layer in self.layers)
        return sizes if sizes and Topology.dense(sizes) == self else ()

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
        sizes = self.dense_sizes
        return "-".join(map(str, sizes)) if sizes else f"{len(self.layers)} layer{'s' if len(self.layers) > 1 else ''}"
