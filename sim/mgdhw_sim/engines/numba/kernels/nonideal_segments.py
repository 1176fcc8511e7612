"""Blocks and segments of nonideal chips of small numbers (`nonideal_small_batch.py`, `nonideal_large_batch.py`):
`segments.py` with cells that are written, noise of each step, and outputs that depend on the measurement before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw_sim.engines.numba.kernels.cell_writes import update_and_write, write
from mgdhw_sim.engines.numba.kernels.changed_weights import apply_changed_weights
from mgdhw_sim.engines.numba.kernels.conditions import same_conditions, temperature_of, tick_of, update_conditions
from mgdhw_sim.engines.numba.kernels.nonideal_dual import measure_dual
from mgdhw_sim.engines.numba.kernels.nonideal_dual_noise import begin_chunk, draw_until
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import choose_weights, load_batch
from mgdhw_sim.engines.numba.kernels.nonideal_measurement import (
    measure_one,
    measure_split,
    measure_wide,
    sign_after_write,
)
from mgdhw_sim.engines.numba.kernels.nonideal_scalar_segments import BASELINE, MINUS, PLUS
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import fill_codes
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH
from mgdhw_sim.engines.numba.kernels.segments import FOREVER, FULL, accumulate_pending, chunk_of, draw
from mgdhw_sim.engines.numba.kernels.small_batch import load_inputs
from mgdhw_sim.engines.numba.kernels.thread_team import barrier, sum_up
from mgdhw_sim.engines.numba.kernels.updates import accumulate_codes, next_powers, update, update_pending

WRITTEN = 3
"""Slot of a team's sums, beside those of a probe's measurements."""


class NonidealRun(NamedTuple):
    """Arguments of a run on a nonideal chip, for one thread.

    Args:
        setup: of the network, codes and samples (`segments.Setup`).
        nonideal, cell_arrays, weights, neurons: as in `nonideal_args.py`.
        until: (1,) the step at which weights or neurons change next.
        perturbed: (P,) room for fine weights with a perturbation.
        buffers: work space of writes.
        predrawn: random words drawn in advance.
        team: place in it.
        split: for probes whose two measurements are one thread's each.

    Beside it go `rows` and `space`, or `tile`: work space for samples one after the other, or side by side; and `dual`
    where small chips measure twice a probe. What is not needed is None; numba compiles each case by itself, and leaves
    the others out.
    """

    setup: Any
    nonideal: Any
    cell_arrays: Any
    weights: Any
    neurons: Any
    until: Any
    perturbed: Any
    buffers: Any
    predrawn: Any
    team: Any
    split: Any
    inputs: Any
    """Of all samples, one after the other."""


@njit(**INLINE)
def load_samples(run, chosen, space, tile):
    """Inputs and targets of a batch to where they are needed: of a tile's samples, those that this thread works on."""
    setup = run.setup
    if tile is not None:
        team = run.split.team if run.split.works else run.team
        load_batch(setup.inputs, setup.targets, chosen, tile, team.low, team.high)
    if space is not None:
        load_inputs(setup, chosen, space)


@njit(**JIT)
def copy_theirs(theirs, mine, first, end):
    """Weights first ... end - 1, which the other thread has recomputed, into this one's own array."""
    for i in range(first, end):
        mine[i] = theirs[i]


@njit(**INLINE)
def update_all_conditions(run, step):
    """Bring weights and neurons to what they are at a step.

    Returns:
        Whether they have changed.
    """
    team, nonideal, until = run.team, run.nonideal, run.until
    if step < until[0]:
        return False  # without a division, and the call, which would copy every field of every tuple
    until[0] = FOREVER
    if nonideal.ages:
        until[0] = (tick_of(nonideal, step) + 1) * nonideal.drift_every
    if nonideal.temperature_every > 0:
        until[0] = min(until[0], (temperature_of(nonideal, step) + 1) * nonideal.temperature_every)
    changed = update_conditions(nonideal, run.cell_arrays, run.weights, run.neurons, team.first, team.end, step)
    barrier(team)
    if run.split.works:
        run.split.ready[0] = -1
        copy_theirs(run.split.theirs, run.weights.fine, 0, team.first)
        copy_theirs(run.split.theirs, run.weights.fine, team.end, nonideal.n)
    return changed


@njit(**INLINE)
def put_back(run, first, end):
    """Where groups take turns, `perturbed` holds fine weights as they are between probes."""
    for i in range(first, end):
        run.perturbed[i] = run.weights.fine[i]


@njit(**JIT)
def begin(run, rows, space, tile, first, written):
    """Bring the chip to a run's first step, and the outputs to what they were just before.

    Returns:
        Whether anything is left of the step before.
    """
    setup, nonideal, predrawn, team = run.setup, run.nonideal, run.predrawn, run.team
    update_all_conditions(run, first)
    take_turns = setup.plan.groups.shape[0] > 1
    if take_turns:
        put_back(run, team.first, team.end)
        barrier(team)
    before = first - 1
    if nonideal.settling == 0 or before < max(0, written) or not same_conditions(nonideal, before, first):
        return False
    # None of these is a constant, of which numba would make another variety of all that follows.
    one, row, follows = np.int64(1), np.int64(0), np.bool_(False)
    draw(setup, before, one, predrawn, team)
    chosen = predrawn.samples[: setup.order.batch]
    load_samples(run, chosen, space, tile)
    measurement = MINUS if setup.baseline == ANTITHETIC else PLUS
    if not setup.predrawn:
        fill_codes(setup.plan, before, predrawn.bits, predrawn.code)
    if tile is not None:
        measure_wide(run, tile, chosen, before, row, measurement, follows)
    if space is not None:
        measure_one(run, rows, space, chosen, before, row, measurement, follows)
    if take_turns:
        put_back(run, team.first, team.end)
    barrier(team)
    return True


@njit(**INLINE)
def draw_dual_noise(run, dual, step, row, size, first_batch):
    """Noise for the next probes, of as many rows as there are, where they measure twice and it is not there yet."""
    if dual is not None and row & (dual.probes - 1) == 0:
        begin_chunk(
            run.setup, run.nonideal, dual, step, min(dual.probes, size - row), first_batch, run.predrawn.samples
        )


@njit(**INLINE)
def probe(run, rows, space, tile, dual, chosen, batch, step, row, held_baseline, follows):
    """One probe of `nonideal.NonidealChip.probe`. The batch's inputs are in place already.

    Args:
        chosen: (B,) samples.
        row: of this probe's sign bits.
        held_baseline: (2,) value and batch of the baseline in force; changed in place.
        follows: whether anything is left of the probe before.

    Returns:
        cost, its reference, whether a baseline was measured; first and size of what was perturbed.
    """
    setup, plan, team = run.setup, run.setup.plan, run.team
    baseline = setup.baseline
    take_turns = plan.groups.shape[0] > 1
    if update_all_conditions(run, step):
        follows = False
        if take_turns:
            put_back(run, team.first, team.end)
            barrier(team)
    stale = baseline == EVERY or (baseline == HELD and held_baseline[1] != batch)
    turn = step % plan.groups.shape[0] if take_turns else 0
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    if not setup.predrawn:
        fill_codes(plan, step, run.predrawn.bits, run.predrawn.code)
    plus = minus = np.int64(0)
    both, first_measurement = stale or baseline == ANTITHETIC, 0
    one = other = np.int64(0)
    if dual is not None and both:
        one, other = measure_dual(
            setup, run.nonideal, run.neurons, run.weights, run.predrawn.words[row], chosen, row & (dual.probes - 1),
            baseline == ANTITHETIC, follows, rows, dual, space,
        )  # fmt: skip
        draw_until(setup, run.nonideal, dual, (row & (dual.probes - 1)) + 1)  # while the processor waits for the costs
        first_measurement = 3
    if tile is not None:
        measurement, next_measurement = (BASELINE, PLUS) if stale else (PLUS, MINUS)
        if run.split.works and both:
            one, other = measure_split(run, tile, chosen, step, row, measurement, next_measurement, follows)
            first_measurement = 3
    if first_measurement == 3 and stale:
        held_baseline[0], held_baseline[1], plus = one, batch, other
    elif first_measurement == 3:
        plus, minus = one, other
    for measurement in range(first_measurement, 3):
        if (measurement == BASELINE and not stale) or (measurement == MINUS and baseline != ANTITHETIC):
            continue
        value = np.int64(0)
        if tile is not None:
            value = measure_wide(run, tile, chosen, step, row, measurement, follows)
        if space is not None:
            value = measure_one(run, rows, space, chosen, step, row, measurement, follows)
        follows = True
        if measurement == BASELINE:
            held_baseline[0], held_baseline[1] = value, batch
        elif measurement == PLUS:
            plus = value
        else:
            minus = value
    if take_turns:
        put_back(run, max(team.first, start), min(team.end, start + size))
    if baseline in (HELD, EVERY):
        minus = held_baseline[0]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def run_block(run, rows, space, tile, dual, first, count, written, held_baseline, plus, minus):
    """`nonideal.NonidealChip.probe`: costs into plus and minus (references).

    Args:
        written: step of the last write.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    setup, predrawn, team = run.setup, run.predrawn, run.team
    measured, seen = np.int64(-1), np.int64(-1)
    order, chunk = setup.order, predrawn.rows.size
    follows = begin(run, rows, space, tile, first, written)
    for done in range(0, count, chunk):
        size = min(chunk, count - done)
        draw(setup, first + done, size, predrawn, team)
        first_batch = (first + done) // order.tau_x
        for row in range(size):
            step = first + done + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            draw_dual_noise(run, dual, step, row, size, first_batch)
            chosen = predrawn.samples[at : at + order.batch]
            if batch != seen:
                load_samples(run, chosen, space, tile)
                seen = batch
            one, other, stale, _, _ = probe(
                run, rows, space, tile, dual, chosen, batch, step, row, held_baseline, follows
            )
            plus[done + row], minus[done + row] = one, other
            follows = True
            if stale:
                measured = step
        barrier(team)
    return measured


@njit(**ENTRY)
def run_segment(
    run, rows, space, tile, dual, rule, update_state, first, count, period, written, alone, fresh, held_baseline, etas
):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows, updates and writes.

    Args:
        written: step of the last write.
        alone: every probe is followed by an update, its codes are signs of all parameters, the window is empty, and the
            cells have taken note of `update_state.requested`.
        fresh: the window is empty.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done, step of
        the last write.
    """
    setup, predrawn, team, nonideal = run.setup, run.predrawn, run.team, run.nonideal
    evaluations, total = np.int64(0), np.int64(0)
    measured, seen = np.int64(-1), np.int64(-1)
    updates, pending, weight, done = 0, 0, np.int64(0), 0
    order, plan = setup.order, setup.plan
    n_groups, n_updates = plan.groups.shape[0], (first + count) // period - first // period
    follows = begin(run, rows, space, tile, first, written)
    while done < count:
        size = chunk_of(first + done, min(predrawn.rows.size, count - done), period)
        draw(setup, first + done, size, predrawn, team)
        first_batch = (first + done) // order.tau_x
        for row in range(size):
            step = first + done + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            draw_dual_noise(run, dual, step, row, size, first_batch)
            chosen = predrawn.samples[at : at + order.batch]
            if batch != seen:
                load_samples(run, chosen, space, tile)
                seen = batch
            plus, minus, stale, start, n = probe(
                run, rows, space, tile, dual, chosen, batch, step, row, held_baseline, follows
            )
            follows = True
            evaluations += 2 if stale or setup.baseline == ANTITHETIC else 1
            if stale:
                measured = step
            total += plus
            change = plus - minus
            last = updates == n_updates - 1
            if alone:
                next_powers(rule, update_state)
            elif not setup.predrawn:
                accumulate_codes(update_state, start, n, predrawn.code, change)
            else:
                if weight + abs(change) >= FULL:
                    accumulate_pending(setup, update_state, predrawn, pending, team)
                    pending, weight, fresh = 0, np.int64(0), False
                predrawn.rows[pending] = row * n_groups + step % n_groups
                predrawn.changes[pending] = change
                pending += 1
                weight += abs(change)
            if (step + 1) % period == 0:
                if not alone:
                    next_powers(rule, update_state)
                    if setup.predrawn and n_groups == 1 and fresh:
                        update_pending(
                            rule, update_state, team.first, team.end, etas[updates], predrawn.words, predrawn.rows,
                            predrawn.changes, pending, plan.amplitude, last,
                        )  # fmt: skip
                    else:
                        accumulate_pending(setup, update_state, predrawn, pending, team)
                        update(rule, update_state, team.first, team.end, etas[updates], last)
                    pending, weight, fresh = 0, np.int64(0), True
                updates += 1
                held_baseline[1] = NO_BATCH
                if alone:
                    asked = update_and_write(
                        nonideal, run.cell_arrays, run.weights, rule, update_state, team.first, team.end,
                        etas[updates - 1], predrawn.words[row], change, plan.amplitude, last, step + 1, run.buffers,
                    )  # fmt: skip
                else:
                    asked = write(
                        nonideal,
                        run.cell_arrays,
                        run.weights,
                        update_state.requested,
                        team.first,
                        team.end,
                        step + 1,
                        run.buffers,
                    )
                if n_groups > 1:
                    put_back(run, team.first, team.end)
                sign = sign_after_write(run) if run.split.works and row + 1 < size else 0
                if sign != 0:  # its own cells are perturbed already for the next probe's measurement
                    choose_weights(
                        run.weights, nonideal.weight_top, predrawn.words[row + 1], team.first, team.end, sign,
                        run.split.perturbed,
                    )  # fmt: skip
                    run.split.ready[0] = step + 1
                if sum_up(team, 4 * (step & 1) + WRITTEN, np.int64(asked)) > 0:
                    written = step + 1
                if run.split.works:
                    apply_changed_weights(run.split.changed_weights, run.weights.fine)
                follows = step >= written
        if pending > 0:
            accumulate_pending(setup, update_state, predrawn, pending, team)
            pending, weight, fresh = 0, np.int64(0), False
        done += size
        barrier(team)
    if alone:
        for i in range(team.first, team.end):
            run.cell_arrays.requested[i] = update_state.requested[i]
    return evaluations, total, measured, updates, written
