"""A device with limits on several parameters together, and a recorder of every write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw.device import LinkedLimit, Motion
from mgdhw.testing.function_device import FunctionDevice

LSB = 0.01
ONE = Dataset("one", np.zeros((4, 2)), 1.0, np.zeros((4, 1)), 4)


class Limited(FunctionDevice):
    """Three parameters whose cost is least far outside of the limits.

    Args:
        limits: on several parameters together.
        motion: how fast they may move.
        target: (3,) where the cost is least.
    """

    def __init__(
        self, limits: Sequence[LinkedLimit], motion: Motion | None = None, target: Sequence[float] = (1.5, -1.5, 1.5)
    ) -> None:
        wanted = np.array(target)
        super().__init__(lambda theta: float(np.square(theta - wanted).sum()), 3, uri="limited:1", lsb=LSB)
        self.info = replace(self.info, linked_limits=tuple(limits), motion=motion)
        self.at: list[FloatArray] = []
        """What each write set."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        actual = await super().apply(theta, step)
        self.at.append(actual)
        return actual
