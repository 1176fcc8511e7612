"""Layers in JAX, float32. Signals are (B, height, width, channels), as in the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import Array, lax

from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Stage
from mgdhw_sim.ideal.variation import NodeVariation

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "logistic": lax.logistic,
    "tanh": jnp.tanh,
    "relu": lambda z: jnp.maximum(z, 0.0),
    "identity": lambda z: z,
}


def pre_activations(stage: Stage, theta: Array, signals: Array) -> Array:
    """z of a layer with parameters, for float32 θ (P,)."""
    own = stage.parameters
    assert own is not None
    weights, biases = theta[own.weights], theta[own.biases]
    if isinstance(stage.layer, Dense):
        columns = signals.reshape(-1, own.n_in)
        z = jnp.matmul(columns, weights.reshape(own.n_out, own.n_in).T, precision="highest")[:, None, None, :]
    else:
        assert isinstance(stage.layer, Conv2d)
        z = lax.conv_general_dilated(
            signals,
            weights.reshape(own.n_out, *stage.layer.kernel, stage.shape_in[2]),
            (stage.layer.stride, stage.layer.stride),
            stage.layer.padded(stage.shape_in),
            dimension_numbers=("NHWC", "OHWI", "NHWC"),
            precision="highest",
        )
    return z + biases


def activate(stage: Stage, z: Array, variation: NodeVariation | None) -> Array:
    """Outputs of a layer with parameters."""
    function = ACTIVATIONS[stage.activation]
    if variation is None:
        return function(z)
    own = stage.parameters
    assert own is not None

    def of_nodes(values: object) -> Array:
        return jnp.asarray(values, jnp.float32)[own.nodes].reshape(stage.shape_out)

    midpoint, steepness = of_nodes(variation.midpoint), of_nodes(variation.steepness)
    return of_nodes(variation.offset) + of_nodes(variation.amplitude) * function(steepness * (z - midpoint))


def unweighted(stage: Stage, signals: Array) -> Array:
    """Pooling, or nothing but another shape."""
    layer = stage.layer
    if not isinstance(layer, Pool):
        return signals.reshape(-1, *stage.shape_out)
    rows, columns, step = stage.shape_out[0], stage.shape_out[1], layer.stride
    corners = [divmod(at, layer.size) for at in range(layer.size**2)]
    parts = [signals[:, i : i + rows * step : step, j : j + columns * step : step] for i, j in corners]
    if layer.kind == "max":
        return reduce(jnp.maximum, parts)
    return reduce(jnp.add, parts) / layer.size**2


def costs(kind: str, outputs: Array, targets: Array) -> Array:
    """(B,) costs of (B, n_out) outputs and targets, in float64: what costs differ by is small."""
    y = outputs.astype(jnp.float64)
    if kind == "xent":
        return -(targets * jax.nn.log_softmax(y, axis=1)).sum(axis=1)
    return jnp.square(y - targets).mean(axis=1)
