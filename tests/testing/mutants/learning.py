"""Devices that learn otherwise than the host does, or when they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mgdhw.learning.segment import Segment, SegmentResult

from .mark import caught_by
from .sound import Learner, NoisyLearner, Sound


@caught_by(
    "segments-can-be-repeated",
    "cancelled-segments-leave-a-usable-device",
    "learning-alone-is-learning-with-the-host",
    "replicas-learn-as-one-does",
    "segments-can-be-cut",
)
class Forgets(Learner):
    """The second answer to a segment is not the first."""

    calls = 0

    async def learn(self, segment: Segment) -> SegmentResult:
        self.calls += 1
        result = await super().learn(segment)
        return replace(result, state=replace(result.state, evaluations=result.state.evaluations + self.calls))


@caught_by(
    "learning-alone-is-learning-with-the-host",
    "replicas-learn-as-one-does",
    "segments-can-be-cut",
    "segments-end-with-their-theta-held",
)
class OtherLoop(Learner):
    """Learns half as fast as the host does, from the second update on."""

    async def learn(self, segment: Segment) -> SegmentResult:
        result = await super().learn(segment)
        way = result.state.theta - segment.state.theta
        return replace(result, state=replace(result.state, theta=segment.state.theta + way / 2))


@caught_by("learning-alone-agrees-statistically")
class SlowLearner(NoisyLearner):
    """Learns with three quarters of the learning rate."""

    eta = 0.75


@caught_by("segments-can-be-cut")
class DropsWindow(Learner):
    """Begins each segment with an empty window."""

    async def learn(self, segment: Segment) -> SegmentResult:
        empty = replace(segment.state.window, cross=np.zeros_like(segment.state.window.cross))
        return await super().learn(replace(segment, state=replace(segment.state, window=empty)))


@caught_by("segments-end-with-their-theta-held")
class GoesBack(Learner):
    """Has the θ from before the segment after it."""

    async def learn(self, segment: Segment) -> SegmentResult:
        before = self.chip.codes
        result = await super().learn(segment)
        self.chip.codes = before
        return result


@caught_by("replicas-learn-as-one-does")
class MixesReplicas(Learner):
    """Answers replicas in another order."""

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        return (await super().learn_many(segments))[::-1]


@caught_by("learning-is-refused-where-it-cannot-be", "closed-devices-refuse")
class LearnsAnyway(Sound):
    """Says that it cannot learn, and answers all the same."""

    async def learn(self, segment: Segment) -> SegmentResult:
        return SegmentResult(segment.state, 0.0, None)
