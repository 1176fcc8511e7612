"""Peers (i) and (ii) as they are commonly written: every step of the `lax.scan` splits its key and draws what it needs.

Float32, sign bits unpacked from 32-bit words, jitted, donated buffers; with `--replicas`, under `vmap` with a key for
each. Only documented options. `jax_mgd.py` is the same training by somebody who knows XLA's CPU backend well: it draws
for thousands of steps ahead, and makes the compiler merge the loop's body into one function.

What was tried (steps/s on two cores of a Sapphire Rapids, jax 0.10, a quiet machine), beside what is kept:

TRIED
"""

from __future__ import annotations

import math
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from peers.jax_mgd import Leaves, Setting, Training, unpack
from peers.task import Advance, Task, serve

SETTINGS = {"a": Setting(1), "b": Setting(1), "c": Setting(1, flat=False)}
UNROLL = {"a": 1, "b": 1, "c": 1}


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
    jax.config.update("jax_default_prng_impl", os.environ.get("PRNG", "rbg"))
    setting = SETTINGS[task.letter]
    if task.replicas > 1:
        setting = Setting(1, axis=int(os.environ.get("AXIS", "0")), products=bool(int(os.environ.get("PROD", "0"))))
    training, unroll = Stepwise(task, setting), int(os.environ.get("UNROLL", UNROLL[task.letter]))
    theta, key = training.begin(), jax.random.key(1)

    @partial(jax.jit, donate_argnums=(0, 1), static_argnums=2)
    def run(theta: Leaves, key: jax.Array, steps: int) -> tuple[Leaves, jax.Array]:
        return training.go(theta, key, steps, unroll)

    stretch = 1_000 if task.replicas > 1 or task.letter == "c" else 20_000
    if task.letter == "c":
        stretch = 100

    def advance(steps: int) -> int:
        nonlocal theta, key
        calls = -(-steps // stretch)
        for _ in range(calls):
            theta, key = run(theta, key, stretch)
        jax.block_until_ready(theta)
        return calls * stretch

    return advance


if __name__ == "__main__":
    serve(__doc__, build)
