"""A network as numbers that kernels read: a row for each stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Network, Stage
from mgdhw_sim.reference.tables import ACTIVATIONS

LANES = 16
"""Samples side by side. A signal is so many float32; those of a layer lie like the reference's."""
TILE = 4
"""Output channels that are computed together; their weights lie together, filled up with zeros."""


class Kind(IntEnum):
    """What a stage does."""

    WEIGHTS = 0
    MAX = 1
    AVG = 2
    NOTHING = 3


class Column(IntEnum):
    """What the numbers of a row are. A dense layer is a convolution over one position."""

    KIND = 0
    HEIGHT = 1
    WIDTH = 2
    CHANNELS = 3
    ROWS = 4
    COLUMNS = 5
    OUTPUTS = 6
    KERNEL_HEIGHT = 7
    KERNEL_WIDTH = 8
    STRIDE = 9
    TOP = 10
    LEFT = 11
    ACTIVATION = 12
    WEIGHTS = 13
    """Where its packed weights begin."""
    BIASES = 14
    NODES = 15
    """Number of its first node."""
    THETA = 16
    """Index in θ of its first weight."""
    KEPT = 17
    """Where its outputs are kept: the first of these in the scratch memory, in float32."""


@dataclass(frozen=True)
class Program:
    """A network for kernels.

    Args:
        rows: (stages, columns); see `Column`.
        n_weights, n_biases: packed, of all layers.
        kept: float32 of inputs and outputs of all stages.
        widest: float32 of the outputs of the widest stage.
    """

    rows: IntArray
    n_weights: int
    n_biases: int
    kept: int
    widest: int

    @property
    def scratch(self) -> int:
        """float32 that a thread works in: all that is kept, and two more stages' outputs in turn."""
        return self.kept + 2 * self.widest

    @property
    def node_scratch(self) -> int:
        """The same where nodes are perturbed: the pre-activations are kept, too, and a tile of sums."""
        return 2 * self.kept + 2 * self.widest + TILE * LANES

    @classmethod
    def of(cls, network: Network) -> Program:
        """The program of a network."""
        rows = np.zeros((len(network.stages), len(Column)), dtype=np.int64)
        weights = biases = 0
        kept = LANES * network.n_inputs
        for row, stage in zip(rows, network.stages, strict=True):
            _fill(row, stage)
            row[Column.KEPT] = kept
            kept += LANES * int(np.prod(stage.shape_out))
            own = stage.parameters
            if own is not None:
                tiles = -(-own.n_out // TILE)
                row[Column.WEIGHTS], row[Column.BIASES] = weights, biases
                weights += tiles * TILE * own.n_in
                biases += tiles * TILE
        return cls(rows, weights, biases, kept, LANES * network.most_signals)


def _fill(row: IntArray, stage: Stage) -> None:
    """All of a row but places."""
    layer = stage.layer
    row[Column.HEIGHT : Column.CHANNELS + 1] = stage.shape_in
    row[Column.ROWS : Column.OUTPUTS + 1] = stage.shape_out
    row[[Column.KERNEL_HEIGHT, Column.KERNEL_WIDTH, Column.STRIDE]] = 1
    row[Column.ACTIVATION] = list(ACTIVATIONS).index(stage.activation)
    row[Column.KIND] = Kind.NOTHING
    if stage.parameters is not None:
        row[Column.KIND] = Kind.WEIGHTS
        row[Column.NODES], row[Column.THETA] = stage.parameters.first_node, stage.parameters.first_parameter
    match layer:
        case Dense():
            row[[Column.HEIGHT, Column.WIDTH, Column.CHANNELS]] = 1, 1, int(np.prod(stage.shape_in))
        case Conv2d(kernel=kernel, stride=stride):
            (top, _), (left, _) = layer.padded(stage.shape_in)
            row[[Column.KERNEL_HEIGHT, Column.KERNEL_WIDTH, Column.STRIDE]] = *kernel, stride
            row[[Column.TOP, Column.LEFT]] = top, left
        case Pool(kind=kind, size=size, stride=stride):
            row[Column.KIND] = Kind.MAX if kind == "max" else Kind.AVG
            row[[Column.KERNEL_HEIGHT, Column.KERNEL_WIDTH, Column.STRIDE]] = size, size, stride
        case _:
            pass
