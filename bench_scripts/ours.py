"""mgdhw in a race: the simulated chip, through the contract that every device has."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

import numpy as np
from cases import Training
from numpy.typing import NDArray

from mgdhw import open_device
from mgdhw.datasets import Dataset
from mgdhw.experiment.load import check_experiment
from mgdhw.learning.segment import Segment
from mgdhw.training.prepare import first_state, learning_rule

LARGEST_GROWTH = 16
"""How much longer one trial run may be than the one before: rates of short runs are not to be trusted."""
LEAST = 1_000
"""Probes of each replica in a stretch, at least: a stretch that is all beginning and end says nothing."""


class Ours:
    """Trains a chip, or several replicas at once, a stretch at a time. Use it in `with`.

    Args:
        case: what is trained; replicas differ by their seeds.
        dataset: on what.
        replicas: how many.
        seconds: how long a stretch should take.
    """

    def __init__(self, case: Training, dataset: Dataset, replicas: int = 1, seconds: float = 0.5) -> None:
        self._runner = asyncio.Runner()
        self._device = open_device(case.uri)
        self._run = self._runner.run
        self._run(self._device.__aenter__())
        self._run(self._device.load(dataset))
        self._replicas = [self._begin(case, dataset, seed) for seed in range(replicas)]
        self._probes = self._fitting(case.period, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._device.__aexit__(kind, error, trace))
        self._runner.close()

    def rate(self) -> float:
        """Probes (times replicas) per second, of one stretch."""
        return self._probes * len(self._replicas) / self._seconds(self._probes)

    def train(self, probes: int) -> None:
        """Go on for so many probes."""
        self._seconds(probes)

    def codes(self) -> NDArray[np.int32]:
        """(P,) what the first replica's cells are asked for."""
        return self._replicas[0].state.cells["requested"]

    def _begin(self, case: Training, dataset: Dataset, seed: int) -> Segment:
        experiment = check_experiment(case.experiment(seed), source="benchmark")
        rule, _ = learning_rule(experiment, self._device.info, dataset.n_train)
        return Segment(first_state(experiment, self._device.info, rule, dataset), rule, 0)

    def _seconds(self, probes: int) -> float:
        """Time that so many probes take; training goes on."""
        segments = [Segment(each.state, each.rule, probes) for each in self._replicas]
        began = time.perf_counter()
        if len(segments) == 1:
            results = [self._run(self._device.learn(segments[0]))]
        else:
            results = self._run(self._device.learn_many(segments))
        taken = time.perf_counter() - began
        done = zip(results, segments, strict=True)
        self._replicas = [Segment(result.state, segment.rule, 0) for result, segment in done]
        return taken

    def _fitting(self, period: int, seconds: float) -> int:
        """Probes, in whole periods, that take about so long."""
        least = period * (-(-LEAST // period) if len(self._replicas) > 1 else 1)
        probes = least
        self._seconds(probes)  # compiles
        while (taken := min(self._seconds(probes) for _ in range(3))) < seconds / 2:  # one may have been held up
            probes = min(probes * LARGEST_GROWTH, round(probes * seconds / taken) // period * period + period)
        return max(least, round(probes * seconds / taken) // period * period)
