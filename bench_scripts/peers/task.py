"""What a peer gets to do, and how it says how fast it was.

A peer runs in a process of its own, because flags and thread pools belong to processes. It answers every line on stdin
with one on stdout: steps (times replicas) per second, in a run that takes about as long as was asked for. The first
line comes by itself, after everything is compiled and warm. Alone in a terminal, press Enter for another run:

    cd bench_scripts && python -m peers.jax_mgd b --replicas 256
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cases import CASES, DELTA, ETA, Case, dataset
from numpy.typing import NDArray

LARGEST_GROWTH = 16
"""How much longer one trial run may be than the one before: rates of short runs are not to be trusted."""


@dataclass(frozen=True)
class Task:
    """One training.

    Args:
        letter, case: which case.
        replicas: how many independent trainings at once.
        inputs, targets: training samples, (N, n_in) and (N, n_out) float32.
        theta: (replicas, P) float32, where they begin; for each layer the weights, then the biases.
        delta, eta: Δ and η.
    """

    letter: str
    case: Case
    replicas: int
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    theta: NDArray[np.float32]
    delta: float = DELTA
    eta: float = ETA


Advance = Callable[[int], int]
"""Goes on by at least this many steps; answers how many."""


def serve(description: str | None, build: Callable[[Task], Advance]) -> None:
    """The main program of a peer."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--images", default="random", metavar="DATASET", help="for the cases that want images")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a run should take")
    given = parser.parse_args()
    advance = build(_task(given.case, given.replicas, given.images))
    steps = fitting(advance, given.seconds)
    say(given.replicas * rate(advance, steps))
    for _ in sys.stdin:
        say(given.replicas * rate(advance, steps))


def _task(letter: str, replicas: int, images: str) -> Task:
    case = CASES[letter]
    data = dataset(case, images)
    theta = np.random.default_rng(0).uniform(-1, 1, (replicas, case.n_parameters)).astype(np.float32)
    inputs = data.values(np.arange(data.n_train)).astype(np.float32)
    return Task(letter, case, replicas, inputs, data.targets[: data.n_train].astype(np.float32), theta)


def fitting(advance: Advance, seconds: float) -> int:
    """Steps that take about so long."""
    advance(1)  # compiles
    steps = 1
    while True:
        began = time.perf_counter()
        steps = advance(steps)
        taken = time.perf_counter() - began
        if taken > seconds / 2:
            return max(1, round(steps * seconds / taken))
        steps = min(steps * LARGEST_GROWTH, 1 + round(steps * seconds / taken))


def rate(advance: Advance, steps: int) -> float:
    """Steps per second."""
    began = time.perf_counter()
    done = advance(steps)
    return done / (time.perf_counter() - began)


def say(number: float) -> None:
    """Answer the race."""
    print(number, flush=True)
