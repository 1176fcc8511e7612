"""What differs from node to node, and what is drawn at each measurement and write: the 2023 paper's three noises.

All draws are those of the simulated chip (`mgdhw.random.gaussian`), by the same streams: functions of seed, step and
index, so that noise is the same on every engine and however work is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Part
from mgdhw.random.gaussian import UNIT, gaussians
from mgdhw.random.philox import Stream
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.reference.variation import Quantity


@dataclass(frozen=True, slots=True)
class NodeVariation:
    """(n_nodes,) of each node: its activation is y₀ + L f(k (z - x₀)). Nodes of a layer lie like its signals."""

    midpoint: FloatArray
    steepness: FloatArray
    amplitude: FloatArray
    offset: FloatArray


def node_variation(spec: IdealSpec) -> NodeVariation | None:
    """What each node is like; None if all are the same."""
    if spec.neuron_std == 0:
        return None
    count = spec.network.topology.n_nodes

    def draws(quantity: Quantity) -> FloatArray:
        drawn = gaussians(spec.seed, Stream.MISMATCH, [0], count, layer=int(quantity))[0]
        return np.asarray(drawn * (spec.neuron_std / UNIT))

    return NodeVariation(
        draws(Quantity.MIDPOINT),
        1.0 + draws(Quantity.STEEPNESS),
        1.0 + draws(Quantity.AMPLITUDE),
        draws(Quantity.NEURON_OFFSET),
    )


def cost_noise(spec: IdealSpec, steps: IntArray, batch: int, part: Part) -> FloatArray:
    """(K,) what noise adds to the costs of (K,) steps: the sum over the samples of a batch."""
    if spec.cost_noise == 0:
        return np.zeros(steps.size)
    drawn = gaussians(spec.seed, Stream.COST, steps, batch, substream=int(part))
    return np.asarray(drawn.sum(axis=1, dtype=np.int64) * (spec.cost_noise / UNIT))


def sample_noise(spec: IdealSpec, steps: IntArray, batch: int, part: Part) -> FloatArray:
    """(K, B) the same, of each sample of a batch."""
    if spec.cost_noise == 0:
        return np.zeros((steps.size, batch))
    drawn = gaussians(spec.seed, Stream.COST, steps, batch, substream=int(part))
    return np.asarray(drawn * (spec.cost_noise / UNIT))


def write_noise(spec: IdealSpec, steps: IntArray) -> FloatArray:
    """(K, P) what noise adds to parameters that are written at (K,) steps."""
    n = spec.network.topology.n_parameters
    if spec.write_noise == 0:
        return np.zeros((steps.size, n))
    return np.asarray(gaussians(spec.seed, Stream.WRITE, steps, n) * (spec.write_noise / UNIT))
