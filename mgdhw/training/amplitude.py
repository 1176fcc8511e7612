"""Δ where nobody has said anything: a share of the parameters' range.

It does not depend on how finely the parameters are converted: a chip with two bits more is perturbed as before, rather
than by a quarter of it, and a sweep of the bits compares bits.
"""

from __future__ import annotations

import numpy as np

from mgdhw.codes import FAMILIES
from mgdhw.device.info import DeviceInfo
from mgdhw.device.motion import steps_at_once

RANGE_SHARE = 1 / 64
"""Δ as a share of the range; docs/decisions/0030-delta-and-pilots.md says how it was chosen."""
MOST = (1 << 15) - 1
"""Largest amplitude of a code."""


def default_amplitude(family: str, info: DeviceInfo) -> int:
    """Δ in steps of a parameter: a 64th of the range, at least one step, and no more than the device lets it swing.

    Where parameters differ, the one with the fewest steps in its range decides.
    """
    lsb = np.asarray(info.theta_lsb, dtype=np.float64)
    steps = (np.asarray(info.theta_max) - info.theta_min) / lsb
    amplitude = int(np.floor(RANGE_SHARE * float(np.min(steps)) + 0.5))
    if info.motion is not None:  # from one probe to the next a parameter may go from one side to the other
        amplitude = min(amplitude, int(np.min(steps_at_once(info.motion.max_step, info.theta_lsb))) // 2)
    return min(MOST, max(FAMILIES[family].least_amplitude, amplitude))
