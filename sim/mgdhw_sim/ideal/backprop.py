"""True gradients of ideal networks by back-propagation, fast enough to train with: float32 signals, float64 sums.

What a gradient is, `mgdhw_sim.ideal.reference.gradient` defines; this agrees with it up to rounding. Convolutions of
few channels are compiled with the samples of a batch side by side, dense layers are matrix products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.datasets import Dataset
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.activations import ACTIVATIONS
from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Stage
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import node_variation

Signals = NDArray[np.float32]


def true_gradient(spec: IdealSpec, theta: FloatArray, dataset: Dataset, samples: IntArray) -> tuple[float, FloatArray]:
    """The mean cost of (B,) samples at θ, (P,), and its gradient, (P,).

    A network whose nodes vary, or that pools by means, is left to the reference.
    """
    x, targets = dataset.values(samples), dataset.targets[samples]
    stages = spec.network.stages
    averages = any(isinstance(stage.layer, Pool) and stage.layer.kind == "avg" for stage in stages)
    variation = node_variation(spec)
    if averages or variation is not None:
        outputs = reference.forward(spec.network, theta, x, variation=variation).outputs
        found = reference.gradient(spec.network, theta, x, targets, spec.cost, variation)
        return float(reference.costs(spec.cost, outputs, targets).mean()), found
    weights = theta.astype(np.float32)
    signals = np.ascontiguousarray(x.T, dtype=np.float32).reshape(*spec.network.shape, samples.size)
    kept: list[tuple[Any, ...]] = []
    for stage in stages:
        signals, own = _forward(stage, weights, signals)
        kept.append(own)
    outputs = signals.reshape(-1, samples.size).T.astype(np.float64)
    error = _output_error(spec.cost, outputs, targets) / samples.size
    delta = np.ascontiguousarray(error.T, dtype=np.float32)
    found = np.zeros_like(theta)
    for at in reversed(range(len(stages))):
        delta = _backward(stages[at], weights, kept[at], delta, found, first=at == 0)
    return float(reference.costs(spec.cost, outputs, targets).mean()), found


def _forward(stage: Stage, theta: Signals, x: Signals) -> tuple[Signals, tuple[Any, ...]]:
    """Outputs of a stage, (H, W, C, B), and what its way back needs."""
    from mgdhw_sim.ideal.engines.numba.kernels import backprop as kernels  # slow to import

    batch, layer, own = x.shape[-1], stage.layer, stage.parameters
    if isinstance(layer, Pool):
        y = np.empty((*stage.shape_out, batch), dtype=np.float32)
        chosen = np.empty(y.shape, dtype=np.int32)
        kernels.max_pool(x, y, chosen, layer.size, layer.stride)
        return y, (chosen,)
    if own is None:
        return x.reshape(*stage.shape_out, batch), ()
    weights, biases = theta[own.weights].reshape(own.n_out, own.n_in), theta[own.biases]
    z: Any  # float32, where activations are typed for float64
    if isinstance(layer, Dense):
        taken_in = x.reshape(own.n_in, batch)
        z = (weights @ taken_in + biases[:, None]).reshape(*stage.shape_out, batch)
    else:
        assert isinstance(layer, Conv2d)
        taken_in = np.pad(x, (*layer.padded(stage.shape_in), (0, 0), (0, 0)))
        z = np.empty((*stage.shape_out, batch), dtype=np.float32)
        kernels.conv_forward(taken_in, weights.reshape(own.n_out, *layer.kernel, -1), biases, z, layer.stride)
    y = np.asarray(ACTIVATIONS[stage.activation][0](z), dtype=np.float32)
    return y, (taken_in, y)


def _backward(
    stage: Stage, theta: Signals, kept: tuple[Any, ...], delta: Signals, found: FloatArray, *, first: bool
) -> Signals:
    """The gradient by the inputs from that by the outputs; that by the parameters goes into `found`."""
    from mgdhw_sim.ideal.engines.numba.kernels import backprop as kernels

    batch, layer, own = delta.shape[-1], stage.layer, stage.parameters
    delta = np.ascontiguousarray(delta).reshape(*stage.shape_out, batch)
    if isinstance(layer, Pool):
        dx = np.zeros((*stage.shape_in, batch), dtype=np.float32)
        kernels.max_pool_backward(delta, kept[0], dx, layer.size, layer.stride)
        return dx
    if own is None:
        return delta.reshape(*stage.shape_in, batch)
    taken_in, y = kept
    if stage.activation != "identity":
        delta = delta * np.asarray(ACTIVATIONS[stage.activation][1](y), dtype=np.float32)
    weights = theta[own.weights].reshape(own.n_out, own.n_in)
    if isinstance(layer, Dense):
        rows = delta.reshape(own.n_out, batch)
        found[own.weights] = (rows @ taken_in.T).ravel()
        found[own.biases] = rows.sum(axis=1)
        return (weights.T @ rows).reshape(*stage.shape_in, batch)
    assert isinstance(layer, Conv2d)
    shaped = weights.reshape(own.n_out, *layer.kernel, -1)
    dx = np.zeros(taken_in.shape, dtype=np.float32)
    d_weights, d_biases = np.zeros(shaped.shape), np.zeros(own.n_out)
    kernels.conv_backward(taken_in, shaped, delta, dx, d_weights, d_biases, layer.stride, not first)
    found[own.weights], found[own.biases] = d_weights.ravel(), d_biases
    (top, _), (left, _) = layer.padded(stage.shape_in)
    height, width, _ = stage.shape_in
    return np.ascontiguousarray(dx[top : top + height, left : left + width])


def _output_error(cost: str, outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B, n_out) gradient of each sample's cost by its outputs; see `reference.costs`."""
    if cost == "xent":
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        share = powers / powers.sum(axis=1, keepdims=True)
        return np.asarray(share * targets.sum(axis=1, keepdims=True) - targets)
    return np.asarray(2.0 / outputs.shape[1] * (outputs - targets))
