"""Peer (v): MGD with rank-1 codes in JAX, float32, the samples held for a window: what c' does, by the same shortcuts.

A window is an update: one batch, one baseline, τ_θ probes. A probe's first layer needs no product of its own: with
(W + Δ r cᵀ) x + b + Δ r c₀ = (W x + b) + Δ r (c·x + c₀), all of a window's c·x are one product, and W x + b is computed
once. The gradient of a layer is one product of the window's r and c, weighted by the costs. What is left of a probe are
the logistic functions of B · 128 hidden outputs and the product with the second layer, which go by in parts of a window
that fit the cache. Jitted, `lax.scan` over windows, buffers donated, rbg.
"""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from peers.task import Advance, Task, serve

Layer = tuple[jax.Array, jax.Array]
"""W (n_out, n_in) and b (n_out)."""

WINDOWS = 20
"""Windows of a `scan`."""
PART = 20
"""Probes that are measured at a time: 5 and 50 are 10 % slower."""


def build(task: Task) -> Advance:
    """The training, compiled."""
    jax.config.update("jax_default_prng_impl", "rbg")
    run = jax.jit(Training(task).run, donate_argnums=(0, 1))
    layers, key = begin(task), jax.random.key(1)
    stretch = WINDOWS * task.case.period

    def advance(steps: int) -> int:
        nonlocal layers, key
        calls = -(-steps // stretch)
        for _ in range(calls):
            layers, key = run(layers, key)
        jax.block_until_ready(layers)
        return calls * stretch

    return advance


def begin(task: Task) -> list[Layer]:
    """θ, layer by layer."""
    layers, at = [], 0
    for n_in, n_out in pairwise(task.case.layers):
        bias = at + n_in * n_out
        weights = task.theta[0, at:bias].reshape(n_out, n_in)
        layers.append((jnp.asarray(weights), jnp.asarray(task.theta[0, bias : bias + n_out])))
        at = bias + n_out
    return layers


class Training:
    """MGD in windows."""

    def __init__(self, task: Task) -> None:
        self.task, self.period = task, task.case.period
        self.inputs, self.targets = jnp.asarray(task.inputs), jnp.asarray(task.targets)
        self.lines = [(n_out, n_in + 1) for n_in, n_out in pairwise(task.case.layers)]

    def run(self, layers: list[Layer], key: jax.Array) -> tuple[list[Layer], jax.Array]:
        """Go on by `WINDOWS` windows."""
        return lax.scan(lambda carry, _: (self.window(*carry), None), (layers, key), None, length=WINDOWS)[0]

    def window(self, layers: list[Layer], key: jax.Array) -> tuple[list[Layer], jax.Array]:
        """A batch, a baseline, τ_θ probes and an update."""
        key, of_codes, of_samples = jax.random.split(key, 3)
        samples = jax.random.randint(of_samples, (self.task.case.batch,), 0, len(self.inputs))
        x, t = self.inputs[samples], self.targets[samples]
        count = sum(rows + columns for rows, columns in self.lines)
        words = jax.random.bits(of_codes, (self.period, -(-count // 32)), jnp.uint32)
        bits = (words[:, :, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
        signs = 2 * bits.reshape(self.period, -1)[:, :count].astype(jnp.float32) - 1
        ends = np.cumsum([size for pair in self.lines for size in pair])[:-1]
        lines = jnp.split(signs, ends, axis=1)
        codes = list(zip(lines[::2], lines[1::2], strict=True))  # (τ, n_out) and (τ, n_in + 1) of each layer

        (weights, bias), *others = layers
        rows, columns = codes[0]
        still = x @ weights.T + bias
        moving = columns[:, :-1] @ x.T + columns[:, -1:]  # (τ, B)
        baseline = _cost(others, _logistic(still), t)

        def part(some: tuple[jax.Array, list[tuple[jax.Array, jax.Array]], jax.Array]) -> jax.Array:
            rows, codes, moving = some
            h = _logistic(still + self.task.delta * moving[:, :, None] * rows[:, None, :])  # (part, B, n_out)
            for (w, b), (row, column) in zip(others, codes, strict=True):
                swing = jnp.einsum("kbi,ki->kb", h, column[:, :-1]) + column[:, -1:]
                h = _logistic(h @ w.T + b + self.task.delta * swing[:, :, None] * row[:, None, :])
            return jnp.mean(jnp.square(h - t), axis=(1, 2))

        parted = jax.tree.map(lambda a: a.reshape(-1, PART, *a.shape[1:]), (rows, codes[1:], moving))
        change = lax.map(part, parted).reshape(-1) - baseline
        gain = self.task.eta / self.task.delta / self.period
        after = []
        for (w, b), (row, column) in zip(layers, codes, strict=True):
            slope = (row * change[:, None]).T @ column
            after.append((w - gain * slope[:, :-1], b - gain * slope[:, -1]))
        return after, key


def _cost(layers: list[Layer], x: jax.Array, t: jax.Array) -> jax.Array:
    for w, b in layers:
        x = _logistic(x @ w.T + b)
    return jnp.mean(jnp.square(x - t))


def _logistic(z: jax.Array) -> jax.Array:
    return 0.5 * jnp.tanh(0.5 * z) + 0.5


if __name__ == "__main__":
    serve(__doc__, build)
