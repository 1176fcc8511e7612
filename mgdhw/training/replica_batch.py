"""Replicas that a device trains side by side: all at the same step, one request for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.driver_results import check_segment_result
from mgdhw.errors import DeviceFault
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.digest import digest_checkpoint, is_checkpoint
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import requested_theta
from mgdhw.training.evaluation import SaturationMonitor, evaluate, target_reached
from mgdhw.training.events import Evaluated
from mgdhw.training.pacing import (
    CooperativeYield,
    next_size,
)
from mgdhw.training.prepare import first_state, learning_rule
from mgdhw.training.retry import Retries

BATCH_BYTES = 1 << 30
"""What the states of replicas that advance together may take."""
BATCH_REPLICAS = 1024
"""More at a time would make no round shorter than Ctrl-C should take."""
BATCH_WORK = 10**10
"""Multiplications that one probe of all of them may take, likewise."""
OBJECT_BYTES = 4096
"""What a replica takes besides its arrays, generously."""


@dataclass(slots=True)
class Lane:
    """A replica under way: its number, how it goes on, and where it stands."""

    number: int
    rule: LearningRule
    state: TrainState


@dataclass(frozen=True, slots=True)
class Ending:
    """How a replica ended: "target" or "done", the digest of its trajectory, and its last evaluation."""

    reason: str
    digest: str
    last: Evaluated


class ReplicaBatch:
    """Takes replicas forward together, each as a trainer would by itself.

    Args:
        experiment: what to do; its seed is that of replica 0.
        device: an open device that learns by itself, with the data loaded.
        dataset: what to train on.
        retries: repeats what a link loses.
        theta_actual: (P,) what the hardware held at first, where the experiment begins with that.
        cells: what its cells held at first, with which every replica begins.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: Device,
        dataset: Dataset,
        retries: Retries,
        theta_actual: FloatArray | None,
        cells: Mapping[str, NDArray[Any]],
    ) -> None:
        self._experiment = experiment
        self._device = device
        self._dataset = dataset
        self._retries = retries
        self._theta_actual = theta_actual
        self._cells = cells
        self._saturation = SaturationMonitor()
        self._probes = experiment.training.probes
        # Where nothing is aimed at, evaluating before the end would decide nothing.
        self._every = experiment.evaluate_every() if experiment.evaluation.has_target else self._probes

    def begin(self, number: int) -> Lane:
        """A replica before its first probe."""
        experiment, info = self._experiment.replica(number), self._device.info
        rule, _ = learning_rule(experiment, info, self._dataset.n_train)
        state = first_state(experiment, info, rule, self._dataset, self._theta_actual)
        return Lane(number, rule, replace(state, cells=self._cells))

    def is_over(self, state: TrainState) -> bool:
        """Whether all probes are done."""
        return state.step >= self._probes

    def is_due(self, state: TrainState) -> bool:
        """Whether it is time to evaluate."""
        return self.is_over(state) or (self._experiment.evaluation.has_target and state.step % self._every == 0)

    async def evaluate(self, lane: Lane) -> Ending | None:
        """How a replica ended, if it did."""
        state = lane.state
        self._saturation.check(state, lane.rule)
        theta_actual = await self._write(lane)
        last = await self._retries.repeat(lambda: evaluate(self._device, self._dataset, state), state.step)
        solved = target_reached(self._experiment.evaluation, last)
        if not solved and not self.is_over(state):
            return None
        digest = digest_checkpoint(state, theta_actual).digest_state.hex()
        return Ending("target" if solved else "done", digest, last)

    async def advance(self, lanes: Sequence[Lane], at_most: int) -> tuple[int, float]:
        """All go on by one segment. Returns its probes, and the mean of the costs of all, in cost codes."""
        before = lanes[0].state
        size = next_size(before, lanes[0].rule, at_most=at_most, every=self._every, probes=self._probes, segments=True)
        segments = [Segment(lane.state, lane.rule, size) for lane in lanes]

        async def request() -> list[SegmentResult]:
            return await self._device.learn_many(segments)

        results = await self._retries.repeat(request, before.step)
        if len(results) != len(segments):
            raise DeviceFault(f"gave {len(results)} answers to {len(segments)} segments", uri=self._device.uri)
        for lane, segment, result in zip(lanes, segments, results, strict=True):
            check_segment_result(result, segment, self._device.uri)
            lane.state = result.state
        if is_checkpoint(before, lanes[0].state):
            cooperative = CooperativeYield()
            for lane in lanes:
                lane.state = digest_checkpoint(lane.state, await self._write(lane))
                await cooperative.take()
        return size, float(np.mean([result.cost for result in results]))

    async def _write(self, lane: Lane) -> FloatArray:
        state = lane.state
        theta = requested_theta(state, lane.rule)
        if state.cells:
            await self._retries.restore(state.cells, state.step)
        return await self._retries.write(theta, state.step)


def replicas_at_once(lane: Lane) -> int:
    """How many replicas like this one may advance together. A round holds their old and their new states at once."""
    state, rule = lane.state, lane.rule
    arrays = (
        state.theta,
        state.window.cross,
        state.window.energy,
        state.filters.gradient,
        *state.optimizer.values(),
        *state.cells.values(),
    )
    each = OBJECT_BYTES + rule.low.nbytes + rule.high.nbytes
    each += 2 * sum(np.asarray(array).nbytes for array in arrays)
    work = rule.order.batch * state.theta.size
    return max(1, min(BATCH_REPLICAS, BATCH_BYTES // each, BATCH_WORK // work))
