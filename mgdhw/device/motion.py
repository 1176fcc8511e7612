"""How fast parameters may move: what a device declares, and the ramps that keep to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.concurrency.reminders import AFTER_SECONDS, EVERY_SECONDS
from mgdhw.errors import ConformanceError, DeviceUnavailable, LinkError

Apply = Callable[[FloatArray, int], Awaitable[FloatArray]]
"""Sets every parameter, (P,), in one write, before a probe's step; answers what is stored."""

ROUNDING = 1e-6
"""How far beyond a limit floating point may carry a parameter, in steps of the parameter."""
SAFE_ATTEMPTS = 3
"""How often the way to the safe state is begun before the hardware is let go."""

log = logging.getLogger("mgdhw.device")


@dataclass(frozen=True, slots=True)
class Motion:
    """How fast a device's parameters may move; each value is a scalar or (P,).

    Args:
        max_step: largest change of a parameter in one write, in its units; one `theta_lsb` at least.
        step_seconds: least time between two writes that move a parameter.
        safe: θ of the safe state; None where nobody knows it, or the hardware goes there by itself.
    """

    max_step: float | FloatArray
    step_seconds: float | FloatArray = 0.0
    safe: float | FloatArray | None = None

    def together_with(self, other: Motion) -> Motion:
        """What both allow; of two safe states the other's."""
        return Motion(
            np.minimum(self.max_step, other.max_step),
            np.maximum(self.step_seconds, other.step_seconds),
            self.safe if other.safe is None else other.safe,
        )

    def seconds(self, span: float | FloatArray) -> float:
        """How long it takes to move so far, scalar or (P,), apart from the writes themselves."""
        return float(np.max(np.ceil(np.asarray(span) / self.max_step) * self.step_seconds))


def steps_at_once(max_step: float | FloatArray, theta_lsb: float | FloatArray) -> FloatArray:
    """How many whole steps of a parameter `max_step` is. A millionth more is one: 0.3 is three times 0.1."""
    return np.asarray(np.floor(np.asarray(max_step) / theta_lsb + ROUNDING))


def whole_steps(max_step: float | FloatArray, theta_lsb: float | FloatArray) -> FloatArray:
    """`max_step` rounded down to whole steps of a parameter, so that the points of a ramp stay on the grid."""
    return np.asarray(steps_at_once(max_step, theta_lsb) * theta_lsb)


def swings_too_far(amplitude: int, max_step: float | FloatArray, theta_lsb: float | FloatArray) -> bool:
    """Whether codes of ± `amplitude` units may move a parameter by more than `max_step` from one probe to the next."""
    return bool((2 * amplitude > steps_at_once(max_step, theta_lsb)).any())


def ramp_length(start: FloatArray, target: FloatArray, step: float | FloatArray) -> int:
    """Points of the ramp from `start` to `target`: one at least, because a write is a write."""
    return max(1, int(np.ceil((np.abs(target - start) / step - ROUNDING).max())))


def ramp(start: FloatArray, target: FloatArray, step: float | FloatArray) -> Iterator[FloatArray]:
    """The points of a ramp, (P,) each: every parameter at its own full speed, until it arrives.

    Args:
        start: (P,) where the parameters are; no point of the ramp.
        target: (P,) where they are to be; the last point.
        step: largest change of a parameter from one point to the next, scalar or (P,); see `whole_steps`.
    """
    point = start
    for _ in range(ramp_length(start, target, step) - 1):
        point = np.clip(target, point - step, point + step)
        yield point
    yield target


class Mover:
    """Moves parameters no further and no sooner than a motion allows, from wherever they are.

    A write that failed or was cancelled leaves a parameter where it was or where it was to be: both are within one
    step of the last known place, which is written again before anything else.

    Args:
        motion: what is allowed.
        theta_lsb: smallest step of a parameter, scalar or (P,).
        apply: sets every parameter, in one write.
        uri: the device's address.

    Raises:
        ConformanceError: no parameter could ever move like this.
    """

    def __init__(
        self, motion: Motion, n_parameters: int, theta_lsb: float | FloatArray, apply: Apply, uri: str
    ) -> None:
        step = whole_steps(motion.max_step, theta_lsb)
        for name, value in (("max_step", step), ("step_seconds", motion.step_seconds), ("safe", motion.safe)):
            if value is not None and np.shape(value) not in ((), (n_parameters,)):
                raise ConformanceError(
                    f"{uri}: info.motion.{name} has the shape {np.shape(value)}, expected a number or ({n_parameters},)"
                )
        if not (step > 0).all():
            raise ConformanceError(f"{uri}: info.motion.max_step is less than one theta_lsb: nothing could ever move")
        if not (np.asarray(motion.step_seconds) >= 0).all():
            raise ConformanceError(f"{uri}: info.motion.step_seconds is negative, or no number")
        self._step = step
        self._seconds = np.broadcast_to(motion.step_seconds, n_parameters)
        self._waits = bool(self._seconds.any())
        safe = motion.safe
        self._safe = None if safe is None else np.array(np.broadcast_to(safe, n_parameters), dtype=np.float64)
        self._apply = apply
        self._uri = uri
        self._moved = np.full(n_parameters, time.monotonic())
        """When each parameter moved last; nobody knows what was before."""
        self._at = np.zeros(n_parameters)
        self._asked: FloatArray | None = None
        """The point that was asked for last and not confirmed: the parameters are there, or where they were."""
        self._training_step = 0
        self._lock = asyncio.Lock()
        self._leaving = False

    def starts_at(self, theta: FloatArray) -> None:
        """The parameters are at θ, (P,)."""
        self._at, self._asked = np.array(theta), None

    def moved(self) -> float:
        """When something moved last, by `time.monotonic`; at first, when this began."""
        return float(self._moved.max())

    async def move(self, target: FloatArray, training_step: int) -> FloatArray:
        """Go to a target, (P,), by a ramp where one write would be too far. May be cancelled between two points.

        Args:
            target: (P,).
            training_step: before whose probe that is.

        Returns:
            (P,) what is stored there.

        Raises:
            DeviceUnavailable: the way to the safe state has begun.
        """
        async with self._lock:
            self._training_step = training_step
            return await self._go(target, leaving=False)

    async def leave(self) -> None:
        """Go to the safe state, if that is known. Whatever else moves stops where it is.

        Raises:
            LinkError, OSError: the way there was lost, again and again.
        """
        self._leaving = True
        if self._safe is None:
            return
        async with self._lock:
            for attempt in range(1, SAFE_ATTEMPTS + 1):
                try:
                    await self._go(self._safe, leaving=True)
                    return
                except (LinkError, OSError):
                    if attempt == SAFE_ATTEMPTS:
                        raise

    async def _go(self, target: FloatArray, *, leaving: bool) -> FloatArray:
        if self._asked is not None:
            await self._write(self._at, np.not_equal(self._at, self._asked), leaving)
        total = ramp_length(self._at, target, self._step)
        began = told = time.monotonic()
        for number, point in enumerate(ramp(self._at, target, self._step)):
            now = time.monotonic()
            if number and now - began > AFTER_SECONDS and (told == began or now - told > EVERY_SECONDS):
                told = now
                log.info(
                    "%s: parameters move slowly%s: %s of %s steps, %.0f s left", self._uri,
                    " to the safe state" if leaving else "", f"{number:,}", f"{total:,}",
                    (now - began) / number * (total - number),
                )  # fmt: skip
            stored = await self._write(point, point != self._at, leaving)
        return stored

    async def _write(self, point: FloatArray, moving: NDArray[np.bool_], leaving: bool) -> FloatArray:
        if self._waits and moving.any():
            due = float((self._moved + self._seconds)[moving].max())
            while (wait := due - time.monotonic()) > 0:  # noqa: ASYNC110 (a timer may be early)
                await asyncio.sleep(wait)
        else:
            await asyncio.sleep(0)  # cancellable, and nobody else has to wait
        if self._leaving and not leaving:
            raise DeviceUnavailable("it is on its way to the safe state", uri=self._uri)
        self._asked = point
        try:
            stored = await self._apply(point, self._training_step)
        finally:
            self._moved[moving] = time.monotonic()
        self._at, self._asked = np.array(stored), None
        return stored
