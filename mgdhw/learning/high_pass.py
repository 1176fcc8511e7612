"""What continuous mode divides by, beside the codes' energy: the share of a gradient that the high-pass lets through.

The filter that finds C̃ in the course of C also weakens it, by a factor that follows from code and time constant: little
for codes that change at every probe, much for a square wave that is longer than the time constant.
"""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.codes import Codes
from mgdhw.errors import ConfigError

LEAST = 0.25
"""A probe's least worth behind the filter: below, an estimate takes more than four times the probes that it takes where
C̃ is measured against a known baseline, and then another code or a slower filter is the better choice."""
SHORTEST = 1e-3
"""Probes. A filter so fast is a difference of neighbours; a faster one changes nothing but the size of its numbers."""
DOUBLINGS = 64


def gains(codes: Codes, tau_hp: float) -> FloatArray:
    """(P,) share of each parameter's gradient that a high-pass of `tau_hp` probes lets through: `CodeFamily.gain`."""
    keep = tau_hp / (tau_hp + 1.0)
    gain = np.empty(codes.topology.n_parameters)
    for group in codes.groups:
        gain[group.start : group.start + group.size] = codes.family.gain(group, keep, len(codes.groups))
    return gain


def filter_weight(codes: Codes, tau_hp: float, theta_lsb: float | FloatArray) -> FloatArray:
    """(P,) what makes C̃ θ̃ an unbiased estimate of the gradient: one over ⟨θ̃²⟩, a code unit and the gain.

    Raises:
        ConfigError: the time constant is too short; the filter mixes up the codes of different parameters, or it leaves
            so little of one that dividing by it would make noise of it.
    """
    family = codes.spec.family
    mixed_up = codes.family.mixed_up(len(codes.groups))
    if mixed_up is not None:
        raise ConfigError(f"codes.family: in continuous mode {mixed_up}")
    if tau_hp < SHORTEST:
        raise ConfigError(f"training.tau_hp: expected at least {SHORTEST:g} probes (got {tau_hp:g})")
    gain = gains(codes, tau_hp)
    worth = _worth(gain, tau_hp)
    if worth.min() < LEAST:
        worst = int(np.argmin(worth))
        raise ConfigError(
            f"training.tau_hp: a high-pass of {tau_hp:g} probes leaves {gain[worst]:.3g} of what {family} codes of"
            f" {codes.topology.n_parameters} parameters tell about parameter {worst}. Divided by so little it is mostly"
            f" noise: it takes {1 / worth[worst]:.2g} times the probes that it takes without a filter, and more than"
            f" {1 / LEAST:g} times is refused; expected training.tau_hp={_enough(codes, tau_hp):g}, or"
            " codes.family=random"
        )
    return np.asarray(1.0 / (codes.mean_square() * theta_lsb * gain))


def _worth(gain: FloatArray, tau_hp: float) -> FloatArray:
    """(P,) variance of an estimate without a filter over that with one, divided by its gain, if costs have white noise.

    At each frequency |H|² = Re H · 2a / (1 + a), so the noise that correlates with a code is 2a / (1 + a) of its gain.
    """
    keep = tau_hp / (tau_hp + 1.0)
    return np.asarray(gain * (1.0 + keep) / (2.0 * keep))


def _enough(codes: Codes, tau_hp: float) -> float:
    """A time constant that is accepted: so many doublings of the given one."""
    for _ in range(DOUBLINGS):
        tau_hp *= 2.0
        if _worth(gains(codes, tau_hp), tau_hp).min() >= LEAST:
            break
    return tau_hp
