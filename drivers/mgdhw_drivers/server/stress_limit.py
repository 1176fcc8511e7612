"""Limit on how far a served device's parameters are moved in all."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import MgdhwError


class Limited(MgdhwError):
    """A limit on how parameters move would be violated; nothing was applied.

    Args:
        value: which limit, as ERROR LIMIT has it: stress, one that the device itself has reported, amplitude.
        message: the same for people.
    """

    STRESS, BY_DEVICE, AMPLITUDE = -1, -2, -3

    def __init__(self, value: int, message: str) -> None:
        super().__init__(message)
        self.value = value


class StressLimit:
    """Adds up the largest change of every move since the board was started, over all sessions.

    Args:
        most: largest sum, in steps; 0: any.
        lsb: one step, the same for all parameters: limits are given in their units.
    """

    def __init__(self, most: float, lsb: float) -> None:
        self.sum = 0.0
        self._most = most
        self._lsb = lsb
        self._at: FloatArray | None = None

    def check(self, theta: FloatArray) -> None:
        """Raise Limited if moving to θ, (P,), would be too much."""
        if self._most and self.sum + self._change(theta) > self._most:
            raise Limited(
                Limited.STRESS,
                f"parameters would have been moved by {self.sum + self._change(theta):g} steps in all, more than"
                f" {self._most:g}",
            )

    def moved(self, theta: FloatArray) -> None:
        """The parameters are at θ, (P,), or on their way there. The way to the safe state counts, too."""
        self.sum += self._change(theta)
        self._at = theta

    def _change(self, theta: FloatArray) -> float:
        return 0.0 if self._at is None else float(np.abs(theta - self._at).max()) / self._lsb
