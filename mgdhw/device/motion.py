"""How fast parameters may move: what a device declares, and the ramps that comply with it."""

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
"""Tolerance for floating-point rounding at a limit, in parameter steps."""
SAFE_ATTEMPTS = 3
"""Attempts to reach the safe state before giving up."""

log = logging.getLogger("mgdhw.device")


@dataclass(frozen=True, slots=True)
class Motion:
    """How fast a device's parameters may move; each value is a scalar or (P,).

    Args:
        max_step: largest change of a parameter in one write, in its units; one `theta_lsb` at least.
        step_seconds: minimum time between two writes that move a parameter.
        safe: θ of the safe state; None if unknown, or if the hardware goes there itself.
    """

    max_step: float | FloatArray
    step_seconds: float | FloatArray = 0.0
    safe: float | FloatArray | None = None

    def combined_with(self, other: Motion) -> Motion:
        """Limits that satisfy both; `other`'s safe state takes precedence."""
        return Motion(
            np.minimum(self.max_step, other.max_step),
            np.maximum(self.step_seconds, other.step_seconds),
            self.safe if other.safe is None else other.safe,
        )

    def seconds(self, span: float | FloatArray) -> float:
        """Time for a move by `span`, scalar or (P,), without the writes themselves."""
        return float(np.max(np.ceil(np.asarray(span) / self.max_step) * self.step_seconds))


def steps_at_once(max_step: float | FloatArray, theta_lsb: float | FloatArray) -> FloatArray:
    """Whole parameter steps in `max_step`, up to rounding: 0.3 is three times 0.1."""
    return np.asarray(np.floor(np.asarray(max_step) / theta_lsb + ROUNDING))


def whole_steps(max_step: float | FloatArray, theta_lsb: float | FloatArray) -> FloatArray:
    """`max_step` rounded down to whole steps of a parameter, so that the points of a ramp stay on the grid."""
    return np.asarray(steps_at_once(max_step, theta_lsb) * theta_lsb)


def swings_too_far(amplitude: int, max_step: float | FloatArray, theta_lsb: float | FloatArray) -> bool:
    """Whether codes of ± `amplitude` units may move a parameter by more than `max_step` from one probe to the next."""
    return bool((2 * amplitude > steps_at_once(max_step, theta_lsb)).any())


def ramp_length(start: FloatArray, target: FloatArray, step: float | FloatArray) -> int:
    """Points of the ramp from `start` to `target`, at least one."""
    return max(1, int(np.ceil((np.abs(target - start) / step - ROUNDING).max())))


def ramp(start: FloatArray, target: FloatArray, step: float | FloatArray) -> Iterator[FloatArray]:
    """The points of a ramp, (P,) each: every parameter moves at full speed until it arrives.

    Args:
        start: (P,) current parameters; not a point of the ramp.
        target: (P,) the last point.
        step: largest change of a parameter from one point to the next, scalar or (P,); see `whole_steps`.
    """
    point = start
    for _ in range(ramp_length(start, target, step) - 1):
        point = np.clip(target, point - step, point + step)
        yield point
    yield target


def straight_ramp(start: FloatArray, target: FloatArray, step: float | FloatArray) -> Iterator[FloatArray]:
    """The points of a ramp along a straight line, (P,) each: every parameter moves at the pace of the slowest.

    It stays within limits on several parameters together where both ends do, since those allow a convex set; a ramp at
    full speed may leave it. A device's rounding to whole steps makes no step larger than `step`: rounded, numbers at
    equal distances are at most that distance apart, rounded up.

    Args: see `ramp`.
    """
    total = ramp_length(start, target, step)
    for number in range(1, total):
        yield start + (number / total) * (target - start)
    yield target


class Mover:
    """Moves parameters within the limits of a motion.

    After a failed or cancelled write a parameter is at its old or at its new position; both are within one step of the
    last known position, which is written again before anything else.

    Args:
        motion: the limits.
        theta_lsb: smallest step of a parameter, scalar or (P,).
        apply: sets every parameter, in one write.
        uri: the device's address.
        straight: whether ramps are straight lines, for limits on several parameters together.

    Raises:
        ConformanceError: no parameter could move under these limits.
    """

    def __init__(
        self,
        motion: Motion,
        n_parameters: int,
        theta_lsb: float | FloatArray,
        apply: Apply,
        uri: str,
        straight: bool = False,
    ) -> None:
        step = whole_steps(motion.max_step, theta_lsb)
        for name, value in (("max_step", step), ("step_seconds", motion.step_seconds), ("safe", motion.safe)):
            if value is not None and np.shape(value) not in ((), (n_parameters,)):
                raise ConformanceError(
                    f"{uri}: info.motion.{name} has the shape {np.shape(value)}, expected a number or ({n_parameters},)"
                )
        if not (step > 0).all():
            raise ConformanceError(f"{uri}: info.motion.max_step is less than one theta_lsb, so nothing could move")
        if not (np.asarray(motion.step_seconds) >= 0).all():
            raise ConformanceError(f"{uri}: info.motion.step_seconds is negative or NaN")
        self._step = step
        self._ramp = straight_ramp if straight else ramp
        self._seconds = np.broadcast_to(motion.step_seconds, n_parameters)
        self._waits = bool(self._seconds.any())
        safe = motion.safe
        self.safe = None if safe is None else np.array(np.broadcast_to(safe, n_parameters), dtype=np.float64)
        """(P,) the safe state; None if unknown."""
        self._apply = apply
        self._uri = uri
        self._moved = np.full(n_parameters, time.monotonic())
        """When each parameter moved last."""
        self._at = np.zeros(n_parameters)
        self._asked: FloatArray | None = None
        """The last requested point, if not confirmed: the parameters are there or at the one before."""
        self._training_step = 0
        self._lock = asyncio.Lock()
        self._leaving = False

    def start_from(self, theta: FloatArray) -> None:
        """The parameters are at θ, (P,)."""
        self._at, self._asked = np.array(theta), None

    def moved(self) -> float:
        """Time of the last move, by `time.monotonic`; initially, of creation."""
        return float(self._moved.max())

    async def move(self, target: FloatArray, training_step: int) -> FloatArray:
        """Go to a target, (P,), by a ramp if one write would be too large. Can be cancelled between two points.

        Args:
            target: (P,).
            training_step: step of the training whose probe comes next.

        Returns:
            (P,) what is stored there.

        Raises:
            DeviceUnavailable: it is going to the safe state.
        """
        async with self._lock:
            self._training_step = training_step
            return await self._go(target, leaving=False)

    async def leave(self) -> None:
        """Go to the safe state, if known. Other moves stop where they are.

        Raises:
            LinkError, OSError: several attempts failed.
        """
        self._leaving = True
        if self.safe is None:
            return
        async with self._lock:
            for attempt in range(1, SAFE_ATTEMPTS + 1):
                try:
                    await self._go(self.safe, leaving=True)
                    return
                except (LinkError, OSError):
                    if attempt == SAFE_ATTEMPTS:
                        raise

    async def _go(self, target: FloatArray, *, leaving: bool) -> FloatArray:
        if self._asked is not None:
            await self._write(self._at, np.not_equal(self._at, self._asked), leaving)
        total = ramp_length(self._at, target, self._step)
        began = logged = time.monotonic()
        for number, point in enumerate(self._ramp(self._at, target, self._step)):
            now = time.monotonic()
            if number and now - began > AFTER_SECONDS and (logged == began or now - logged > EVERY_SECONDS):
                logged = now
                log.info(
                    "%s: ramping the parameters%s: %s of %s steps, %.0f s left", self._uri,
                    " to the safe state" if leaving else "", f"{number:,}", f"{total:,}",
                    (now - began) / number * (total - number),
                )  # fmt: skip
            actual = await self._write(point, point != self._at, leaving)
        return actual

    async def _write(self, point: FloatArray, moving: NDArray[np.bool_], leaving: bool) -> FloatArray:
        if self._waits and moving.any():
            due = float((self._moved + self._seconds)[moving].max())
            while (wait := due - time.monotonic()) > 0:  # noqa: ASYNC110 (a timer may be early)
                await asyncio.sleep(wait)
        else:
            await asyncio.sleep(0)  # allows cancellation and other tasks
        if self._leaving and not leaving:
            raise DeviceUnavailable("it is going to the safe state", uri=self._uri)
        self._asked = point
        try:
            actual = await self._apply(point, self._training_step)
        finally:
            self._moved[moving] = time.monotonic()
        self._at, self._asked = np.array(actual), None
        return actual
