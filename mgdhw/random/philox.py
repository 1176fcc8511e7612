"""Philox4x32-10, the counter-based generator that every random bit of mgdhw comes from.

A random word is a pure function of (seed, stream, step, index); nothing is remembered between calls, so any
part of any sequence can be asked for at any time, in any order, on any machine:

    key      = (seed & 0xffffffff, seed >> 32)
    counter  = (step & 0xffffffff, step >> 32, block, stream + 256 layer + 65536 substream)
    word[i]  = Philox4x32-10(counter with block = i // 4, key)[i % 4]

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11; the constants and the
known answers in the tests are those of their Random123 library. (numpy's own Philox is Philox4x64: another one.)
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

UInt32Array = NDArray[np.uint32]

ROUNDS = 10
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = 0x9E3779B9  # golden ratio: what the first key word grows by each round
_WEYL_1 = 0xBB67AE85  # sqrt(3) - 1: the same for the second
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


class Stream(IntEnum):
    """What a random word is for: the lowest byte of the last counter word. Numbers never change; new uses get new
    numbers.

    "Step" is the counter's first two words; what it counts is said at each stream. From MISMATCH on, streams are
    distinguished by layer and substream, too.
    """

    CODES = 1
    """Perturbation codes. Step: probe (or Walsh period), block: see each code family."""
    ORDER = 2
    """Order of the training samples. Step: epoch."""
    INIT = 3
    """Initial parameters. Step: 0, index: parameter."""
    DATA = 4
    """Generated datasets (pixel flips). Step: sample."""
    SPLIT = 5
    """Which samples are kept for testing. Step: 0, index: sample."""
    ROUNDING = 6
    """Stochastic rounding of written parameters. Step: update, index: parameter."""
    MISMATCH = 7
    """What differs from cell to cell and from neuron to neuron of one chip. Step: 0, index: cell, neuron or line."""
    WRITE = 8
    """Noise of a written parameter. Step: the write's, index: parameter."""
    INPUT = 9
    """Noise of the input converters. Step: probe, index: sample of the batch and input."""
    READ = 10
    """Noise of the crossbar's columns. Step: probe, index: sample of the batch and output of the layer."""
    COST = 11
    """Noise of a measured cost. Step: probe, index: sample of the batch."""
    ADC = 12
    """Noise of the output converter. Step: probe, index: sample of the batch and output."""
    TEMPERATURE = 13
    """Temperature of the chip. Step: the number of the temperature, a probe's step ÷ `temperature_every`."""
    TAIL = 14
    """Second words of the rarest noise of other streams: see `gaussian`. Step and index: those of the other."""


def philox4x32(counter: ArrayLike, key: ArrayLike, rounds: int = ROUNDS) -> UInt32Array:
    """Encrypt counters: the bijection itself.

    Args:
        counter: (..., 4) words.
        key: (2,) words.
        rounds: 10 is the standard; fewer are for tests that must fail.

    Returns:
        (..., 4) random words.
    """
    words = np.asarray(counter, dtype=np.uint64)
    c0, c1, c2, c3 = (words[..., i] for i in range(4))
    k0, k1 = (int(k) for k in np.asarray(key, dtype=np.uint64))
    for _ in range(rounds):
        p0 = c0 * _MULTIPLIER_0
        p1 = c2 * _MULTIPLIER_1
        c0 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0)
        c1 = p1 & _LOW
        c2 = (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1)
        c3 = p0 & _LOW
        k0 = (k0 + _WEYL_0) & 0xFFFFFFFF
        k1 = (k1 + _WEYL_1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def last_word(stream: Stream, layer: int = 0, substream: int = 0) -> int:
    """What a random word is for, in one number: the last counter word of `words`.

    Raises:
        ValueError: a layer or substream out of range (8 bits each).
    """
    if not (0 <= layer < 256 and 0 <= substream < 256):
        raise ValueError(f"layer {layer}, substream {substream} of a random stream: each must be 0 to 255")
    return int(stream) + 256 * layer + 65536 * substream


def words(
    seed: int, stream: Stream, steps: ArrayLike, count: int, *, first_block: int = 0, layer: int = 0, substream: int = 0
) -> UInt32Array:
    """Random 32-bit words, `count` for each step.

    Args:
        seed: 64-bit key, 0 <= seed < 2**64.
        stream: what the words are for.
        steps: (K,) steps, each 0 <= step < 2**64.
        count: words wanted for each step.
        first_block: block (of four words) to start at.
        layer, substream: layer of the chip and measurement of the probe (`Part`), 0 to 255.

    Returns:
        (K, count) words; column i is word 4 * first_block + i of that step.
    """
    step = np.atleast_1d(np.asarray(steps, dtype=np.uint64))
    blocks = -(-count // 4)
    counter = np.empty((step.size, blocks, 4), dtype=np.uint64)
    counter[:, :, 0] = (step & _LOW)[:, None]
    counter[:, :, 1] = (step >> _SHIFT)[:, None]
    counter[:, :, 2] = np.arange(first_block, first_block + blocks, dtype=np.uint64)
    counter[:, :, 3] = last_word(stream, layer, substream)
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    return philox4x32(counter, key).reshape(step.size, 4 * blocks)[:, :count]


def bits(seed: int, stream: Stream, steps: ArrayLike, count: int, *, first_block: int = 0) -> NDArray[np.uint8]:
    """Random bits, `count` for each step: bit i is bit (i % 32), counted from the lowest, of word i // 32.

    Returns:
        (K, count) array of 0 and 1.
    """
    drawn = words(seed, stream, steps, -(-count // 32), first_block=first_block)
    as_bytes = np.ascontiguousarray(drawn.astype("<u4")).view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, bitorder="little", count=count)
