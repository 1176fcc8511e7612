"""The learning rule: how costs become parameters, apart from any device and any state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, CodeSpec
from mgdhw.learning.gradient import cost_scale
from mgdhw.learning.nodes import NodeUnits
from mgdhw.learning.schedule import ScheduleSpec
from mgdhw.optimizers import Optimizer
from mgdhw.random.sample_order import SampleOrder

Constraint = Callable[[FloatArray, FloatArray], FloatArray]
"""From master θ before an update, (P,), and the one wanted, within low and high, to one that is allowed."""


@dataclass(frozen=True, slots=True)
class ParameterGrid:
    """The values that parameters can take: limits and step; scalars or (P,)."""

    low: float | FloatArray
    high: float | FloatArray
    lsb: float | FloatArray


@dataclass(frozen=True, slots=True)
class LearningRule:
    """All that decides how costs become parameters.

    Args:
        codes, order, baseline: of every block.
        continuous: filters instead of windows.
        update_period: probes from one update to the next.
        tau_theta, tau_hp: time constants of continuous mode, in probes.
        normalise: "energy" or "oripov".
        optimizer, eta, schedule: how a gradient becomes a step.
        updates: updates of the whole run, for the schedule.
        stochastic: parameters are rounded to the device's steps stochastically, with `seed`.
        grid: what the hardware can hold.
        low, high: limits of master θ, one perturbation inside the hardware's; (P,) or scalars.
        cost_lsb: one cost code in units of the cost.
        seed: of stochastic rounding.
        filter_weight: (P,) what C̃ θ̃ is multiplied by in continuous mode, so that its mean is the gradient; None: by one
            over the codes' mean square, as if the high-pass weakened nothing.
        nodes: what the integers of node perturbation are worth; None where parameters are perturbed.
        constraint: keeps master θ within limits on several parameters together; None: there are none.
    """

    codes: CodeSpec
    order: SampleOrder
    baseline: Baseline
    continuous: bool
    update_period: int
    tau_theta: int
    tau_hp: float
    normalise: str
    optimizer: Optimizer
    eta: float
    schedule: ScheduleSpec
    updates: int
    stochastic: bool
    grid: ParameterGrid
    low: FloatArray
    high: FloatArray
    cost_lsb: float
    seed: int
    filter_weight: FloatArray | None = None
    constraint: Constraint | None = None
    nodes: NodeUnits | None = None

    @property
    def scale(self) -> float:
        """What one unit of C̃ is worth."""
        return cost_scale(self.cost_lsb, self.order.batch, self.baseline)


@dataclass(frozen=True, slots=True)
class UpdateInfo:
    """What an update did: the learning rate that it used, and |ĝ|."""

    eta: float
    gradient_norm: float

    @classmethod
    def of(cls, eta: float, gradient: FloatArray) -> UpdateInfo:
        """The update with a gradient. (A BLAS product would leave its threads spinning for a tenth of a second.)"""
        return cls(eta, float(np.sqrt(np.einsum("i,i", gradient, gradient))))
