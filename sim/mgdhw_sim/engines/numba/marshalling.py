"""Where compiled work begins and ends: what a block or a state carries becomes arrays of kernels, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.codes import Codes
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.segment import SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Topology
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.numba.kernels import scalar_segments
from mgdhw_sim.engines.numba.kernels.continuous_mode import Filters
from mgdhw_sim.engines.numba.kernels.updates import UpdateState
from mgdhw_sim.reference.chip import Chip

Piece = Callable[[TrainState, int], tuple[TrainState, float, UpdateInfo | None]]
"""Runs so many probes from a state on: the state after them, the sum of their costs, the last update."""

SAMPLES, PRODUCTS = 1 << 20, 1 << 34
"""Samples, and products of theirs with parameters, that a call into compiled code works on: bounds its memory and its
time. A probe is the least."""
SHORT_CALL = 0.05
"""Seconds below which a piece of a segment is followed by one twice as long, whatever its products: with rank-1 codes
and samples that are held most of these are saved, and the beginning of a piece is what takes long."""


def baseline_of_block(block: Block) -> IntArray:
    """(2,) value and batch of the baseline that a block carries."""
    known = block.valid_held()
    return np.array(
        [known.value if known else 0, block.first_batch() if known else scalar_segments.NO_BATCH], dtype=np.int64
    )


def costs(block: Block, plus: IntArray, minus: IntArray, held_baseline: IntArray, measured: int) -> Costs:
    """The answer to a block, from what kernels left; `measured` is the step of the last measured baseline, or -1."""
    carried = None
    if block.baseline is Baseline.HELD:
        carried = block.valid_held() if measured < 0 else HeldBaseline(int(held_baseline[0]), int(measured))
    return Costs(plus, minus, block.evaluations(), carried)


def baseline_of_state(state: TrainState, learning_rule: LearningRule) -> IntArray:
    """(2,) value and batch of the baseline that a state carries."""
    first_batch = learning_rule.order.batch_of(state.step)
    held_baseline = state.held
    if held_baseline is None or learning_rule.order.batch_of(held_baseline.step) != first_batch:
        return np.array([0, scalar_segments.NO_BATCH], dtype=np.int64)
    return np.array([held_baseline.value, first_batch], dtype=np.int64)


def etas(state: TrainState, learning_rule: LearningRule, count: int) -> NDArray[np.float64]:
    """Learning rates of the updates among so many probes."""
    period = learning_rule.update_period
    return kernel_args.etas(learning_rule, state.update, (state.step + count) // period - state.step // period)


def advanced(
    state: TrainState,
    learning_rule: LearningRule,
    count: int,
    update_state: UpdateState,
    held_baseline: IntArray,
    rates: NDArray[np.float64],
    *,
    evaluations: int,
    measured: int,
    updates: int,
) -> tuple[TrainState, UpdateInfo | None]:
    """The state after so many probes, from what kernels left, and the last update among them."""
    size = state.theta.size
    after = None
    if learning_rule.baseline is Baseline.HELD and held_baseline[1] != scalar_segments.NO_BATCH:
        after = state.held if measured < 0 else HeldBaseline(int(held_baseline[0]), int(measured))
    then = replace(
        state,
        step=state.step + count,
        update=state.update + updates,
        theta=update_state.theta[:size],
        optimizer=kernel_args.optimizer_state(state, update_state),
        window=Window(update_state.cross[:size], update_state.energy[:size]),
        held=after,
        evaluations=state.evaluations + int(evaluations),
    )
    return then, _last(update_state, rates, updates)


def _last(update_state: UpdateState, rates: NDArray[np.float64], updates: int) -> UpdateInfo | None:
    """The last of so many updates."""
    return UpdateInfo(float(rates[-1]), float(np.sqrt(update_state.squares.sum()))) if updates else None


def filters_of(state: TrainState, learning_rule: LearningRule, topology: Topology) -> Filters:
    """The filters of continuous mode as kernels take them, in arrays of their own."""
    size, analog = kernel_args.padded(state.theta.size), state.filters
    weight = learning_rule.filter_weight
    if weight is None:
        weight = 1.0 / (Codes(learning_rule.codes, topology).mean_square() * learning_rule.grid.lsb)
    return Filters(
        gradient=kernel_args.room(analog.gradient, size),
        cost=np.array([0.0 if analog.cost is None else analog.cost, analog.high_passed]),
        weight=kernel_args.room(weight, size),
        scale=learning_rule.scale,
        high_pass=learning_rule.tau_hp / (learning_rule.tau_hp + 1.0),
        low_pass=1.0 / (learning_rule.tau_theta + 1.0),
    )


def filtered(
    state: TrainState, count: int, update_state: UpdateState, filters: Filters, rates: NDArray[np.float64], updates: int
) -> tuple[TrainState, UpdateInfo | None]:
    """The same in continuous mode, without baselines."""
    size = state.theta.size
    then = replace(
        state,
        step=state.step + count,
        update=state.update + updates,
        theta=update_state.theta[:size],
        optimizer=kernel_args.optimizer_state(state, update_state),
        filters=FilterState(filters.gradient[:size], float(filters.cost[0]), float(filters.cost[1])),
        held=None,
        evaluations=state.evaluations + count,
    )
    return then, _last(update_state, rates, updates)


def probes_at_once(chip: Chip, order: SampleOrder) -> int:
    """How many probes a call into compiled code may take."""
    return max(1, min(SAMPLES, PRODUCTS // chip.topology.n_parameters) // order.batch)


def in_blocks(block: Block, most: int, run: Callable[[Block], Costs]) -> Costs:
    """A block, at most so many probes at a time."""
    if block.n_probes <= most:
        return run(block)
    done: list[Costs] = []
    held_baseline = block.held
    for start in range(0, block.n_probes, most):
        size = min(most, block.n_probes - start)
        done.append(run(replace(block, first_step=block.first_step + start, n_probes=size, held=held_baseline)))
        held_baseline = done[-1].held
    perturbed, reference = (
        np.concatenate(each) for each in zip(*((c.perturbed, c.reference) for c in done), strict=True)
    )
    return Costs(perturbed, reference, sum(c.evaluations for c in done), held_baseline)


def by_amplitude(block: Block, run: Callable[[Block], Costs]) -> Costs:
    """A block of layers that take turns, each with an amplitude of its own.

    Kernels have one: the block is measured once with each, and of the costs those of the layers that have it are kept.
    """
    each = block.codes.amplitudes
    turn = (block.first_step + np.arange(block.n_probes)) % len(each)
    for amplitude in sorted(set(each)):
        costs = run(replace(block, codes=replace(block.codes, amplitude=amplitude, amplitudes=())))
        mine = np.array(each)[turn] == amplitude
        if amplitude == min(each):
            perturbed, reference = costs.perturbed.copy(), costs.reference.copy()
        perturbed[mine], reference[mine] = costs.perturbed[mine], costs.reference[mine]
    return Costs(perturbed, reference, costs.evaluations, costs.held)


def in_pieces(
    chip: Chip, state: TrainState, learning_rule: LearningRule, n_probes: int, most: int, run: Piece
) -> SegmentResult:
    """A segment, at most so many probes at a time, and no more than a call may work on."""
    size = min(most, probes_at_once(chip, learning_rule.order))
    most = min(most, max(1, SAMPLES // learning_rule.order.batch))
    total, last, left = 0.0, None, n_probes
    while left > 0:
        began = time.perf_counter()
        piece = min(left, size)
        state, cost, step = run(state, piece)
        total, last, left = total + cost, step or last, left - piece
        if time.perf_counter() - began < SHORT_CALL:
            size = min(2 * size, most)
    return SegmentResult(state, total / n_probes, last)
