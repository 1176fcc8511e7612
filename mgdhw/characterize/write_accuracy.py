"""How accurately a device writes its parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.characterize.budgeted_device import BudgetedDevice

QUARTERS = 8
"""Number of quarter steps by which parameters are raised."""
EXACT = 0.5 + 1e-6
"""In steps: largest error of a converter that rounds."""


@dataclass(frozen=True)
class WriteAccuracy:
    """Actual parameters after writes.

    Args:
        declared_step: `theta_lsb` of the device (the largest, where they differ).
        step: typical observed change; None if nothing moved.
        low, high: smallest and largest actual value when the limits were written.
        error: rms of actual - requested, in declared steps.
        worst: largest |actual - requested|, in declared steps.
    """

    declared_step: float
    step: float | None
    low: float
    high: float
    error: float
    worst: float

    @property
    def exact(self) -> bool:
        """Whether actual and requested values agree up to rounding to a step."""
        return self.worst <= EXACT


async def measure_write_accuracy(device: BudgetedDevice, theta: FloatArray) -> WriteAccuracy:
    """Write θ in quarters of a step, then the limits; no evaluations. Ends at θ.

    Args:
        device: the device.
        theta: (P,) within the limits by two steps or more.
    """
    device.begin_stage("writing parameters")
    info = device.info
    lsb = np.asarray(info.theta_lsb, dtype=np.float64)
    ones = np.ones(info.n_parameters)
    errors, written = [], []
    for quarter in range(QUARTERS + 1):
        requested = theta + lsb * (quarter / 4)
        actual = await device.write(requested)
        errors.append((actual - requested) / lsb)
        written.append(actual)
    # Last, because cells that move by pulses do not return from their bounds on the same path.
    low = await device.write(ones * info.theta_min)
    high = await device.write(ones * info.theta_max)
    await device.write(theta)
    moves = np.abs(np.diff(written, axis=0))
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
