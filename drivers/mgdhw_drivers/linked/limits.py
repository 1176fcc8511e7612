"""Limits on how parameters move: slew and stress."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import LimitExceeded

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far parameters may be moved, in the device's units; 0: as far as they like.

    Args:
        slew: at once.
        stress: in all, by the largest change of each write.
    """

    slew: float = 0.0
    stress: float = 0.0


NO_LIMITS = Limits()


class Wear:
    """Adds up how far parameters were moved, and refuses what would be too far. The board does the same.

    Args:
        max_slew: largest change of a parameter in one update, in steps; 0: no limit.
        max_stress: largest sum of the largest changes of all updates, in steps; 0: no limit.
        lsb: one step, scalar or (P,).
        uri: the device's address, for errors.
    """

    def __init__(self, max_slew: float, max_stress: float, lsb: float | FloatArray, uri: str) -> None:
        self.max_slew, self.max_stress = max_slew, max_stress
        self.stress = 0.0
        self._lsb = lsb
        self._uri = uri
        self._at: FloatArray | None = None

    def rest(self) -> None:
        """The hardware is in its safe state: the next write is where it begins, and no update."""
        self._at = None

    def check(self, theta: FloatArray) -> float:
        """Largest change in steps that writing θ, (P,), would make. Raises LimitExceeded before anything is sent."""
        if self._at is None or not (self.max_slew or self.max_stress):
            return 0.0
        change = np.abs(theta - self._at) / self._lsb
        largest = float(change.max())
        if self.max_slew and largest > self.max_slew:
            index = int(change.argmax())
            raise LimitExceeded(
                f"parameter {index} would move by {largest:g} steps at once, more than {self.max_slew:g};"
                " nothing was sent (a smaller optimizer.eta moves less)",
                uri=self._uri,
            )
        if self.max_stress and self.stress + largest > self.max_stress:
            raise LimitExceeded(
                f"parameters would have been moved by {self.stress + largest:g} steps in all, more than"
                f" {self.max_stress:g}; nothing was sent",
                uri=self._uri,
            )
        return largest

    def moved(self, theta: FloatArray, change: float) -> None:
        """θ was written."""
        self.stress += change
        self._at = theta
