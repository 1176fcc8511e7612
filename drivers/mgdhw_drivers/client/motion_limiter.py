"""Limits on how a host moves a board's parameters: `slew` and `stress` of the address, beside the board's own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device.motion import ramp, swings_too_far, whole_steps
from mgdhw.errors import ConfigError, LimitExceeded
from mgdhw_drivers.protocol.parameters import ParameterForm


class MotionLimiter:
    """Cuts moves into steps that are small enough, and adds up all of them, over all connections.

    Args:
        slew: largest change of a parameter in one write, in its units; 0: any.
        stress: largest sum of the largest changes of all writes, in their units; 0: any.
        form: how parameters are sent.
        uri: the device's address, for errors.

    Raises:
        ConfigError: no parameter could ever move.
    """

    def __init__(self, slew: float, stress: float, form: ParameterForm, uri: str) -> None:
        step = whole_steps(slew, form.lsb)
        if slew and not (step > 0).all():
            raise ConfigError(f"{uri}: slew={slew:g} is less than a step of a parameter: nothing could ever move")
        self.stress = 0.0
        """Sum of the largest changes so far."""
        self.slew = slew
        self._step = step
        self._most = stress
        self._form = form
        self._uri = uri
        self._at: FloatArray | None = None

    @property
    def has_limits(self) -> bool:
        """Whether there is any limit."""
        return bool(self.slew or self._most)

    def starts_at(self, theta: FloatArray) -> None:
        """The board holds θ, (P,), whatever has moved it: the way to its safe state counts, too."""
        self._move(theta)

    def points(self, content: bytes) -> Iterator[bytes]:
        """What to set, one after the other, to get to the parameters that lie in some bytes.

        Raises:
            LimitExceeded: before anything is sent.
        """
        target = self._form.decode(content)
        assert self._at is not None, "starts_at was called before"
        whole = self.stress + float(np.abs(target - self._at).max())
        if self._most and whole > self._most:
            raise LimitExceeded(
                f"parameters would have been moved by {whole:g} in all, more than {self._most:g}; nothing was sent",
                uri=self._uri,
            )
        for point in ramp(self._at, target, self._step) if self.slew else (target,):
            yield self._form.encode(point)
            self._move(point)

    def check_perturbation(self, amplitude: int) -> None:
        """Raise LimitExceeded if a perturbation of so many code units swings too far: a board doesn't ramp it."""
        if self.slew and swings_too_far(amplitude, self.slew, self._form.lsb):
            swing = 2 * amplitude * float(np.max(self._form.lsb))
            raise LimitExceeded(
                f"perturbations would move parameters by {swing:g} at once, more than {self.slew:g}; nothing was sent"
                " (run.level=host-codes ramps them, a smaller codes.delta moves less)",
                uri=self._uri,
            )

    def _move(self, theta: FloatArray) -> None:
        if self._at is not None:
            self.stress += float(np.abs(theta - self._at).max())
        self._at = theta
