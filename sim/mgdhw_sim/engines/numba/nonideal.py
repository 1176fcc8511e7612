"""Blocks and segments of nonideal chips, by compiled kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import requested_theta
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines.numba import kernel_args, marshalling, nonideal_args
from mgdhw_sim.engines.numba.kernels import cell_writes, nonideal_scalar_segments, nonideal_segments
from mgdhw_sim.engines.numba.nonideal_team import NonidealTeam, fits
from mgdhw_sim.reference.chip import Chip


def probe(chip: Chip, block: Block) -> Costs:
    """`Chip.probe`."""
    assert chip.cells is not None
    chip.current_step = max(chip.current_step, block.first_step + block.n_probes)
    held_baseline, first, count = marshalling.baseline_of_block(block), block.first_step, block.n_probes
    plus, minus = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    cell_arrays, written = nonideal_args.cell_arrays(chip.spec, chip.cells), chip.cells.written
    if fits(chip, block.order):
        team = NonidealTeam(chip, block.codes, block.order, block.baseline, cell_arrays)

        def work(thread: int) -> int:
            own = held_baseline if thread == 0 else held_baseline.copy()
            return int(nonideal_segments.run_block(*team.places[thread], first, count, written, own, plus, minus))

        measured = team.run(work, count)
    else:
        measured = nonideal_scalar_segments.probe_block(
            nonideal_args.constants_of(chip.spec), cell_arrays,
            nonideal_args.weights(chip.spec, np.int32, block.codes.amplitude), nonideal_args.neurons(chip.spec), first,
            count, written, held_baseline, _plain(chip, block.codes, block.order, block.baseline, first, count), plus,
            minus,
        )  # fmt: skip
    return marshalling.costs(block, plus, minus, held_baseline, measured)


def learn(chip: Chip, segment: Segment) -> SegmentResult:
    """The whole loop: probes, updates and writes."""
    state, learning_rule = segment.state, segment.rule
    chip.begin_segment(state.cells, requested_theta(state, learning_rule), state.step)
    count = segment.n_probes
    most = nonideal_args.MOST_LEFT // nonideal_args.MOST_PULSES
    result = marshalling.in_pieces(
        chip, state, learning_rule, count, most, lambda state, size: _learn(chip, state, learning_rule, size)
    )
    chip.current_step = max(chip.current_step, result.state.step)
    return replace(result, state=replace(result.state, cells=chip.cell_state()))


def _learn(
    chip: Chip, state: TrainState, learning_rule: LearningRule, count: int
) -> tuple[TrainState, float, UpdateInfo | None]:
    """So many probes, and the updates among them, of a chip that holds θ already."""
    cells = chip.cells
    assert cells is not None
    order, spec = learning_rule.order, chip.spec
    held_baseline, rates = (
        marshalling.baseline_of_state(state, learning_rule),
        marshalling.etas(state, learning_rule, count),
    )
    update_state, cell_arrays = kernel_args.update_state(spec, state), nonideal_args.cell_arrays(spec, cells)
    rule, first, period = kernel_args.rule(spec, learning_rule), state.step, learning_rule.update_period
    if fits(chip, order):
        team = NonidealTeam(chip, learning_rule.codes, order, learning_rule.baseline, cell_arrays, period)
        fresh = not state.window.energy.any()
        alone = period == 1 and learning_rule.codes.family == "random" and learning_rule.codes.groups == "all" and fresh
        alone = alone and np.array_equal(cell_arrays.requested, update_state.requested)

        def work(thread: int) -> tuple[int, int, int, int, int]:
            own = held_baseline if thread == 0 else held_baseline.copy()
            powers = update_state.powers if thread == 0 else update_state.powers.copy()
            mine = update_state._replace(powers=powers, squares=update_state.squares[16 * thread : 16 * thread + 16])
            result: tuple[int, int, int, int, int] = nonideal_segments.run_segment(
                *team.places[thread], rule, mine, first, count, period, cells.written, alone, fresh, own, rates
            )
            return result

        evaluations, total, measured, updates, written = team.run(work, count)
    else:
        evaluations, total, measured, updates, written = nonideal_scalar_segments.learn_segment(
            nonideal_args.constants_of(spec), cell_arrays,
            nonideal_args.weights(spec, np.int32, learning_rule.codes.amplitude), nonideal_args.neurons(spec), rule,
            update_state, first, count, period, cells.written, held_baseline, rates,
            _plain(chip, learning_rule.codes, order, learning_rule.baseline, first, count),
        )  # fmt: skip
    chip.codes = update_state.requested[: chip.topology.n_parameters]
    chip.cells = nonideal_args.cells_after(spec, cells, cell_arrays, int(written))
    state, last = marshalling.advanced(
        state,
        learning_rule,
        count,
        update_state,
        held_baseline,
        rates,
        evaluations=evaluations,
        measured=measured,
        updates=updates,
    )
    return state, float(total), last


def _plain(
    chip: Chip, codes: CodeSpec, order: SampleOrder, baseline: Baseline, first: int, count: int
) -> nonideal_scalar_segments.ScalarRun:
    """What the plain kernels work with."""
    spec, p, (inputs, targets) = chip.spec, chip.topology.n_parameters, chip.memory
    work = kernel_args.work(chip, 1)
    before = max(0, first - 1)
    batch = order.batch_of(first)
    drawn = order.samples(order.batch_of(before), order.batch_of(first + count - 1) - order.batch_of(before) + 1)
    same = drawn[: 1 if order.batch_of(before) == batch else 0]  # then the step before sees the first batch, too
    widest = max(spec.layers)
    return nonideal_scalar_segments.ScalarRun(
        net=kernel_args.net(spec),
        plan=kernel_args.plan(codes, chip.topology),
        inputs=inputs,
        targets=targets,
        samples=np.concatenate([same, drawn]),
        tau_x=order.tau_x,
        baseline=kernel_args.BASELINES[baseline],
        code=np.zeros(p, dtype=np.int16),
        bits=work.bits,
        perturbed=np.zeros(kernel_args.padded(p), dtype=np.int32),
        buffers=cell_writes.write_buffers(),
        draws=np.zeros((widest + 7) // 8 * 8, dtype=np.int16),
        spare=np.zeros(128, dtype=np.int16),
        x=np.zeros(widest, dtype=np.int32),
        z=np.zeros(widest, dtype=np.int32),
        settled=np.zeros((order.batch, spec.layers[-1]), dtype=np.int32),
        observed=np.zeros((1, spec.layers[-1]), dtype=np.int32),
    )
