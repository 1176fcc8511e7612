"""Limits on how parameters move: slew and stress."""

from __future__ import annotations

from dataclasses import dataclass


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
