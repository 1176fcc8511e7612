"""Checks of parameter limits, and of a driver's `info`."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import CodeSpec, Target
from mgdhw.device.info import DeviceInfo
from mgdhw.device.linked_limits import first_violation
from mgdhw.device.motion import ROUNDING, swings_too_far, whole_steps
from mgdhw.errors import ConfigError, ConformanceError, LimitExceeded
from mgdhw.parsing import short_repr


def check_info(info: object, driver: str, uri: str) -> None:
    """Raise ConformanceError if the driver's `info` is not a DeviceInfo after connecting."""
    if not isinstance(info, DeviceInfo):
        raise ConformanceError(
            f"{uri}: {driver}: connect() has to set self.info to a DeviceInfo (it is {short_repr(info)})"
        )
    for limit in info.linked_limits:
        wrong = limit.problem(info.n_parameters)
        if wrong is not None:
            raise ConformanceError(f"{uri}: {driver}: info.linked_limits: {limit.name!r} {wrong}")
    if info.linked_limits and info.motion is not None and info.motion.safe is not None:
        safe = np.array(np.broadcast_to(info.motion.safe, info.n_parameters), dtype=np.float64)
        found = first_violation(info.linked_limits, safe, 0.5 * np.asarray(info.theta_lsb))
        if found is not None:
            raise ConformanceError(
                f"{uri}: {driver}: info.motion.safe, with half a step for rounding, violates {found}"
            )


def check_codes(info: DeviceInfo, codes: CodeSpec, uri: str) -> None:
    """Raise ConfigError if codes are for nodes that the device cannot perturb."""
    if codes.target is Target.NODES and not info.perturbs_nodes:
        raise ConfigError(no_nodes(uri))


def no_nodes(device: str) -> str:
    """What to say where a device's nodes cannot be perturbed."""
    return f'codes.target: {device} cannot perturb its nodes; use codes.target = "weights"'


def check_limits(info: DeviceInfo, theta: FloatArray, what: str, uri: str) -> None:
    """Raise LimitExceeded if any element of θ, (P,), is not a number within the limits, naming the first.

    A millionth of a step is tolerated: 3.2 + 0.1 is more than 3.3 in floating point.
    """
    if theta.shape != (info.n_parameters,):
        raise ConfigError(f"{uri}: parameters have shape {theta.shape}, expected ({info.n_parameters},)")
    rounding = ROUNDING * np.asarray(info.theta_lsb)
    good = (theta >= info.theta_min - rounding) & (theta <= info.theta_max + rounding)
    if good.all():
        return
    index = int(np.argmin(good))
    low = float(np.broadcast_to(info.theta_min, theta.shape)[index])
    high = float(np.broadcast_to(info.theta_max, theta.shape)[index])
    raise LimitExceeded(
        f"{what} {index} would be {theta[index]:g}, outside its limits {low:g} ... {high:g}; nothing was sent",
        uri=uri,
    )


def check_linked(info: DeviceInfo, theta: FloatArray, amplitude: int, uri: str) -> None:
    """Raise LimitExceeded if θ, (P,), perturbed by up to ± `amplitude` code units, violates a limit of several
    parameters together, naming the first.
    """
    if not info.linked_limits:
        return
    found = first_violation(info.linked_limits, theta, amplitude * np.asarray(info.theta_lsb))
    if found is not None:
        remedy = "codes.delta, or training.init_scale" if amplitude else "the parameters"
        raise LimitExceeded(f"{found}; nothing was sent (reduce {remedy}, or raise the limit)", uri=uri)


def check_swing(info: DeviceInfo, amplitude: int, uri: str) -> None:
    """Raise LimitExceeded if codes of ± `amplitude` units, added by the device, would move a parameter too far at once.

    Between probes a parameter may swing from one side to the other.
    """
    if info.motion is not None and swings_too_far(amplitude, info.motion.max_step, info.theta_lsb):
        swing = 2 * amplitude * np.asarray(info.theta_lsb)
        most = whole_steps(info.motion.max_step, info.theta_lsb)
        raise LimitExceeded(
            f"perturbations would move a parameter by {float(swing.max()):g} in one step; at most {float(most.min()):g}"
            " is allowed; nothing was applied (reduce codes.delta, or use run.level=host-codes, which makes ramps)",
            uri=uri,
        )
