"""Δ in steps of a device's parameters: what an experiment asks for, or a share of their range where it says nothing.

The share does not depend on how finely the parameters are converted: a chip with two bits more is perturbed as before,
rather than by a quarter of it, and a sweep of the bits compares bits.
"""

from __future__ import annotations

import numpy as np

from mgdhw.codes import FAMILIES
from mgdhw.device.info import DeviceInfo
from mgdhw.device.limits import no_nodes
from mgdhw.device.motion import steps_at_once
from mgdhw.errors import ConfigError
from mgdhw.experiment.schema import Experiment

RANGE_SHARE = 1 / 64
"""Δ as a share of the range; docs/decisions/0030-delta-and-pilots.md says how it was chosen."""
NODE_DELTA = 1 / 64
"""Δ at the nodes, in units of a pre-activation: small beside the 1 on which activations are curved."""
MOST = (1 << 15) - 1
"""Largest amplitude of a code."""
MANY_STEPS = 1 << 31
"""More than any parameter has."""


def default_node_amplitude(family: str, node_lsb: float) -> int:
    """Δ at the nodes, in steps of their perturbation."""
    return min(MOST, max(FAMILIES[family].least_amplitude, int(np.floor(NODE_DELTA / node_lsb + 0.5))))


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


def amplitudes_of(experiment: Experiment, info: DeviceInfo) -> tuple[tuple[int, ...], list[str]]:
    """Δ in steps of a parameter, one or one for each layer, and what the user should know about it.

    Raises:
        ConfigError: Δ is smaller than a step of the device's parameters, or there are not as many as layers.
    """
    codes, lsb = experiment.codes, code_lsb(experiment, info)
    if codes.delta is None and codes.target == "nodes":
        return (default_node_amplitude(codes.family, lsb),), []
    if codes.delta is None:
        return (default_amplitude(codes.family, info),), []
    if not isinstance(codes.delta, list):
        amplitude, notes = _amplitude(codes.delta, lsb, experiment, info)
        return (amplitude,), notes
    layers = info.topology.layers
    if len(codes.delta) != len(layers):
        has = f"{info.model} has {len(layers)} layers" if layers else f"nobody knows the layers of {info.model}"
        expected = f"one number or {len(layers)}" if layers else "one number"
        raise ConfigError(f"codes.delta: a list of {len(codes.delta)}, but {has}; expected {expected}")
    steps = _steps(experiment, info)
    each = [_amplitude(delta, step, experiment, info) for delta, step in zip(codes.delta, steps, strict=True)]
    return tuple(amplitude for amplitude, _ in each), [note for _, notes in each for note in notes]


def deltas_of(experiment: Experiment, info: DeviceInfo) -> list[float]:
    """Δ in the parameters' units, as the device represents it: of all parameters, or of each layer's.

    Raises:
        ConfigError: like `amplitudes_of`.
    """
    amplitudes, _ = amplitudes_of(experiment, info)
    if not isinstance(experiment.codes.delta, list):
        return [amplitudes[0] * code_lsb(experiment, info)]
    return [amplitude * lsb for amplitude, lsb in zip(amplitudes, _steps(experiment, info), strict=True)]


def code_lsb(experiment: Experiment, info: DeviceInfo) -> float:
    """One code unit: the largest step of a parameter, or that of the nodes' perturbation where these are perturbed."""
    if experiment.codes.target == "nodes":
        if info.node_lsb is None or not info.perturbs_nodes:
            raise ConfigError(no_nodes(info.model))
        return info.node_lsb
    return float(np.max(info.theta_lsb))


def _steps(experiment: Experiment, info: DeviceInfo) -> list[float]:
    """The largest step of a parameter in each layer; of its nodes where these are perturbed."""
    if experiment.codes.target == "nodes":
        return [code_lsb(experiment, info)] * len(info.topology.layers)
    steps = np.broadcast_to(np.asarray(info.theta_lsb, dtype=np.float64), info.n_parameters)
    return [float(np.max(steps[layer.parameters])) for layer in info.topology.layers]


def _amplitude(delta: float, lsb: float, experiment: Experiment, info: DeviceInfo) -> tuple[int, list[str]]:
    """One Δ in steps of a parameter, or of the perturbation of a node."""
    of = "a parameter" if experiment.codes.target == "weights" else "a node's perturbation"
    amplitude = int(min(np.floor(delta / lsb + 0.5), MANY_STEPS))
    if amplitude < 1:
        raise ConfigError(
            f"codes.delta: {delta:g} is less than half of the smallest step of {of} of"
            f" {info.model}, {lsb:g}; expected at least {lsb:g}"
        )
    if amplitude * lsb == delta:
        return amplitude, []
    return amplitude, [f"codes.delta {delta:g} is taken as {amplitude * lsb:g}: {amplitude} steps of {of}"]
