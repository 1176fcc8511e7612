"""Blocks and segments of imperfect chips, by compiled kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.gradient import Window
from mgdhw.loop import Recipe, Step, to_write
from mgdhw.order import SampleOrder
from mgdhw.segment import Segment, SegmentResult
from mgdhw.state import TrainState
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines import flawed_loops, flawed_segments, flaws, loops, packs
from mgdhw_sim.engines.flawed_crew import Crew, fits

IntArray = NDArray[np.int64]

PLAIN_SAMPLES = 1 << 20
"""Sample numbers that are made at a time: bounds the memory of long segments."""


def probe(chip: Chip, block: Block) -> Costs:
    """`Chip.probe`."""
    assert chip.cells is not None
    chip.now = max(chip.now, block.first_step + block.n_probes)
    known, first, count = block.valid_held(), block.first_step, block.n_probes
    held = np.array([known.value if known else 0, block.first_batch() if known else loops.NO_BATCH], dtype=np.int64)
    plus, minus = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    memory, written = flaws.memory(chip.cells), chip.cells.written
    if fits(chip, block.order):
        crew = Crew(chip, block.codes, block.order, block.baseline, memory)

        def work(part: int) -> int:
            own = held if part == 0 else held.copy()
            return int(flawed_segments.run_block(*crew.places[part], first, count, written, own, plus, minus))

        measured = crew.run(work)
    else:
        measured = flawed_loops.probe_block(
            flaws.flaws(chip.spec), memory, flaws.weights(chip.spec, block.codes.amplitude, np.int32),
            flaws.neurons(chip.spec), first, count, written, held,
            _plain(chip, block.codes, block.order, block.baseline, first, count), plus, minus,
        )  # fmt: skip
    carried = None
    if block.baseline is Baseline.HELD:
        carried = known if measured < 0 else HeldBaseline(int(held[0]), int(measured))
    return Costs(plus, minus, block.evaluations(), carried)


def learn(chip: Chip, segment: Segment) -> SegmentResult:
    """The whole loop: probes, updates and writes."""
    state, recipe = segment.state, segment.recipe
    chip.take(state.cells, to_write(state, recipe), state.step)
    total, last, left = 0, None, segment.n_probes
    most = left if fits(chip, recipe.order) else max(1, PLAIN_SAMPLES // recipe.order.batch)
    while left > 0:
        size = min(left, most)
        state, cost, step = _learn(chip, state, recipe, size)
        total, last, left = total + cost, step or last, left - size
    chip.now = max(chip.now, state.step)
    state = replace(state, cells=chip.remembered())
    return SegmentResult(state, total / segment.n_probes, last)


def _learn(chip: Chip, state: TrainState, recipe: Recipe, count: int) -> tuple[TrainState, int, Step | None]:
    """So many probes, and the updates among them, of a chip that holds θ already."""
    cells = chip.cells
    assert cells is not None
    order, spec, size = recipe.order, chip.spec, chip.topology.n_parameters
    first_batch = order.batch_of(state.step)
    usable = state.held is not None and order.batch_of(state.held.step) == first_batch
    value = int(state.held.value) if usable and state.held is not None else 0
    held = np.array([value, first_batch if usable else loops.NO_BATCH], dtype=np.int64)
    moving, memory = packs.moving(spec, state), flaws.memory(cells)
    period = recipe.update_period
    n_updates = (state.step + count) // period - state.step // period
    etas = packs.etas(recipe, state.update, n_updates)
    rule, first = packs.rule(spec, recipe), state.step
    if fits(chip, order):
        crew = Crew(chip, recipe.codes, order, recipe.baseline, memory)
        fresh = not state.window.energy.any()
        alone = period == 1 and recipe.codes.family == "random" and recipe.codes.groups == "all" and fresh

        def work(part: int) -> tuple[int, int, int, int, int]:
            own = held if part == 0 else held.copy()
            powers = moving.powers if part == 0 else moving.powers.copy()
            mine = moving._replace(powers=powers, squares=moving.squares[16 * part : 16 * part + 16])
            result: tuple[int, int, int, int, int] = flawed_segments.run_segment(
                *crew.places[part], rule, mine, first, count, period, cells.written, alone, fresh, own, etas
            )
            return result

        evaluations, total, measured, updates, written = crew.run(work)
    else:
        evaluations, total, measured, updates, written = flawed_loops.learn_segment(
            flaws.flaws(spec), memory, flaws.weights(spec, recipe.codes.amplitude, np.int32), flaws.neurons(spec),
            rule, moving, first, count, period, cells.written, held, etas,
            _plain(chip, recipe.codes, order, recipe.baseline, first, count),
        )  # fmt: skip
    chip.codes = moving.stored[:size]
    chip.cells = flaws.cells(memory, size, int(written))
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
    return state, int(total), last


def _plain(
    chip: Chip, codes: CodeSpec, order: SampleOrder, baseline: Baseline, first: int, count: int
) -> flawed_loops.Plain:
    """What the plain kernels work with."""
    spec, p, (inputs, targets) = chip.spec, chip.topology.n_parameters, chip.memory
    work = packs.work(chip, 1)
    before = max(0, first - 1)
    batch = order.batch_of(first)
    drawn = order.samples(order.batch_of(before), order.batch_of(first + count - 1) - order.batch_of(before) + 1)
    same = drawn[: 1 if order.batch_of(before) == batch else 0]  # then the step before sees the first batch, too
    widest = max(spec.layers)
    return flawed_loops.Plain(
        net=packs.net(spec),
        plan=packs.plan(codes, chip.topology),
        inputs=inputs,
        targets=targets,
        samples=np.concatenate([same, drawn]),
        tau_x=order.tau_x,
        baseline=packs.BASELINES[baseline],
        code=np.zeros(p, dtype=np.int16),
        bits=work.bits,
        moved=np.zeros(packs.padded(p), dtype=np.int32),
        changed=np.zeros(p, dtype=np.int32),
        draws=np.zeros((widest + 7) // 8 * 8, dtype=np.int16),
        spare=np.zeros(128, dtype=np.int16),
        x=np.zeros(widest, dtype=np.int32),
        z=np.zeros(widest, dtype=np.int32),
        going=np.zeros((order.batch, spec.layers[-1]), dtype=np.int32),
        left=np.zeros((1, spec.layers[-1]), dtype=np.int32),
    )
