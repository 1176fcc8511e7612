"""One step of training as pure functions: ask for probes, accumulate their costs, update the parameters.

The host's trainer runs them between blocks; a device that learns by itself runs the very same ones, so that both walk
the same trajectory, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Costs, Target
from mgdhw.codes import Codes
from mgdhw.learning.filters import filter_block
from mgdhw.learning.gradient import Window, accumulate, estimate, oripov_scaled
from mgdhw.learning.nodes import accumulate_nodes
from mgdhw.learning.rounding import round_stochastically
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.state import TrainState


def next_block(state: TrainState, rule: LearningRule, size: int) -> Block:
    """The next `size` probes."""
    return Block(state.step, size, rule.codes, rule.order, rule.baseline, state.held)


def probes_to_update(state: TrainState, rule: LearningRule) -> int:
    """Probes until the next update."""
    return rule.update_period - state.step % rule.update_period


def accumulate_costs(state: TrainState, costs: Costs, rule: LearningRule, codes: Codes) -> TrainState:
    """Take in the answer to a block that began at `state.step`."""
    window, filters = state.window, state.filters
    if rule.continuous:
        filters = filter_block(
            filters,
            costs,
            codes,
            state.step,
            scale=rule.scale,
            theta_lsb=rule.grid.lsb,
            tau_hp=rule.tau_hp,
            tau_theta=rule.tau_theta,
            weight=rule.filter_weight,
        )
    elif rule.codes.target is Target.NODES:
        window = accumulate_nodes(window, costs, codes, state.step, rule.order)
    else:
        window = accumulate(window, costs, codes, state.step)
    return replace(
        state,
        step=state.step + costs.perturbed.size,
        window=window,
        filters=filters,
        held=costs.held,
        evaluations=state.evaluations + costs.evaluations,
    )


def window_gradient(window: Window, rule: LearningRule, codes: Codes) -> FloatArray:
    """(P,) what the optimizer takes for the gradient: ĝ, or the 2025 paper's scaling of it."""
    nodes = rule.nodes
    if rule.normalise == "oripov":
        unit, sums = (rule.grid.lsb, None) if nodes is None else (nodes.code, nodes.of_sums)
        return oripov_scaled(window, rule.scale, unit, codes, rule.update_period, sums)
    return estimate(window, rule.scale, rule.grid.lsb if nodes is None else nodes.of_quotient)


def update(state: TrainState, rule: LearningRule, codes: Codes) -> tuple[TrainState, UpdateInfo]:
    """Move master θ by what was taken in since the last update."""
    gradient = state.filters.gradient if rule.continuous else window_gradient(state.window, rule, codes)
    eta = rule.eta * rate(rule.schedule, Progress(state.update, rule.updates))
    theta, optimizer = rule.optimizer.update(state.theta, gradient, eta, state.optimizer)
    theta = np.clip(theta, rule.low, rule.high)
    if rule.constraint is not None:
        theta = rule.constraint(state.theta, theta)
    integer = np.issubdtype(state.window.cross.dtype, np.integer)
    state = replace(
        state,
        update=state.update + 1,
        theta=theta,
        optimizer=optimizer,
        window=Window.empty(theta.size, integer=integer),
        held=None,
    )
    return state, UpdateInfo.of(eta, gradient)


def requested_theta(state: TrainState, rule: LearningRule) -> FloatArray:
    """(P,) what to write for master θ: itself, for the device to round, or rounded stochastically."""
    if not rule.stochastic:
        return state.theta
    return round_stochastically(state.theta, rule.grid, rule.seed, state.update)
