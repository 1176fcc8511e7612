"""Peers (i) and (ii): MGD in JAX, float32, in `lax.scan`; with `--replicas`, under `vmap`.

Jitted, buffers donated. Random words (rbg) are drawn for many steps at once; inside the scan their bits become signs
and samples are gathered. What was tried, on two cores of a Sapphire Rapids with jax 0.10 (steps/s, best of several
tries on a machine that was not always quiet):

- One kernel. XLA's CPU runtime starts every operation of a loop's body by itself, unless the loop is so small that it
  compiles all of it to one function. The threshold can be raised, by an XLA option that is not in the manual:
  a 11 -> 14 M, b 1.1 -> 4.2 M, replicas of a 32 -> 95 M, of b 3.9 -> 4.6 M. In c we saw no clear gain.
- Unrolling the scan (2, 4, 16) only pays where the body is not one kernel: b 1.1 -> 1.3 M; a 8 -> 2 M.
- θ as one vector, or an array for each tensor: a 14 or 6 M, b 4.2 or 1.3 M, but c 2.2 or 3.4 k.
- Baseline and probe in one batched product: slower in a, b and c. Layers as products and sums: equal in a, slower in
  b, 1.2 times as fast in replicas of a.
- Replicas along the last axis: faster in a, slower in b; in tiles of 16 ... 64: no faster. Two XLA devices, one for
  each core, under `shard_map`: twice as fast. Signs drawn for each replica by itself: slower in a.
- logistic as (1 + tanh(z/2)) / 2: 1.1 times as fast as `jax.nn.sigmoid`, 1.7 times in replicas of a.
- unsafe_rbg: as fast as rbg; threefry: slower. 512-bit vectors, oneDNN, images kept as bytes: within 5 % in c; YNN:
  slower. Signs unpacked for all steps at once, outside the scan: slower by some percent in a and b. Random words for
  1,000 steps at a time instead of 4,000 or 10,000: slower by 10 ... 30 % in a and b.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from peers.task import Advance, Task, serve

Leaves = tuple[jax.Array, ...]


@dataclass(frozen=True)
class Setting:
    """What is tuned for a case.

    Args:
        draw: steps for which random words are drawn at a time.
        devices: XLA devices that share the replicas; each runs its loop on one core.
        axis: where a parameter's replicas lie.
        one_kernel: let XLA compile the whole inner loop to one function, whatever its size.
        flat: θ is one vector, not one array for each tensor.
        products: layers as products and sums, not as matrix products.
    """

    draw: int
    devices: int = 1
    axis: int = 0
    one_kernel: bool = False
    flat: bool = True
    products: bool = False


SINGLE = {"a": Setting(10_000, one_kernel=True), "b": Setting(4_000, one_kernel=True), "c": Setting(50, flat=False)}
REPLICAS = {
    "a": Setting(1_000, devices=2, axis=-1, one_kernel=True, products=True),
    "b": Setting(250, devices=2, one_kernel=True),
}


def build(task: Task) -> Advance:
    """The training, compiled."""
    setting = (REPLICAS if task.replicas > 1 else SINGLE)[task.letter]
    devices = min(setting.devices, os.cpu_count() or 1)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    if setting.one_kernel:
        os.environ["XLA_FLAGS"] += " --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000000"
    jax.config.update("jax_default_prng_impl", "rbg")
    training = Training(task, setting)
    mesh = jax.make_mesh((devices,), ("core",))
    cores = PartitionSpec("core")
    spread = PartitionSpec(*[None] * (setting.axis % 2), "core") if devices > 1 else PartitionSpec()
    theta = jax.device_put(training.begin(), NamedSharding(mesh, spread))
    keys = jax.device_put(jax.random.split(jax.random.key(1), devices), NamedSharding(mesh, cores))
    share = partial(jax.shard_map, mesh=mesh, in_specs=(spread, cores, None), out_specs=(spread, cores))
    run = jax.jit(share(training.run, check_vma=False) if devices > 1 else training.run, donate_argnums=(0, 1))

    def advance(steps: int) -> int:
        nonlocal theta, keys
        draws = -(-steps // setting.draw)
        theta, keys = jax.block_until_ready(run(theta, keys, draws))
        return draws * setting.draw

    return advance


class Training:
    """MGD at a setting: a loop over draws of random words, and in each a `scan` over steps."""

    def __init__(self, task: Task, setting: Setting) -> None:
        self.task, self.setting = task, setting
        self.inputs, self.targets = jnp.asarray(task.inputs), jnp.asarray(task.targets)
        sizes = zip(task.case.layers, task.case.layers[1:], strict=False)
        self.tensors = [shape for n_in, n_out in sizes for shape in ((n_out, n_in), (n_out,))]

    def begin(self) -> Leaves:
        """θ: one vector, or one array for each tensor; a vector may have an axis of replicas."""
        if self.task.replicas > 1:
            return (jnp.asarray(np.moveaxis(self.task.theta, 0, self.setting.axis)),)
        theta = (jnp.asarray(self.task.theta[0]),)
        return theta if self.setting.flat else self.split(theta)

    def split(self, theta: Leaves) -> Leaves:
        """Weights and biases of each layer."""
        if len(theta) > 1:
            return theta
        ends = np.cumsum([math.prod(shape) for shape in self.tensors])[:-1]
        return tuple(part.reshape(shape) for part, shape in zip(jnp.split(theta[0], ends), self.tensors, strict=True))

    def run(self, theta: Leaves, keys: jax.Array, draws: jax.Array) -> tuple[Leaves, jax.Array]:
        """Go on by `draws` draws. `keys` has one random key: that of this device."""
        theta, key = lax.fori_loop(0, draws, lambda _, carry: self.draw(*carry), (theta, keys[0]))
        return theta, key[None]

    def draw(self, theta: Leaves, key: jax.Array) -> tuple[Leaves, jax.Array]:
        """Random words for some steps, and the steps."""
        key, of_codes, of_samples = jax.random.split(key, 3)
        draw, axis, batch = self.setting.draw, self.setting.axis, self.task.case.batch
        shapes = [leaf.shape for leaf in theta]
        ends = np.cumsum([-(-math.prod(shape) // 32) for shape in shapes])
        codes = jax.random.bits(of_codes, (draw, int(ends[-1])), jnp.uint32)
        replicas = (theta[0].shape[axis],) if self.task.replicas > 1 else ()
        order = (jax.random.bits(of_samples, (draw, *replicas, batch), jnp.uint32) % len(self.inputs)).astype(jnp.int32)
        step = jax.vmap(self.step, in_axes=(axis, axis, 0), out_axes=axis) if replicas else self.step

        def body(theta: Leaves, drawn: tuple[jax.Array, jax.Array]) -> tuple[Leaves, None]:
            signs = tuple(map(unpack, jnp.split(drawn[0], ends[:-1]), shapes))
            return step(theta, signs, drawn[1]), None

        return lax.scan(body, theta, (codes, order))[0], key

    def step(self, theta: Leaves, signs: Leaves, samples: jax.Array) -> Leaves:
        """A baseline, a probe and an update."""
        x, t = self.inputs[samples], self.targets[samples]
        moved = tuple(leaf + self.task.delta * sign for leaf, sign in zip(theta, signs, strict=True))
        gain = self.task.eta / self.task.delta * (self.cost(moved, x, t) - self.cost(theta, x, t))
        return tuple(leaf - gain * sign for leaf, sign in zip(theta, signs, strict=True))

    def cost(self, theta: Leaves, x: jax.Array, t: jax.Array) -> jax.Array:
        """Mean squared error over the (B, n_out) outputs for (B, n_in) inputs."""
        tensors = self.split(theta)
        for weights, bias in zip(tensors[::2], tensors[1::2], strict=True):
            z = jnp.sum(x[:, None] * weights, -1) if self.setting.products else x @ weights.T
            x = 0.5 * jnp.tanh(0.5 * (z + bias)) + 0.5
        return jnp.mean(jnp.square(x - t))


def unpack(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random words -> ±1 from their bits, float32, of this shape."""
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return (2 * bits.reshape(-1)[: math.prod(shape)].astype(jnp.float32) - 1).reshape(shape)


if __name__ == "__main__":
    serve(__doc__, build)
