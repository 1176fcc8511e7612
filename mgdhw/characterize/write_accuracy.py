"""What a device makes of the parameters that are written to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.characterize.budgeted_device import BudgetedDevice

QUARTERS = 8
"""Quarters of a step by which parameters are raised, one after the other."""
EXACT = 0.5 + 1e-6
"""Of a step: how far from what was asked a converter that rounds may land."""


@dataclass(frozen=True)
class WriteAccuracy:
    """Parameters as they are held.

    Args:
        declared_step: `theta_lsb` of the device (the largest, where they differ).
        step: smallest change that was seen; None if nothing moved.
        low, high: smallest and largest value held when the limits were written.
        error: rms of held - asked, in declared steps.
        worst: largest |held - asked|, in declared steps.
    """

    declared_step: float
    step: float | None
    low: float
    high: float
    error: float
    worst: float

    @property
    def exact(self) -> bool:
        """Whether what is held is what was asked for, but for rounding to the step."""
        return self.worst <= EXACT


async def measure_write_accuracy(device: BudgetedDevice, theta: FloatArray) -> WriteAccuracy:
    """Write θ in quarters of a step, then the limits; no evaluations. Ends at θ.

    Args:
        bench: the device.
        theta: (P,) within the limits by two steps or more.
    """
    device.begin_stage("writing parameters")
    info = device.info
    lsb = np.asarray(info.theta_lsb, dtype=np.float64)
    ones = np.ones(info.n_parameters)
    errors, held = [], []
    for quarter in range(QUARTERS + 1):
        asked = theta + lsb * (quarter / 4)
        stored = await device.write(asked)
        errors.append((stored - asked) / lsb)
        held.append(stored)
    # Last: cells that move by pulses do not come back from their bounds by the way that they went.
    low = await device.write(ones * info.theta_min)
    high = await device.write(ones * info.theta_max)
    await device.write(theta)
    moves = np.abs(np.diff(held, axis=0))
    moved = moves > 1e-9 * lsb
    step = float(np.median(moves[moved])) if moved.any() else None
    error = np.concatenate(errors)
    return WriteAccuracy(
        declared_step=float(lsb.max()),
        step=step,
        low=float(low.min()),
        high=float(high.max()),
        error=float(np.sqrt(np.square(error).mean())),
        worst=float(np.abs(error).max()),
    )
