"""Philox4x32-10 inside compiled code: the bits of `mgdhw.random.philox`. Traced with 64-bit types enabled."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from mgdhw.random.philox import ROUNDS, Stream, last_word

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_SHIFT = np.uint64(32)


def words(seed: Array, stream: Stream, step: Array, count: int) -> Array:
    """Random 32-bit words of one step, (count,): `mgdhw.random.philox.words` with a first block of 0.

    Args:
        seed, step: uint64 scalars.
        stream: what the words are for.
        count: how many.
    """
    blocks = -(-count // 4)
    c0 = jnp.full(blocks, step.astype(jnp.uint32))
    c1 = jnp.full(blocks, (step >> _SHIFT).astype(jnp.uint32))
    c2 = jnp.arange(blocks, dtype=jnp.uint32)
    c3 = jnp.full(blocks, np.uint32(last_word(stream)))
    k0, k1 = seed.astype(jnp.uint32), (seed >> _SHIFT).astype(jnp.uint32)
    for _ in range(ROUNDS):
        p0, p1 = c0.astype(jnp.uint64) * _MULTIPLIERS[0], c2.astype(jnp.uint64) * _MULTIPLIERS[1]
        c0, c1 = (p1 >> _SHIFT).astype(jnp.uint32) ^ c1 ^ k0, p1.astype(jnp.uint32)
        c2, c3 = (p0 >> _SHIFT).astype(jnp.uint32) ^ c3 ^ k1, p0.astype(jnp.uint32)
        k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return jnp.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count]


def signs(seed: Array, step: Array, count: int) -> Array:
    """(count,) codes of the family `random` with amplitude 1 at a step: ±1, float64."""
    drawn = words(seed, Stream.CODES, step, -(-count // 32))
    bits = (drawn[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & np.uint32(1)
    return 2.0 * bits.reshape(-1)[:count].astype(jnp.float64) - 1.0
