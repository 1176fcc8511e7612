"""Node perturbation: from costs, codes at the nodes and what layers take in to sums by parameter.

A node's code θ̃ is added to its pre-activation, the same for all samples of a batch, so C̃ θ̃ tells of ∂C/∂z, sample by
sample. What a layer takes in, x, turns this into its weights' gradient: Σₖ Σ_b C̃ₖᵦ θ̃ₖ xᵦ, the outer product in a dense
layer, the filter gradient in a convolution; a bias takes in 1, at each position. Integers add up exactly, whoever
makes the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.errors import DeviceFault
from mgdhw.learning.gradient import Window
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Layer, Topology

EXACT_FLOAT64 = 1 << 53


@dataclass(frozen=True, slots=True)
class NodeUnits:
    """What the integers of node perturbation are worth.

    Args:
        code: one code unit, in units of a pre-activation.
        signal: (P,) one code of what a parameter is multiplied by; 1 for biases.
        positions: (P,) positions at which a parameter is used.
    """

    code: float
    signal: FloatArray
    positions: FloatArray

    @classmethod
    def of(cls, topology: Topology, node_lsb: float, signal_lsb: float | tuple[float, ...]) -> NodeUnits:
        """Those of a device that declares `node_lsb` and `signal_lsb`."""
        signal, positions = np.ones(topology.n_parameters), np.ones(topology.n_parameters)
        each = signal_lsb if isinstance(signal_lsb, tuple) else (signal_lsb,) * len(topology.layers)
        for layer, lsb in zip(topology.layers, each, strict=True):
            signal[layer.weights] = lsb
            positions[layer.parameters] = layer.positions
        return cls(node_lsb, signal, positions)

    @property
    def of_quotient(self) -> FloatArray:
        """(P,) what Σ C̃ θ̃ x / Σ θ̃² is divided by, where a parameter's energies are added up over its positions."""
        return self.code / (self.positions * self.signal)

    @property
    def of_sums(self) -> FloatArray:
        """(P,) what Σ C̃ θ̃ x is multiplied by."""
        return self.code * self.signal


def node_sums(topology: Topology, codes: NDArray[Any], change: NDArray[Any], inputs: Sequence[NDArray[Any]]) -> Any:
    """(P,) Σₖ Σ_b C̃ₖᵦ θ̃ₖ xᵦ of probes that share a batch.

    Args:
        topology: with layers.
        codes: (K, n_nodes).
        change: (K, B) C̃ of each sample.
        inputs: for each layer (B, positions, n_in) what its positions take in at the unperturbed θ.

    Returns:
        int64 if all are integers, and then exact; else float64.
    """
    whole = all(np.issubdtype(array.dtype, np.integer) for array in (change, *inputs))
    sums = np.zeros(topology.n_parameters, dtype=np.int64 if whole else np.float64)
    for layer, taken_in in zip(topology.layers, inputs, strict=True):
        own = codes[:, layer.nodes]
        probes = own.any(axis=1)
        if probes.any():
            sums[layer.parameters] = _of_layer(layer, own[probes], change[probes], taken_in, whole=whole)
    return sums


def _of_layer(
    layer: Layer, codes: NDArray[Any], change: NDArray[Any], taken_in: NDArray[Any], *, whole: bool
) -> NDArray[Any]:
    """(n_parameters,) of a layer: its weights', then its biases'."""
    batch, terms = change.shape[1], codes.shape[0] * change.shape[1] * layer.positions
    if whole:
        largest = int(np.abs(change).max(initial=0)) * int(np.abs(codes.astype(np.int64)).max(initial=0))
        bound = terms * largest * max(1, int(np.abs(taken_in.astype(np.int64)).max(initial=0)))
        kind: Any = np.float64 if bound < EXACT_FLOAT64 else np.int64
    else:
        kind = np.float64
    # Probes first: what is left is one number for each sample and node.
    at_nodes = (change.astype(kind).T @ codes.astype(kind)).reshape(batch * layer.positions, layer.n_out)
    weights = at_nodes.T @ taken_in.astype(kind).reshape(batch * layer.positions, layer.n_in)
    return np.concatenate([weights.ravel(), at_nodes.sum(axis=0)]).astype(np.int64 if whole else np.float64)


def node_energy(codes: Codes, first_step: int, count: int) -> NDArray[np.int64]:
    """(P,) Σ θ̃² of what tells of each parameter: of its node, in a convolution of its channel's at all positions.

    Dividing by it is exact for two-level codes, whose energy is the same at all positions; for others it is once a
    window is long enough for their energies to be alike.
    """
    of_nodes = codes.energy(first_step, count)
    energy = np.empty(codes.topology.n_parameters, dtype=np.int64)
    for layer in codes.topology.layers:
        rows = of_nodes[layer.nodes].reshape(layer.positions, layer.n_out).sum(axis=0)
        energy[layer.weights] = np.repeat(rows, layer.n_in)
        energy[layer.biases] = rows
    return energy


def accumulate_nodes(window: Window, costs: Costs, codes: Codes, first_step: int, order: SampleOrder) -> Window:
    """Add a block's probes to the window, from the sums that the device made, or from costs sample by sample."""
    count = costs.perturbed.size
    sums = costs.node_sums if costs.node_sums is not None else host_sums(costs, codes, first_step, order)
    return Window(window.cross + sums, window.energy + node_energy(codes, first_step, count))


def host_sums(costs: Costs, codes: Codes, first_step: int, order: SampleOrder) -> NDArray[Any]:
    """(P,) the sums of a block, which a device with `Capability.NODE_SUMS` makes by itself."""
    nodes = costs.nodes
    assert nodes is not None, "check_node_costs"
    count = costs.perturbed.size
    integer = all(np.issubdtype(part.dtype, np.integer) for part in (nodes.perturbed, nodes.reference))
    change = np.subtract(nodes.perturbed, nodes.reference, dtype=np.int64 if integer else None)
    values = codes.values(first_step, count)
    batches = batch_numbers(first_step, count, order)
    total: Any = 0
    for number in range(int(batches[-1]) + 1):
        own = batches == number
        total = total + node_sums(codes.topology, values[own], change[own], [each[number] for each in nodes.inputs])
    return np.asarray(total)


def batch_numbers(first_step: int, count: int, order: SampleOrder) -> IntArray:
    """(count,) for each probe the number of its batch, from 0 for the first probe's."""
    return (first_step + np.arange(count)) // order.tau_x - order.batch_of(first_step)


def check_node_costs(block: Block, costs: Costs, topology: Topology, uri: str) -> None:
    """Raise DeviceFault if the answer to a block that perturbs nodes has not what the sums need."""
    if costs.node_sums is not None:
        if costs.node_sums.shape != (topology.n_parameters,):
            raise DeviceFault(f"answered {costs.node_sums.size} sums for {topology.n_parameters} parameters", uri=uri)
        return
    if costs.nodes is None:
        raise DeviceFault("answered a block that perturbs nodes without the costs of its samples, or the sums", uri=uri)
    shape = (block.n_probes, block.order.batch)
    for each in (costs.nodes.perturbed, costs.nodes.reference):
        if each.shape != shape:
            raise DeviceFault(f"answered costs of samples of shape {each.shape}; expected {shape}", uri=uri)
    expected = [(block.n_batches(), block.order.batch, layer.positions, layer.n_in) for layer in topology.layers]
    found = [each.shape for each in costs.nodes.inputs]
    if found != expected:
        raise DeviceFault(f"answered inputs of layers of shapes {found}; expected {expected}", uri=uri)
