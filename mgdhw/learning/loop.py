"""One turn of training as pure functions: take in costs, make an update.

The host's loop runs them between blocks; a device that learns by itself runs the very same ones, so that both walk the
same trajectory, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.codes import Codes
from mgdhw.learning.gradient import Window, accumulate, cost_scale, estimate, filter_block, oripov_scaled
from mgdhw.learning.schedule import Progress, ScheduleSpec, rate
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import Optimizer
from mgdhw.random.chunk_cache import ChunkCache
from mgdhw.random.philox import Stream, words
from mgdhw.random.sample_order import SampleOrder

CHUNK_WORDS = 1 << 15
MEMO_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Grid:
    """The values that parameters can take: limits and step; scalars or (P,)."""

    low: float | FloatArray
    high: float | FloatArray
    lsb: float | FloatArray


@dataclass(frozen=True, slots=True)
class Recipe:
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
    grid: Grid
    low: FloatArray
    high: FloatArray
    cost_lsb: float
    seed: int
    filter_weight: FloatArray | None = None

    @property
    def scale(self) -> float:
        """What one unit of C̃ is worth."""
        return cost_scale(self.cost_lsb, self.order.batch, self.baseline)


@dataclass(frozen=True, slots=True)
class Step:
    """What an update did: the learning rate that it used, and |ĝ|."""

    eta: float
    gradient_norm: float

    @classmethod
    def of(cls, eta: float, gradient: FloatArray) -> Step:
        """The update with a gradient. (A BLAS product would leave its threads spinning for a tenth of a second.)"""
        return cls(eta, float(np.sqrt(np.einsum("i,i", gradient, gradient))))


def next_block(state: TrainState, recipe: Recipe, size: int) -> Block:
    """The next `size` probes."""
    return Block(state.step, size, recipe.codes, recipe.order, recipe.baseline, state.held)


def probes_to_update(state: TrainState, recipe: Recipe) -> int:
    """Probes until the next update."""
    return recipe.update_period - state.step % recipe.update_period


def accumulate_costs(state: TrainState, costs: Costs, recipe: Recipe, codes: Codes) -> TrainState:
    """Take in the answer to a block that began at `state.step`."""
    window, analog = state.window, state.analog
    if recipe.continuous:
        analog = filter_block(
            analog,
            costs,
            codes,
            state.step,
            scale=recipe.scale,
            theta_lsb=recipe.grid.lsb,
            tau_hp=recipe.tau_hp,
            tau_theta=recipe.tau_theta,
            weight=recipe.filter_weight,
        )
    else:
        window = accumulate(window, costs, codes, state.step)
    return replace(
        state,
        step=state.step + costs.perturbed.size,
        window=window,
        analog=analog,
        held=costs.held,
        evaluations=state.evaluations + costs.evaluations,
    )


def update(state: TrainState, recipe: Recipe, codes: Codes) -> tuple[TrainState, Step]:
    """Move master θ by what was taken in since the last update."""
    if recipe.continuous:
        gradient = state.analog.gradient
    elif recipe.normalise == "oripov":
        gradient = oripov_scaled(state.window, recipe.scale, recipe.grid.lsb, codes, recipe.update_period)
    else:
        gradient = estimate(state.window, recipe.scale, recipe.grid.lsb)
    eta = recipe.eta * rate(recipe.schedule, Progress(state.update, recipe.updates))
    theta, optimizer = recipe.optimizer.update(state.theta, gradient, eta, state.optimizer)
    integer = np.issubdtype(state.window.cross.dtype, np.integer)
    state = replace(
        state,
        update=state.update + 1,
        theta=np.clip(theta, recipe.low, recipe.high),
        optimizer=optimizer,
        window=Window.empty(theta.size, integer=integer),
        held=None,
    )
    return state, Step.of(eta, gradient)


def requested_theta(state: TrainState, recipe: Recipe) -> FloatArray:
    """(P,) what to write for master θ: itself, for the device to round, or rounded stochastically."""
    if not recipe.stochastic:
        return state.theta
    return rounded(state.theta, recipe.grid, recipe.seed, state.update)


def rounded(theta: FloatArray, grid: Grid, seed: int, update: int) -> FloatArray:
    """θ on the device's grid, rounded up with the probability that makes it right in the mean.

    Each parameter's random number is a function of (seed, update, index), so writing again writes the same.
    """
    lsb = np.asarray(grid.lsb, dtype=np.float64)
    position = (theta - grid.low) / lsb
    below = np.floor(position)
    size = _updates_per_chunk(theta.size)
    number, row = divmod(update, size)
    drawn = _chunk((seed, theta.size), number)[row].astype(np.float64) * 2.0**-32
    return np.asarray(np.clip(grid.low + (below + (drawn < position - below)) * lsb, None, grid.high))


def _updates_per_chunk(n: int) -> int:
    return max(1, CHUNK_WORDS // n)


def _chunk_of(stream: tuple[int, int], number: int) -> NDArray[np.uint32]:
    """Random numbers of consecutive updates. A stream is a seed and a number of parameters."""
    seed, n = stream
    size = _updates_per_chunk(n)
    return words(seed, Stream.ROUNDING, np.arange(number * size, (number + 1) * size), n)


_chunk = ChunkCache(_chunk_of, MEMO_BYTES)
"""Those of a small network are drawn for many updates together: one by one, they take longer than an update."""
