"""The compiled engine: the whole loop in machine code, by numba."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.gradient import Window
from mgdhw.loop import Recipe, Step
from mgdhw.order import SampleOrder
from mgdhw.segment import Segment, SegmentResult
from mgdhw.state import TrainState
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines import flawed, loops, packs, replicas, segments, team
from mgdhw_sim.engines.crew import together
from mgdhw_sim.engines.engine import Engine
from mgdhw_sim.engines.moves import Moving
from mgdhw_sim.engines.vector import Narrow

IntArray = NDArray[np.int64]

PLAIN_SAMPLES = 1 << 20
"""Sample numbers that are made at a time for the plain kernels: bounds the memory of long segments."""


class Compiled(Engine):
    """Runs blocks of every family and baseline, and segments in discrete mode with every optimizer.

    Chips of small numbers (`packs.narrow`) run on vectors; the plain kernels run everything.
    """

    name = "numba"

    def declines(self, chip: Chip, work: Block | Segment) -> str | None:
        codes = work.codes if isinstance(work, Block) else work.recipe.codes
        if codes.family not in packs.FAMILIES:
            return f"codes of family {codes.family!r}"
        if isinstance(work, Block):
            return None
        recipe = work.recipe
        if recipe.continuous:
            return "continuous mode"
        if recipe.normalise != "energy":
            return f'normalise = "{recipe.normalise}"'
        if recipe.stochastic:
            return "stochastic rounding"
        if type(recipe.optimizer) not in packs.OPTIMIZERS:
            return f"optimizer {type(recipe.optimizer).__name__}"
        return None

    def probe(self, chip: Chip, block: Block) -> Costs:
        if chip.cells is not None:
            return flawed.probe(chip, block)
        known = block.valid_held()
        held = np.array([known.value if known else 0, block.first_batch() if known else loops.NO_BATCH], dtype=np.int64)
        plus = np.empty(block.n_probes, dtype=np.int64)
        minus = np.empty(block.n_probes, dtype=np.int64)
        order, (inputs, targets) = block.order, chip.memory
        costs, plan = packs.net(chip.spec), packs.plan(block.codes, chip.topology)
        baseline = packs.BASELINES[block.baseline]
        narrow = _narrow(chip, order)
        if narrow is None:
            samples = order.samples(block.first_batch(), block.n_batches()).copy()
            measured = loops.probe_block(
                costs, plan, chip.codes, inputs, targets, samples, order.tau_x, block.first_step, block.n_probes,
                baseline, held, packs.work(chip, order.batch), plus, minus,
            )  # fmt: skip
        else:
            measured = _block(chip, narrow, block, held, plus, minus)
        carried = None
        if block.baseline is Baseline.HELD:
            carried = known if measured < 0 else HeldBaseline(int(held[0]), int(measured))
        return Costs(plus, minus, block.evaluations(), carried)

    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        if chip.cells is not None:
            return flawed.learn(chip, segment)
        state, recipe = segment.state, segment.recipe
        if _narrow(chip, recipe.order) is not None:
            state, total, last = self._learn(chip, state, recipe, segment.n_probes)
            return SegmentResult(state, total / segment.n_probes, last)
        total, last, left = 0.0, None, segment.n_probes
        most = max(1, PLAIN_SAMPLES // recipe.order.batch)
        while left > 0:
            size = min(left, most)
            state, cost, step = self._learn(chip, state, recipe, size)
            total, last, left = total + cost, step or last, left - size
        return SegmentResult(state, total / segment.n_probes, last)

    def learn_many(self, chip: Chip, segments: Sequence[Segment]) -> list[SegmentResult]:
        if chip.cells is not None:
            return super().learn_many(chip, segments)
        return replicas.learn_many(chip, segments, self.learn)

    def _learn(
        self, chip: Chip, state: TrainState, recipe: Recipe, count: int
    ) -> tuple[TrainState, float, Step | None]:
        order, (inputs, targets) = recipe.order, chip.memory
        costs, plan, rule = packs.net(chip.spec), packs.plan(recipe.codes, chip.topology), packs.rule(chip.spec, recipe)
        first_batch = order.batch_of(state.step)
        usable = state.held is not None and order.batch_of(state.held.step) == first_batch
        value = int(state.held.value) if usable and state.held is not None else 0
        held = np.array([value, first_batch if usable else loops.NO_BATCH], dtype=np.int64)
        moving = packs.moving(chip.spec, state)
        period, baseline = recipe.update_period, packs.BASELINES[recipe.baseline]
        n_updates = (state.step + count) // period - state.step // period
        etas = packs.etas(recipe, state.update, n_updates)
        narrow = _narrow(chip, order)
        if narrow is None:
            samples = order.samples(first_batch, order.batch_of(state.step + count - 1) - first_batch + 1).copy()
            evaluations, total, measured, updates = loops.learn_segment(
                costs, plan, rule, moving, inputs, targets, samples, order.tau_x, state.step, count, period, baseline,
                held, etas, packs.work(chip, order.batch),
            )  # fmt: skip
        else:
            evaluations, total, measured, updates = _segment(chip, narrow, state, recipe, count, moving, held, etas)
        size = chip.topology.n_parameters
        chip.codes = moving.stored[:size]
        after = None
        if recipe.baseline is Baseline.HELD and held[1] != loops.NO_BATCH:
            after = state.held if measured < 0 else HeldBaseline(int(held[0]), int(measured))
        state = replace(
            state,
            step=state.step + count,
            update=state.update + updates,
            theta=moving.theta[:size],
            optimizer=packs.optimizer_state(state, moving),
            window=Window(moving.cross[:size], moving.energy[:size]),
            held=after,
            evaluations=state.evaluations + int(evaluations),
        )
        last = Step(float(etas[-1]), float(np.sqrt(moving.squares.sum()))) if updates else None
        return state, float(total), last


def _narrow(chip: Chip, order: SampleOrder) -> Narrow | None:
    """The chip for the vector kernels, if its numbers and the sums of its costs are small enough."""
    if order.batch << chip.spec.cost_bits >= segments.FULL:
        return None
    return packs.narrow(chip.spec)


def _block(chip: Chip, small: Narrow, block: Block, held: IntArray, plus: IntArray, minus: IntArray) -> int:
    """`segments.run_block`, by a team where the work is worth it."""
    fixed = packs.setup(chip, small, block.codes, block.order, block.baseline)
    parts = packs.parts_for(chip, fixed)
    stored = packs.room(chip.codes, packs.padded(chip.codes.size))
    moved, space = stored.copy(), packs.space(chip, block.order)
    aheads, tiles = packs.aheads(chip, fixed, parts), packs.tiles(chip, block.order, parts)
    places = team.teams(parts, block.order.batch, chip.topology)

    def work(part: int) -> int:
        own = held if part == 0 else held.copy()
        return int(segments.run_block(
            fixed, stored, block.first_step, block.n_probes, own, aheads[part], moved, space, tiles[part],
            np.zeros(2, dtype=np.bool_), places[part], plus, minus,
        ))  # fmt: skip

    return together(work, parts, lambda: team.release(places[0]))


def _segment(
    chip: Chip,
    small: Narrow,
    state: TrainState,
    recipe: Recipe,
    count: int,
    moving: Moving,
    held: IntArray,
    etas: NDArray[np.float64],
) -> tuple[int, int, int, int]:
    """`segments.run_segment`, by a team where the work is worth it."""
    fixed = packs.setup(chip, small, recipe.codes, recipe.order, recipe.baseline)
    parts = packs.parts_for(chip, fixed)
    moved, space = moving.stored.copy(), packs.space(chip, recipe.order)
    aheads, tiles = packs.aheads(chip, fixed, parts), packs.tiles(chip, recipe.order, parts)
    places = team.teams(parts, recipe.order.batch, chip.topology)
    rule, period = packs.rule(chip.spec, recipe), recipe.update_period
    signs = recipe.codes.family == "random" and recipe.codes.groups == "all"
    fresh = not state.window.energy.any()
    alone = period == 1 and signs and fresh

    def work(part: int) -> tuple[int, int, int, int]:
        own = held if part == 0 else held.copy()
        powers = moving.powers if part == 0 else moving.powers.copy()
        mine = moving._replace(powers=powers, squares=moving.squares[16 * part : 16 * part + 16])
        result: tuple[int, int, int, int] = segments.run_segment(
            fixed, rule, mine, state.step, count, period, alone, fresh, own, etas, aheads[part], moved, space,
            tiles[part], np.zeros(2, dtype=np.bool_), places[part],
        )  # fmt: skip
        return result

    return together(work, parts, lambda: team.release(places[0]))
