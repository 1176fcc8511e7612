"""Devices whose parameters are not what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray

from .mark import CUTS, LEVELS, caught_by
from .sound import CHIP, Sound


@caught_by("info-is-complete")
class Nameless(Sound):
    """Doesn't say which one it is."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, identity="")


@caught_by("write-is-done-when-it-answers", *LEVELS, *CUTS)
class LateWrite(Sound):
    """Each θ reaches the network with the next write only; `read` answers from a shadow of it."""

    waiting: NDArray[np.int16] | None = None

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes if self.waiting is None else self.waiting
        await super().apply(theta, step)
        self.waiting, self.chip.codes = self.chip.codes, before
        return await self.read()

    async def read(self) -> FloatArray:
        codes = self.chip.codes if self.waiting is None else self.waiting
        return np.asarray(codes * self.spec.weight_lsb)

    async def requested(self) -> FloatArray:
        return await self.read()

    async def disconnect(self) -> None:
        self.waiting = None
        await super().disconnect()


@caught_by(
    "write-answers-what-is-held",
    "cancelled-requests-leave-a-usable-device",
    "devices-can-be-reopened",
    "perturbations-beyond-the-limits-are-refused",
)
class Echo(Sound):
    """`write` answers what was asked for, not what is held."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        await super().apply(theta, step)
        return np.array(theta)


@caught_by(
    "write-is-absolute",
    "cancelled-blocks-leave-theta",
    "perturbations-beyond-the-limits-are-refused",
    "probe-has-no-side-effects",
    "steps-come-in-any-order",
    "write-answers-what-is-held",
    *LEVELS,
    *CUTS,
)
class Hysteresis(Sound):
    """A parameter that is to move down stops a step short."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes
        await super().apply(theta, step)
        self.chip.codes = self.chip.codes + (self.chip.codes < before).astype(np.int16)
        return await self.read()


@caught_by("write-is-idempotent", "late-steps-agree", "write-is-done-when-it-answers", *CUTS)
class Restless(Sound):
    """Writing what is held moves the first parameter by a step."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes
        await super().apply(theta, step)
        if (self.chip.codes == before).all():
            self.chip.codes = before + np.eye(1, before.size, dtype=np.int16)[0]
        return await self.read()


@caught_by("memory-can-be-restored")
class ForgetsWear(Sound):
    """Has cells that move by pulses, and takes back nothing of what they remembered."""

    def __init__(self) -> None:
        super().__init__(f"{CHIP}&w_max=2&w_min=-2")

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        return
