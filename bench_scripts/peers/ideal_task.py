"""What a peer of the ideal network gets to do, and how it says how fast it was; see `peers.task`.

    cd bench_scripts && python -m peers.ideal_torch study

Cases: `study`, the network of width d = 4 of the 2025 paper, B = 100, its nine layers perturbed one after the other in
an iteration with one unperturbed evaluation; `cnn`, the network of the 2023 paper, B = 1000, all parameters at once,
one unperturbed and one perturbed evaluation and an update in an iteration. Plain gradient descent in both.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from peers.task import Advance, fitting, rate, say

from mgdhw import open_device
from mgdhw.datasets import Dataset, load
from mgdhw.device import DeviceInfo
from mgdhw.experiment.load import check_experiment
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.training.prepare import first_state, learning_rule

AMPLITUDE = 0.01
"""Amplitude of a layer of N parameters, times √N."""
URIS = {"study": "sim:ideal-fashion?d={width}", "cnn": "sim:ideal-fashion-2023"}
BATCHES = {"study": 100, "cnn": 1000}
ETA = 1e-3
RANDOM_IMAGES = 10_000
MEMORY = "memory"
"""What the peer is asked on stdin for the most memory that it has had, in MB; any other line asks for a rate."""


@dataclass(frozen=True)
class IdealTask:
    """One training.

    Args:
        case: "study" or "cnn".
        uri: of the network.
        info: of the device at it.
        dataset: images of 28 × 28, ten classes.
        rule, state: what mgdhw would do.
    """

    case: str
    uri: str
    info: DeviceInfo
    dataset: Dataset
    rule: LearningRule
    state: TrainState

    @property
    def by_layer(self) -> bool:
        """Whether layers take turns."""
        return self.case == "study"

    @property
    def batch(self) -> int:
        """B."""
        return BATCHES[self.case]

    @property
    def inputs(self) -> NDArray[np.float32]:
        """(N, 28, 28) training images."""
        values = self.dataset.values(np.arange(self.dataset.n_train))
        return values.astype(np.float32).reshape(-1, 28, 28)

    @property
    def targets(self) -> NDArray[np.float32]:
        """(N, 10)."""
        return self.dataset.targets[: self.dataset.n_train].astype(np.float32)

    @property
    def amplitudes(self) -> NDArray[np.float32]:
        """(P,) of the codes, in parameter units."""
        amplitudes = np.empty(self.info.n_parameters, dtype=np.float32)
        for layer in self.info.topology.layers:
            n = layer.n_parameters if self.by_layer else self.info.n_parameters
            amplitudes[layer.parameters] = AMPLITUDE / np.sqrt(n)
        return amplitudes


def task_of(case: str, images: str = "random", width: int = 4, options: str = "") -> IdealTask:
    """A case on a dataset by name, or on random bytes."""
    dataset = random_images() if images == "random" else load(images)
    uri = URIS[case].format(width=width)
    if options:
        uri += ("&" if "?" in uri else "?") + options
    info = open_device(uri).info
    layers, n = info.topology.layers, info.n_parameters
    by_layer = case == "study"
    delta = [AMPLITUDE / np.sqrt(layer.n_parameters) for layer in layers] if by_layer else AMPLITUDE / np.sqrt(n)
    turns = len(layers) if by_layer else 1
    experiment = check_experiment(
        {
            "device": {"uri": uri},
            "codes": {"groups": "layer" if by_layer else "all", "delta": delta},
            "training": {"probes": 10**9, "batch": BATCHES[case], "tau_x": turns, "tau_theta": turns},
            "optimizer": {"name": "sgd", "eta": ETA},
        },
        source="benchmark",
    )
    rule, _ = learning_rule(experiment, info, dataset.n_train)
    return IdealTask(case, uri, info, dataset, rule, first_state(experiment, info, rule, dataset))


def random_images() -> Dataset:
    """Random bytes as images: as fast as any others."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(256, size=(RANDOM_IMAGES, 784), dtype=np.uint8)
    targets = np.eye(10)[generator.integers(10, size=RANDOM_IMAGES)]
    return Dataset("random images", inputs, 1 / 255, targets, RANDOM_IMAGES)


def serve(description: str | None, build: Callable[[IdealTask], Advance]) -> None:
    """The main program of a peer."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=sorted(URIS))
    parser.add_argument("--width", type=int, default=4, help="d of `study`")
    parser.add_argument("--images", default="random", metavar="DATASET")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a run should take")
    parser.add_argument("--options", default="", help="of the network's address")
    given = parser.parse_args()
    advance = build(task_of(given.case, given.images, given.width, given.options))
    steps = fitting(advance, given.seconds)
    say(rate(advance, steps))
    for line in sys.stdin:
        if line.strip() == MEMORY:
            say(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        else:
            say(rate(advance, steps))
