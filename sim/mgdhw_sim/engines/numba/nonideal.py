"""Blocks and segments of imperfect chips, by compiled kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.learning.loop import Recipe, Step, requested_theta
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines.numba import kernel_args, marshalling, nonideal_args
from mgdhw_sim.engines.numba.kernels import cell_writes, nonideal_scalar_segments, nonideal_segments
from mgdhw_sim.engines.numba.nonideal_team import Crew, fits
from mgdhw_sim.reference.chip import Chip


def probe(chip: Chip, block: Block) -> Costs:
    """`Chip.probe`."""
    assert chip.cells is not None
    chip.current_step = max(chip.current_step, block.first_step + block.n_probes)
    held, first, count = marshalling.held_of_block(block), block.first_step, block.n_probes
    plus, minus = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    memory, written = nonideal_args.memory(chip.spec, chip.cells), chip.cells.written
    if fits(chip, block.order):
        crew = Crew(chip, block.codes, block.order, block.baseline, memory)

        def work(part: int) -> int:
            own = held if part == 0 else held.copy()
            return int(nonideal_segments.run_block(*crew.places[part], first, count, written, own, plus, minus))

        measured = crew.run(work, count)
    else:
        measured = nonideal_scalar_segments.probe_block(
            nonideal_args.flaws(chip.spec), memory, nonideal_args.weights(chip.spec, np.int32, block.codes.amplitude),
            nonideal_args.neurons(chip.spec), first, count, written, held,
            _plain(chip, block.codes, block.order, block.baseline, first, count), plus, minus,
        )  # fmt: skip
    return marshalling.costs(block, plus, minus, held, measured)


def learn(chip: Chip, segment: Segment) -> SegmentResult:
    """The whole loop: probes, updates and writes."""
    state, recipe = segment.state, segment.recipe
    chip.begin_segment(state.cells, requested_theta(state, recipe), state.step)
    count = segment.n_probes
    most = nonideal_args.MOST_LEFT // nonideal_args.MOST_PULSES
    result = marshalling.in_pieces(
        chip, state, recipe, count, most, lambda state, size: _learn(chip, state, recipe, size)
    )
    chip.current_step = max(chip.current_step, result.state.step)
    return replace(result, state=replace(result.state, cells=chip.cell_state()))


def _learn(chip: Chip, state: TrainState, recipe: Recipe, count: int) -> tuple[TrainState, float, Step | None]:
    """So many probes, and the updates among them, of a chip that holds θ already."""
    cells = chip.cells
    assert cells is not None
    order, spec = recipe.order, chip.spec
    held, rates = marshalling.held_of_state(state, recipe), marshalling.etas(state, recipe, count)
    moving, memory = kernel_args.moving(spec, state), nonideal_args.memory(spec, cells)
    rule, first, period = kernel_args.rule(spec, recipe), state.step, recipe.update_period
    if fits(chip, order):
        crew = Crew(chip, recipe.codes, order, recipe.baseline, memory, period)
        fresh = not state.window.energy.any()
        alone = period == 1 and recipe.codes.family == "random" and recipe.codes.groups == "all" and fresh
        alone = alone and np.array_equal(memory.requested, moving.stored)

        def work(part: int) -> tuple[int, int, int, int, int]:
            own = held if part == 0 else held.copy()
            powers = moving.powers if part == 0 else moving.powers.copy()
            mine = moving._replace(powers=powers, squares=moving.squares[16 * part : 16 * part + 16])
            result: tuple[int, int, int, int, int] = nonideal_segments.run_segment(
                *crew.places[part], rule, mine, first, count, period, cells.written, alone, fresh, own, rates
            )
            return result

        evaluations, total, measured, updates, written = crew.run(work, count)
    else:
        evaluations, total, measured, updates, written = nonideal_scalar_segments.learn_segment(
            nonideal_args.flaws(spec), memory, nonideal_args.weights(spec, np.int32, recipe.codes.amplitude),
            nonideal_args.neurons(spec),
            rule, moving, first, count, period, cells.written, held, rates,
            _plain(chip, recipe.codes, order, recipe.baseline, first, count),
        )  # fmt: skip
    chip.codes = moving.stored[: chip.topology.n_parameters]
    chip.cells = nonideal_args.cells(spec, cells, memory, int(written))
    state, last = marshalling.advanced(
        state, recipe, count, moving, held, rates, evaluations=evaluations, measured=measured, updates=updates
    )
    return state, float(total), last


def _plain(
    chip: Chip, codes: CodeSpec, order: SampleOrder, baseline: Baseline, first: int, count: int
) -> nonideal_scalar_segments.Plain:
    """What the plain kernels work with."""
    spec, p, (inputs, targets) = chip.spec, chip.topology.n_parameters, chip.memory
    work = kernel_args.work(chip, 1)
    before = max(0, first - 1)
    batch = order.batch_of(first)
    drawn = order.samples(order.batch_of(before), order.batch_of(first + count - 1) - order.batch_of(before) + 1)
    same = drawn[: 1 if order.batch_of(before) == batch else 0]  # then the step before sees the first batch, too
    widest = max(spec.layers)
    return nonideal_scalar_segments.Plain(
        net=kernel_args.net(spec),
        plan=kernel_args.plan(codes, chip.topology),
        inputs=inputs,
        targets=targets,
        samples=np.concatenate([same, drawn]),
        tau_x=order.tau_x,
        baseline=kernel_args.BASELINES[baseline],
        code=np.zeros(p, dtype=np.int16),
        bits=work.bits,
        moved=np.zeros(kernel_args.padded(p), dtype=np.int32),
        pen=cell_writes.pen(),
        draws=np.zeros((widest + 7) // 8 * 8, dtype=np.int16),
        spare=np.zeros(128, dtype=np.int16),
        x=np.zeros(widest, dtype=np.int32),
        z=np.zeros(widest, dtype=np.int32),
        going=np.zeros((order.batch, spec.layers[-1]), dtype=np.int32),
        left=np.zeros((1, spec.layers[-1]), dtype=np.int32),
    )
