"""Peer (iv): `noisyopt.minimizeSPSA`, with the network in numpy.

The library makes its loop and its perturbations by itself, one iteration at a time, and measures C(θ + cΔ) and
C(θ - cΔ): two costs per step, like a baseline and a probe. What its user can tune is the cost function: views of the
vector instead of copies, float64 (the library's own type: converting costs more than it saves), samples drawn ahead,
and no pairing of random seeds (`paired=False`), as both costs of a step read the same batch anyway.

Gains are held constant (alpha = gamma = 0), as MGD's are.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # threads only cost at these sizes

import itertools

import numpy as np
from noisyopt import minimizeSPSA
from numpy.typing import NDArray
from peers.task import Advance, Task, serve

Array = NDArray[np.float64]


def build(task: Task) -> Advance:
    """The training, in one call of the library per run."""
    generator = np.random.default_rng(1)
    inputs, targets = task.inputs.astype(np.float64), task.targets.astype(np.float64)
    layers, batch = task.case.layers, task.case.batch
    theta = task.theta[0].astype(np.float64)

    def advance(steps: int) -> int:
        nonlocal theta
        order = generator.integers(0, len(inputs), (steps + 1, batch))
        xs, ts = inputs[order], targets[order]
        calls = 0

        def cost(theta: Array) -> float:
            nonlocal calls
            k = calls >> 1
            calls += 1
            h, at = xs[k], 0
            for n_in, n_out in itertools.pairwise(layers):
                bias = at + n_in * n_out
                h = h @ theta[at:bias].reshape(n_in, n_out)
                h += theta[bias : bias + n_out]
                np.negative(h, out=h)
                np.exp(h, out=h)
                h += 1.0
                np.reciprocal(h, out=h)
                at = bias + n_out
            h -= ts[k]
            return float(np.vdot(h, h)) / h.size

        result = minimizeSPSA(cost, theta, niter=steps, paired=False, a=task.eta, c=task.delta, alpha=0.0, gamma=0.0)
        theta = result.x
        return steps

    return advance


if __name__ == "__main__":
    serve(__doc__, build)
