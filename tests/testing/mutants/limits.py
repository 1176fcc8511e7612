"""Devices that accept or refuse the wrong requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw.errors import LimitExceeded
from mgdhw.learning.segment import Segment, SegmentResult

from .mark import caught_by
from .sound import Learner, Sound


@caught_by("parameters-beyond-their-limits-are-refused")
class NoLimits(Sound):
    """Clips what is beyond the limits."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        if theta.shape != (self.info.n_parameters,) or what != "parameter":
            super().check_limits(theta, what)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await super().apply(np.nan_to_num(np.clip(theta, self.info.theta_min, self.info.theta_max)), step)


@caught_by("parameters-beyond-their-limits-are-refused")
class LimitsChecked(NoLimits):
    """Refuses what is beyond the limits, but only after it has sent it."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        actual = await super().apply(theta, step)
        Sound.check_limits(self, theta)
        return actual


@caught_by("parameters-at-their-limits-are-taken")
class NarrowLimits(Sound):
    """Doesn't take the limit itself."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if (theta >= self.info.theta_max).any():
            raise LimitExceeded("a parameter is at its limit", uri=self.uri)
        return await super().apply(theta, step)


@caught_by("perturbations-beyond-the-limits-are-refused")
class NoRoomChecked(Sound):
    """Looks at θ, not at θ ± Δ."""

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        return


@caught_by("parameters-of-other-shapes-are-refused")
class AnyShape(Sound):
    """Repeats or drops parameters until they fit."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        super().check_limits(np.resize(theta, self.info.n_parameters), what)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await super().apply(np.resize(theta, self.info.n_parameters), step)


@caught_by("data-of-other-sizes-are-refused")
class AnyData(Sound):
    """Cuts data to its sizes."""

    async def load(self, dataset: Dataset) -> None:
        inputs, targets = dataset.inputs[:, : self.info.n_inputs], dataset.targets[:, : self.info.n_outputs]
        await super().load(replace(dataset, inputs=inputs, targets=targets))


@caught_by("segments-beyond-the-limits-are-refused")
class LearnsBeyond(Learner):
    """Clips where a segment begins."""

    async def learn(self, segment: Segment) -> SegmentResult:
        theta = np.clip(segment.state.theta, self.info.theta_min, self.info.theta_max)
        return await super().learn(replace(segment, state=replace(segment.state, theta=theta)))


@caught_by("errors-name-the-device")
class Anonymous(Sound):
    """Its errors don't say whose they are."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        try:
            super().check_limits(theta, what)
        except LimitExceeded:
            raise LimitExceeded("too much") from None
