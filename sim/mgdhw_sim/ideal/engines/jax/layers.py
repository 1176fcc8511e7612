"""Layers in JAX, float32. Signals are (channels, height, width, B), and (n, 1, 1, B) in dense layers.

Samples are the innermost axis, so that loops over them run on whole vectors however few channels there are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import Array, lax

from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Stage
from mgdhw_sim.ideal.variation import NodeVariation

FEW_WEIGHTS = 80
"""A convolution with at most so many weights to an output is a sum written out, which XLA makes one loop of on a CPU:
its own convolutions are made for more channels (bench_scripts/ideal.py)."""

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "logistic": lax.logistic,
    "tanh": jnp.tanh,
    "relu": lambda z: jnp.maximum(z, 0.0),
    "identity": lambda z: z,
}


def pre_activations(stage: Stage, theta: Array, signals: Array, *, on_cpu: bool) -> Array:
    """z of a layer with parameters, for float32 θ (P,)."""
    own = stage.parameters
    assert own is not None
    weights, biases = theta[own.weights], theta[own.biases]
    if isinstance(stage.layer, Dense):
        columns = signals.transpose(1, 2, 0, 3).reshape(own.n_in, -1)
        z = jnp.matmul(weights.reshape(own.n_out, own.n_in), columns, precision="highest")
        return (z + biases[:, None])[:, None, None, :]
    assert isinstance(stage.layer, Conv2d)
    kernel = weights.reshape(own.n_out, *stage.layer.kernel, stage.shape_in[2])
    if on_cpu and own.n_in <= FEW_WEIGHTS:
        z = _written_out(stage, stage.layer, kernel, signals)
    else:
        z = lax.conv_general_dilated(
            signals,
            kernel,
            (stage.layer.stride, stage.layer.stride),
            stage.layer.padded(stage.shape_in),
            dimension_numbers=("CHWN", "OHWI", "CHWN"),
            precision="highest",
        )
    return z + biases[:, None, None, None]


def activate(stage: Stage, z: Array, variation: NodeVariation | None) -> Array:
    """Outputs of a layer with parameters."""
    function = ACTIVATIONS[stage.activation]
    if variation is None:
        return function(z)
    own = stage.parameters
    assert own is not None

    def of_nodes(values: object) -> Array:
        return jnp.asarray(values, jnp.float32)[own.nodes].reshape(stage.shape_out).transpose(2, 0, 1)[..., None]

    midpoint, steepness = of_nodes(variation.midpoint), of_nodes(variation.steepness)
    return of_nodes(variation.offset) + of_nodes(variation.amplitude) * function(steepness * (z - midpoint))


def unweighted(stage: Stage, signals: Array) -> Array:
    """Pooling, or nothing but another shape."""
    layer = stage.layer
    if not isinstance(layer, Pool):
        return signals.transpose(1, 2, 0, 3).reshape(-1, 1, 1, signals.shape[3])
    rows, columns, step = stage.shape_out[0], stage.shape_out[1], layer.stride
    corners = [divmod(at, layer.size) for at in range(layer.size**2)]
    parts = [signals[:, i : i + rows * step : step, j : j + columns * step : step] for i, j in corners]
    if layer.kind == "max":
        return reduce(jnp.maximum, parts)
    return reduce(jnp.add, parts) / layer.size**2


def costs(kind: str, outputs: Array, targets: Array) -> Array:
    """(B,) costs of (n_out, B) outputs and targets, in float64: what costs differ by is small."""
    y = outputs.astype(jnp.float64)
    if kind == "xent":
        return -(targets * jax.nn.log_softmax(y, axis=0)).sum(axis=0)
    return jnp.square(y - targets).mean(axis=0)


def _written_out(stage: Stage, layer: Conv2d, kernel: Array, signals: Array) -> Array:
    """A convolution as a sum of products: one for each weight to an output."""
    rows, columns, channels = stage.shape_out[0], stage.shape_out[1], stage.shape_in[2]
    padding = ((0, 0), *layer.padded(stage.shape_in), (0, 0))
    # Kept apart: as a part of the loop, each of its reads would have to ask whether it is outside.
    padded = lax.optimization_barrier(jnp.pad(signals, padding))
    total: Array | float = 0.0
    step = layer.stride
    for i in range(layer.kernel[0]):
        for j in range(layer.kernel[1]):
            part = padded[:, i : i + rows * step : step, j : j + columns * step : step]
            for channel in range(channels):
                total = total + part[channel][None] * kernel[:, i, j, channel][:, None, None, None]
    assert not isinstance(total, float)
    return total
