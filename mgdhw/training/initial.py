"""Parameters before and beside training: where they start, and how far they may go."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device import DeviceInfo
from mgdhw.device.linked_limits import LinkedConstraint
from mgdhw.errors import ConfigError
from mgdhw.experiment.schema import Experiment
from mgdhw.random.philox import Stream, words


def guard_band(info: DeviceInfo, amplitude: int) -> tuple[FloatArray, FloatArray]:
    """Limits of master θ: one perturbation and half a step inside the device's, so that no code ever saturates.

    The half step is for the device's rounding, whatever grid it rounds to.
    """
    lsb = np.asarray(info.theta_lsb, dtype=np.float64)
    room = (amplitude + 0.5) * lsb
    low = np.asarray(info.theta_min + room, dtype=np.float64)
    high = np.asarray(info.theta_max - room, dtype=np.float64)
    if not np.all(low < high):
        raise ConfigError(
            f"codes.delta: a perturbation of {float(np.max(amplitude * lsb)):g} leaves no room within the parameters'"
            f" limits {float(np.min(info.theta_min)):g} ... {float(np.max(info.theta_max)):g}"
        )
    return low, high


def linked_constraint(info: DeviceInfo, amplitude: int, *, stochastic: bool = False) -> LinkedConstraint | None:
    """What keeps master θ within the device's limits on several parameters together; None if it declares none.

    As far inside as one perturbation and a whole step: half for the device's rounding of θ, half for that of the points
    of a ramp. Stochastic rounding may move θ by a whole step instead of half.
    """
    if not info.linked_limits:
        return None
    low, high = guard_band(info, amplitude)
    room = (amplitude + (1.5 if stochastic else 1.0)) * np.asarray(info.theta_lsb, dtype=np.float64)
    return LinkedConstraint(info.linked_limits, room, low, high)


def has_room(info: DeviceInfo, amplitude: int) -> bool:
    """Whether the limits on several parameters together allow any θ with such perturbations."""
    constraint = linked_constraint(info, amplitude)
    middle = 0.5 * (np.asarray(info.theta_min, dtype=np.float64) + info.theta_max)
    return constraint is None or constraint.close_to(np.array(np.broadcast_to(middle, info.n_parameters))) is not None


def allowed(info: DeviceInfo, amplitude: int, theta: FloatArray, constraint: LinkedConstraint | None) -> FloatArray:
    """(P,) parameters to start with, close to θ and within all limits, perturbations included.

    Raises:
        ConfigError: there are none within the limits on several parameters together.
    """
    theta = np.clip(theta, *guard_band(info, amplitude))
    if constraint is None:
        return theta
    found = constraint.close_to(theta)
    if found is None:
        names = ", ".join(repr(limit.name) for limit in info.linked_limits)
        raise ConfigError(
            f"codes.delta: a perturbation of {float(np.max(amplitude * np.asarray(info.theta_lsb))):g} leaves no room"
            f" within the limits on several parameters together ({names}); reduce it, or training.init_scale"
        )
    return found


def initial(experiment: Experiment, info: DeviceInfo, theta_actual: FloatArray | None) -> FloatArray:
    """θ before the first update, (P,).

    "glorot": weights uniform within ±√(6 / (n_in + fan_out)), biases zero (Glorot & Bengio 2010); "uniform": all
    uniform within ±1; both times `init_scale`. "read": what the hardware holds.
    """
    if theta_actual is not None:
        return theta_actual
    drawn = words(experiment.seed, Stream.INIT, [0], info.n_parameters)[0]
    uniform = (drawn.astype(np.float64) + 0.5) * 2.0**-31 - 1.0
    scale = experiment.training.init_scale
    if experiment.training.init == "uniform":
        return np.asarray(uniform * scale)
    if not info.topology.layers:
        raise ConfigError(
            'training.init: "glorot" needs to know the layers, and this device only says how many parameters it has;'
            ' use "uniform" or "read"'
        )
    theta = np.zeros(info.n_parameters)
    for layer in info.topology.layers:
        theta[layer.weights] = uniform[layer.weights] * (np.sqrt(6.0 / (layer.n_in + layer.fan_out)) * scale)
    return theta
