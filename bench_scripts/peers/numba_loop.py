"""Peer (vi): MGD as a plain loop in float32, compiled by numba; with `--replicas`, many of them side by side.

What somebody writes who knows that Python is slow and a compiler is at hand: one function, sizes that are constants of
it, `fastmath`, signs from the bits of a xorshift generator, and both costs of a step in one walk over the weights:
C₀ and C(θ + θ̃) share what they read.

Replicas of a lie side by side in tiles, the innermost axis of every array, so that the compiler makes vectors of them;
those of b, whose layers are wide enough for vectors, are trained one by one (side by side in tiles of 8 ... 64 they are
half as fast). The cores share them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float32, int64, uint32, uint64
from numpy.typing import NDArray
from peers.task import Advance, Task, serve

Array = NDArray[Any]

TILE = {"a": 64}
"""Replicas in a tile."""

compiled = numba.njit(fastmath=True, error_model="numpy")


@compiled
def logistic(z: float) -> float:
    """(1 + tanh(z/2)) / 2, with XLA's tanh: a rational function, of which a compiler makes vectors."""
    x = min(max(float32(0.5) * z, float32(-7.9)), float32(7.9))
    y = x * x
    top = y * float32(-2.76076847742355e-16) + float32(2.00018790482477e-13)
    top = top * y + float32(-8.60467152213735e-11)
    top = top * y + float32(5.12229709037114e-08)
    top = top * y + float32(1.48572235717979e-05)
    top = top * y + float32(6.37261928875436e-04)
    top = top * y + float32(4.89352455891786e-03)
    bottom = y * float32(1.19825839466702e-06) + float32(1.18534705686654e-04)
    bottom = bottom * y + float32(2.26843463243900e-03)
    bottom = bottom * y + float32(4.89352518554385e-03)
    return float32(0.5) + float32(0.5) * x * top / bottom


@compiled
def xorshift(word: int) -> int:
    """The next of Marsaglia's 64-bit words."""
    word ^= word << uint64(13)
    word ^= word >> uint64(7)
    return word ^ (word << uint64(17))


@compiled
def xorshift32(word: int) -> int:
    """The next of Marsaglia's 32-bit words."""
    word ^= word << uint32(13)
    word ^= word >> uint32(17)
    return word ^ (word << uint32(5))


def build(task: Task) -> Advance:
    """The training, compiled."""
    run, theta, words = begin(task)

    def advance(steps: int) -> int:
        run(theta, task.inputs, task.targets, words, steps)
        return steps

    return advance


def begin(task: Task) -> tuple[Callable[..., None], Array, Array]:
    """What goes on by so many steps; θ, (replicas, P) or (tiles, P, TILE); and the words of its generators."""
    generator = np.random.default_rng(1)
    if task.letter not in TILE or task.replicas == 1:
        words = generator.integers(1, 1 << 63, (task.replicas, 1), dtype=np.uint64)
        return _one_by_one(task), task.theta.copy(), words
    tile = TILE[task.letter]
    tiled = task.theta.reshape(-1, tile, task.theta.shape[1])
    theta = np.ascontiguousarray(tiled.transpose(0, 2, 1))
    return _side_by_side(task), theta, generator.integers(1, 1 << 32, (len(theta), tile), dtype=np.uint32)


def _one_by_one(task: Task) -> Callable[..., None]:
    one = _single(task)

    @numba.njit(parallel=task.replicas > 1)
    def run(theta: Array, inputs: Array, targets: Array, words: Array, steps: int) -> None:
        for number in numba.prange(len(theta)):
            one(theta[number], inputs, targets, words[number], steps)

    return run


def _single(task: Task) -> Callable[..., None]:
    n, hidden, out = task.case.layers
    first_bias, second = n * hidden, (n + 1) * hidden
    second_bias = second + hidden * out
    size = second_bias + out
    chunks = -(-size // 64)
    delta, gain = float32(task.delta), float32(task.eta / task.delta / out)

    @compiled
    def run(theta: Array, inputs: Array, targets: Array, words: Array, steps: int) -> None:
        signs = np.empty(64 * chunks, np.float32)
        here, there = np.empty(hidden, np.float32), np.empty(hidden, np.float32)
        word, samples = words[0], uint64(len(inputs))
        for _ in range(steps):
            for chunk in range(chunks):
                word = xorshift(word)
                for k in range(64):
                    signs[64 * chunk + k] = float32(2 * int64((word >> uint64(k)) & uint64(1)) - 1)
            word = xorshift(word)
            sample = int64(((word >> uint64(32)) * samples) >> uint64(32))
            for j in range(hidden):
                still, moved = theta[first_bias + j], signs[first_bias + j]
                for i in range(n):
                    still += theta[j * n + i] * inputs[sample, i]
                    moved += signs[j * n + i] * inputs[sample, i]
                here[j], there[j] = still, still + delta * moved
            for j in range(hidden):
                here[j], there[j] = logistic(here[j]), logistic(there[j])
            change = float32(0.0)
            for j in range(out):
                still = theta[second_bias + j]
                moved = still + delta * signs[second_bias + j]
                for i in range(hidden):
                    weight = theta[second + j * hidden + i]
                    still += weight * here[i]
                    moved += (weight + delta * signs[second + j * hidden + i]) * there[i]
                target = targets[sample, j]
                change += (logistic(moved) - target) ** 2 - (logistic(still) - target) ** 2
            for p in range(size):
                theta[p] -= gain * change * signs[p]
        words[0] = word

    return run


def _side_by_side(task: Task) -> Callable[..., None]:
    n, hidden, out = task.case.layers
    first_bias, second = n * hidden, (n + 1) * hidden
    second_bias = second + hidden * out
    size, tile = second_bias + out, TILE[task.letter]
    chunks = -(-size // 32)
    delta, gain = float32(task.delta), float32(task.eta / task.delta / out)

    @compiled
    def one(theta: Array, inputs: Array, targets: Array, words: Array, steps: int) -> None:
        signs = np.empty((32 * chunks, tile), np.float32)
        here, there = np.empty((hidden, tile), np.float32), np.empty((hidden, tile), np.float32)
        still, moved = np.empty(tile, np.float32), np.empty(tile, np.float32)
        change, samples = np.empty(tile, np.float32), np.empty(tile, np.int64)
        for _ in range(steps):
            for chunk in range(chunks):
                for r in range(tile):
                    words[r] = xorshift32(words[r])
                for k in range(32):
                    for r in range(tile):
                        bit = (words[r] >> uint32(k)) & uint32(1)
                        signs[32 * chunk + k, r] = float32(2) * float32(bit) - float32(1)
            for r in range(tile):
                words[r] = xorshift32(words[r])
                samples[r] = (uint64(words[r]) * uint64(len(inputs))) >> uint64(32)
                change[r] = 0
            for j in range(hidden):
                for r in range(tile):
                    still[r], moved[r] = theta[first_bias + j, r], signs[first_bias + j, r]
                for i in range(n):
                    for r in range(tile):
                        x = inputs[samples[r], i]
                        still[r] += theta[j * n + i, r] * x
                        moved[r] += signs[j * n + i, r] * x
                for r in range(tile):
                    here[j, r], there[j, r] = logistic(still[r]), logistic(still[r] + delta * moved[r])
            for j in range(out):
                for r in range(tile):
                    still[r] = theta[second_bias + j, r]
                    moved[r] = still[r] + delta * signs[second_bias + j, r]
                for i in range(hidden):
                    for r in range(tile):
                        weight = theta[second + j * hidden + i, r]
                        still[r] += weight * here[i, r]
                        moved[r] += (weight + delta * signs[second + j * hidden + i, r]) * there[i, r]
                for r in range(tile):
                    target = targets[samples[r], j]
                    change[r] += (logistic(moved[r]) - target) ** 2 - (logistic(still[r]) - target) ** 2
            for r in range(tile):
                change[r] *= gain
            for p in range(size):
                for r in range(tile):
                    theta[p, r] -= change[r] * signs[p, r]

    @numba.njit(fastmath=True, error_model="numpy", parallel=True)
    def run(theta: Array, inputs: Array, targets: Array, words: Array, steps: int) -> None:
        for number in numba.prange(len(theta)):
            one(theta[number], inputs, targets, words[number], steps)

    return run


if __name__ == "__main__":
    serve(__doc__, build)
