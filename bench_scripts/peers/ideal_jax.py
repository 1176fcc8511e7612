"""A jitted JAX loop, float32, that runs the whole network again for each perturbed layer.

Many iterations to a call (`lax.scan`), NHWC convolutions, signs and samples from `jax.random`, one unperturbed
evaluation to an iteration: what one writes down first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from peers.ideal_task import ETA, IdealTask, serve
from peers.task import Advance

from mgdhw_sim.ideal import address
from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool

AT_ONCE = 4
"""Iterations to a call, at most: it is compiled for so many."""
FUNCTIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "identity": lambda z: z}


def build(task: IdealTask) -> Advance:
    """The training."""
    network = address.parse(task.uri).network
    inputs, targets = jnp.asarray(task.inputs[..., None]), jnp.asarray(task.targets)
    layers = [stage.parameters for stage in network.stages if stage.parameters is not None]
    n, amplitudes = task.info.n_parameters, jnp.asarray(task.amplitudes)
    groups = layers if task.by_layer else [None]
    masks = np.ones((len(groups), n), dtype=np.float32)
    for mask, layer in zip(masks, groups, strict=True):
        if layer is not None:
            mask[:] = 0
            mask[layer.parameters] = 1

    def cost(theta: Array, x: Array, t: Array) -> Array:
        for stage in network.stages:
            own = stage.parameters
            if isinstance(stage.layer, Pool):
                size = (1, stage.layer.size, stage.layer.size, 1)
                x = lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID")
                continue
            assert own is not None
            weights = theta[own.weights].reshape(own.n_out, own.n_in)
            if isinstance(stage.layer, Dense):
                z = x.reshape(x.shape[0], -1) @ weights.T
            else:
                assert isinstance(stage.layer, Conv2d)
                kernel = weights.reshape(own.n_out, *stage.layer.kernel, -1).transpose(1, 2, 3, 0)
                padding = stage.layer.padding.upper()
                z = lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = FUNCTIONS[stage.activation](z + theta[own.biases])
        return -(t * jax.nn.log_softmax(x)).sum(axis=1).mean()

    @jax.jit
    def run(theta: Array, key: Array) -> tuple[Array, Array]:
        def iteration(theta: Array, key: Array) -> tuple[Array, None]:
            first, second = jax.random.split(key)
            samples = jax.random.randint(first, (task.batch,), 0, len(inputs))
            x, t = inputs[samples], targets[samples]
            code = jax.random.rademacher(second, (n,), jnp.float32) * amplitudes
            base = cost(theta, x, t)
            changes = lax.map(lambda mask: cost(theta + code * mask, x, t) - base, jnp.asarray(masks))
            return theta - ETA * (changes @ masks) * code / (amplitudes * amplitudes), None

        keys = jax.random.split(key, AT_ONCE + 1)
        return lax.scan(iteration, theta, keys[1:])[0], keys[0]

    theta, key = jnp.asarray(task.state.theta, jnp.float32), jax.random.key(0)

    def advance(steps: int) -> int:
        nonlocal theta, key
        calls = -(-steps // AT_ONCE)
        for _ in range(calls):
            theta, key = run(theta, key)
        theta.block_until_ready()
        return calls * AT_ONCE

    return advance


if __name__ == "__main__":
    serve(__doc__, build)
