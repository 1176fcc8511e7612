"""Devices that move otherwise than they declare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device import Motion

from .mark import caught_by
from .sound import Moving


@caught_by("parameters-move-no-faster-than-declared", "the-safe-state-is-reached-and-read")
class JumpsToBegin(Moving):
    """Sets its parameters while it connects."""

    async def connect(self) -> None:
        await super().connect()
        await self.apply(np.full(self.info.n_parameters, 1.0), 0)


@caught_by("parameters-move-no-faster-than-declared")
class JumpsToEnd(Moving):
    """Has been brought to its safe state, and goes to another before it lets go."""

    async def disconnect(self) -> None:
        if self._chip is not None:
            await self.apply(np.full(self.info.n_parameters, 1.0), 0)
        await super().disconnect()


@caught_by("parameters-move-no-faster-than-declared")
class TooFar(Moving):
    """Goes twice as far in one write as it says."""

    @property
    def motion(self) -> Motion | None:
        declared = self.info.motion
        assert declared is not None
        return replace(declared, max_step=2 * declared.max_step)


@caught_by("parameters-move-no-faster-than-declared")
class TooSoon(Moving):
    """Doesn't wait."""

    @property
    def motion(self) -> Motion | None:
        declared = self.info.motion
        assert declared is not None
        return replace(declared, step_seconds=0.0)


@caught_by("the-safe-state-is-reached-and-read")
class WakesElsewhere(Moving):
    """Is brought to its safe state, and is somewhere else when it is opened again."""

    safe = 0.25


@caught_by("perturbations-that-are-moves-too-far-are-refused")
class Swings(Moving):
    """Looks at limits only, before its own codes move it."""

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        self._check_room(theta, amplitude)
