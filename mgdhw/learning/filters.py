"""Continuous mode: a high-pass in place of baselines, a low-pass in place of windows.

Both are pure: state goes in and comes back. `high_pass` says how much of a gradient the high-pass lets through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Costs
from mgdhw.codes import Codes


@dataclass(frozen=True)
class FilterState:
    """State of continuous mode: the filters of the 2023 paper's analog form.

    Args:
        gradient: (P,) low-passed C̃ θ̃ wᵢ, the running ĝ.
        cost: the last cost seen; None before the first.
        high_passed: the last C̃.
    """

    gradient: FloatArray
    cost: float | None = None
    high_passed: float = 0.0

    @classmethod
    def empty(cls, n_parameters: int) -> FilterState:
        """Filters at rest."""
        return cls(np.zeros(n_parameters))


def filter_block(
    state: FilterState,
    costs: Costs,
    codes: Codes,
    first_step: int,
    *,
    scale: float,
    theta_lsb: float | FloatArray,
    tau_hp: float,
    tau_theta: float,
    weight: FloatArray | None = None,
) -> FilterState:
    """Run a block's costs through the high-pass and the low-pass, probe by probe.

        C̃ₖ = (C̃ₖ₋₁ + Cₖ - Cₖ₋₁) τ_hp / (τ_hp + 1)
        ĝₖ = ĝₖ₋₁ + (C̃ₖ θ̃ₖ w - ĝₖ₋₁) / (τ_θ + 1)

    Args:
        state: filters before the block.
        costs: perturbed costs; references are not used.
        codes, first_step: what perturbed them.
        scale: `cost_scale`.
        theta_lsb: one code unit in parameter units.
        tau_hp, tau_theta: time constants, in probes.
        weight: (P,) w, `high_pass.filter_weight`; None: 1 / ⟨θ̃²⟩ in parameter units, as if the high-pass weakened
            nothing.

    Source: McCaughan et al. 2023, algorithm 1 ("analog" form), with the probe as the unit of time.
    """
    values = codes.values(first_step, costs.perturbed.size)
    if weight is None:
        weight = 1.0 / (codes.mean_square() * theta_lsb)
    keep = tau_hp / (tau_hp + 1.0)
    take = 1.0 / (tau_theta + 1.0)
    gradient, previous, change = state.gradient, state.cost, state.high_passed
    for raw, code in zip(costs.perturbed.tolist(), values, strict=True):
        cost = raw * scale
        change = 0.0 if previous is None else keep * (change + cost - previous)
        previous = cost
        gradient = gradient + take * (change * code * weight - gradient)
    return FilterState(gradient, previous, change)
