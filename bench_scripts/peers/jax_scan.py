"""Peers (i) and (ii): MGD in JAX as it is commonly written, every step of the `lax.scan` drawing what it needs.

Float32, sign bits unpacked from 32-bit words, jitted, donated buffers; with `--replicas`, the step is under `vmap`.
Only documented options. `jax_mgd.py` is the same training by somebody who knows XLA's CPU backend from inside: it draws
for thousands of steps ahead, and has the compiler merge the loop's body into one function.

What was tried (steps/s on two cores of a Sapphire Rapids, jax 0.10, a quiet machine; the best is kept):

    generator, unrolled      a             b             c
    rbg, 1 or 4              1.06, 0.94 M  0.42, 0.26 M  2.6, 2.9 k
    unsafe_rbg, 1 or 4       0.55, 0.35 M  0.31, 0.27 M  2.6, 2.9 k
    threefry, 1 or 4         0.98, 0.84 M  0.17, 0.19 M  1.9, 2.2 k
    256 replicas, replicas along the first axis or the last, layers as matrix products or as products and sums
    rbg, first               11.4, 13.5 M  1.6, 0.4 M
    rbg, last                14.2, 16.8 M  1.1, 0.3 M
    threefry, first          9.4, 9.7 M    1.3, 0.3 M
    threefry, last           11.8, 10.9 M  1.3, 0.3 M

A key for each replica, under `vmap` of everything, is slower: at best 5.6 M in a and 1.2 M in b.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from peers.jax_mgd import Leaves, Setting, Training, unpack
from peers.task import Advance, Task, serve

STRETCH = {"a": 20_000, "b": 20_000, "c": 100}
"""Steps of a `scan`."""
UNROLL = {"a": 1, "b": 1, "c": 4}
SINGLE = {"a": Setting(1), "b": Setting(1), "c": Setting(1, flat=False)}
REPLICAS_STRETCH = 1_000
REPLICAS = {"a": Setting(1, axis=-1, products=True), "b": Setting(1)}


class Stepwise(Training):
    """MGD whose carry is θ and a key."""

    def go(self, theta: Leaves, key: jax.Array, steps: int, unroll: int) -> tuple[Leaves, jax.Array]:
        """Go on by so many steps."""
        return lax.scan(lambda carry, _: (self.one(*carry), None), (theta, key), None, length=steps, unroll=unroll)[0]

    def one(self, theta: Leaves, key: jax.Array) -> tuple[Leaves, jax.Array]:
        """A step: bits, samples, a baseline, a probe and an update. Replicas draw from one key, each its own."""
        key, of_codes, of_samples = jax.random.split(key, 3)
        axis = self.setting.axis
        replicas = (theta[0].shape[axis],) if self.task.replicas > 1 else ()
        shapes = [leaf.shape for leaf in theta]
        ends = np.cumsum([-(-math.prod(shape) // 32) for shape in shapes])
        words = jax.random.bits(of_codes, (int(ends[-1]),), jnp.uint32)
        signs = tuple(map(unpack, jnp.split(words, ends[:-1]), shapes))
        samples = jax.random.randint(of_samples, (*replicas, self.task.case.batch), 0, len(self.inputs))
        step = jax.vmap(self.step, in_axes=(axis, axis, 0), out_axes=axis) if replicas else self.step
        return step(theta, signs, samples), key


def build(task: Task) -> Advance:
    """The training, compiled."""
    jax.config.update("jax_default_prng_impl", "rbg")
    several = task.replicas > 1
    training = Stepwise(task, (REPLICAS if several else SINGLE)[task.letter])
    stretch = REPLICAS_STRETCH if several else STRETCH[task.letter]
    unroll = 1 if several else UNROLL[task.letter]
    theta, key = training.begin(), jax.random.key(1)
    run = jax.jit(partial(training.go, steps=stretch, unroll=unroll), donate_argnums=(0, 1))

    def advance(steps: int) -> int:
        nonlocal theta, key
        calls = -(-steps // stretch)
        for _ in range(calls):
            theta, key = run(theta, key)
        jax.block_until_ready(theta)
        return calls * stretch

    return advance


if __name__ == "__main__":
    serve(__doc__, build)
