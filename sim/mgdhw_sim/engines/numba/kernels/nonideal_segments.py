"""Blocks and segments of nonideal chips of small numbers (`nonideal_small_batch.py`, `nonideal_large_batch.py`):
`segments.py` with cells that are written, noise of each step, and outputs that depend on the measurement before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw_sim.engines.numba.kernels.cell_writes import update_and_write, write
from mgdhw_sim.engines.numba.kernels.changed_weights import hear
from mgdhw_sim.engines.numba.kernels.conditions import keep_up, same_era, temperature_of, tick_of
from mgdhw_sim.engines.numba.kernels.nonideal_dual import measure_twice
from mgdhw_sim.engines.numba.kernels.nonideal_dual_noise import begin_chunk, draw_until
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import choose_weights, take_batch
from mgdhw_sim.engines.numba.kernels.nonideal_measurement import (
    measure_both,
    measure_one,
    measure_wide,
    sign_after_write,
)
from mgdhw_sim.engines.numba.kernels.nonideal_scalar_segments import BASELINE, MINUS, PLUS
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import fill_codes
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH
from mgdhw_sim.engines.numba.kernels.segments import FOREVER, FULL, chunk_of, draw, take_in_pending
from mgdhw_sim.engines.numba.kernels.small_batch import take_inputs
from mgdhw_sim.engines.numba.kernels.thread_team import meet, sum_up
from mgdhw_sim.engines.numba.kernels.updates import next_powers, take_in_codes, update, update_pending

WRITTEN = 3
"""Slot of a team's sums, beside those of a probe's parts."""


class Bench(NamedTuple):
    """An imperfect chip at work.

    Args:
        setup: of the network, codes and samples (`segments.Setup`).
        flaws, memory, weights, neurons: as in `nonideal_args.py`.
        until: (1,) the step at which weights or neurons are next to be made anew.
        moved: (P,) room for fine weights with a perturbation.
        pen: work space of writes.
        ahead: what is drawn ahead.
        team: place in it.
        pair: for probes whose two measurements are one part's each.

    Beside it go `rows` and `space`, or `tile`: work space for samples one after the other, or side by side; and `twice`
    where small chips measure twice a probe. What is not needed is None; numba compiles each case by itself, and leaves
    the others out.
    """

    setup: Any
    flaws: Any
    memory: Any
    weights: Any
    neurons: Any
    until: Any
    moved: Any
    pen: Any
    ahead: Any
    team: Any
    pair: Any
    inputs: Any
    """Of all samples, one after the other."""


@njit(**INLINE)
def take(bench, chosen, space, tile):
    """Inputs and targets of a batch to where they are needed: of a tile's samples, those that this part works on."""
    setup = bench.setup
    if tile is not None:
        team = bench.pair.team if bench.pair.works else bench.team
        take_batch(setup.inputs, setup.targets, chosen, tile, team.low, team.high)
    if space is not None:
        take_inputs(setup, chosen, space)


@njit(**JIT)
def copy_theirs(theirs, mine, first, end):
    """Weights first ... end - 1, which the other part has made anew, into this one's own array."""
    for i in range(first, end):
        mine[i] = theirs[i]


@njit(**INLINE)
def keep_all(bench, step):
    """Make weights and neurons what they are at a step.

    Returns:
        Whether they have changed.
    """
    team, flaws, until = bench.team, bench.flaws, bench.until
    if step < until[0]:
        return False  # without a division, and the call, which would copy every field of every tuple
    until[0] = FOREVER
    if flaws.ages:
        until[0] = (tick_of(flaws, step) + 1) * flaws.drift_every
    if flaws.temperature_every > 0:
        until[0] = min(until[0], (temperature_of(flaws, step) + 1) * flaws.temperature_every)
    changed = keep_up(flaws, bench.memory, bench.weights, bench.neurons, team.first, team.end, step)
    meet(team)
    if bench.pair.works:
        bench.pair.ready[0] = -1
        copy_theirs(bench.pair.theirs, bench.weights.fine, 0, team.first)
        copy_theirs(bench.pair.theirs, bench.weights.fine, team.end, flaws.n)
    return changed


@njit(**INLINE)
def put_back(bench, first, end):
    """Where groups take turns, `moved` holds fine weights as they are between probes."""
    for i in range(first, end):
        bench.moved[i] = bench.weights.fine[i]


@njit(**JIT)
def begin(bench, rows, space, tile, first, written):
    """Make the chip what it is at a run's first step, and the outputs what they were just before.

    Returns:
        Whether anything is left of the step before.
    """
    setup, flaws, ahead, team = bench.setup, bench.flaws, bench.ahead, bench.team
    keep_all(bench, first)
    take_turns = setup.plan.groups.shape[0] > 1
    if take_turns:
        put_back(bench, team.first, team.end)
        meet(team)
    before = first - 1
    if flaws.settling == 0 or before < max(0, written) or not same_era(flaws, before, first):
        return False
    # None of these is a constant, of which numba would make another variety of all that follows.
    one, row, follows = np.int64(1), np.int64(0), np.bool_(False)
    draw(setup, before, one, ahead, team)
    chosen = ahead.samples[: setup.order.batch]
    take(bench, chosen, space, tile)
    part = MINUS if setup.baseline == ANTITHETIC else PLUS
    if not setup.ahead:
        fill_codes(setup.plan, before, ahead.bits, ahead.code)
    if tile is not None:
        measure_wide(bench, tile, chosen, before, row, part, follows)
    if space is not None:
        measure_one(bench, rows, space, chosen, before, row, part, follows)
    if take_turns:
        put_back(bench, team.first, team.end)
    meet(team)
    return True


@njit(**INLINE)
def draw_ahead(bench, twice, step, row, size, first_batch):
    """Noise for the next probes, of as many rows as there are, where they measure twice and it is not there yet."""
    if twice is not None and row & (twice.probes - 1) == 0:
        begin_chunk(
            bench.setup, bench.flaws, twice, step, min(twice.probes, size - row), first_batch, bench.ahead.samples
        )


@njit(**INLINE)
def probe(bench, rows, space, tile, twice, chosen, batch, step, row, held, follows):
    """One probe of `imperfect.Bench.probe`. The batch's inputs are in place already.

    Args:
        chosen: (B,) samples.
        row: of this probe's sign bits.
        held: (2,) value and batch of the baseline in force; changed in place.
        follows: whether anything is left of the probe before.

    Returns:
        cost, its reference, whether a baseline was measured; first and size of what was perturbed.
    """
    setup, plan, team = bench.setup, bench.setup.plan, bench.team
    baseline = setup.baseline
    take_turns = plan.groups.shape[0] > 1
    if keep_all(bench, step):
        follows = False
        if take_turns:
            put_back(bench, team.first, team.end)
            meet(team)
    stale = baseline == EVERY or (baseline == HELD and held[1] != batch)
    turn = step % plan.groups.shape[0] if take_turns else 0
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    if not setup.ahead:
        fill_codes(plan, step, bench.ahead.bits, bench.ahead.code)
    plus = minus = np.int64(0)
    both, first_part = stale or baseline == ANTITHETIC, 0
    one = other = np.int64(0)
    if twice is not None and both:
        one, other = measure_twice(
            setup, bench.flaws, bench.neurons, bench.weights, bench.ahead.words[row], chosen, row & (twice.probes - 1),
            baseline == ANTITHETIC, follows, rows, twice, space,
        )  # fmt: skip
        draw_until(setup, bench.flaws, twice, (row & (twice.probes - 1)) + 1)  # while the processor waits for the costs
        first_part = 3
    if tile is not None:
        part, next_part = (BASELINE, PLUS) if stale else (PLUS, MINUS)
        if bench.pair.works and both:
            one, other = measure_both(bench, tile, chosen, step, row, part, next_part, follows)
            first_part = 3
    if first_part == 3 and stale:
        held[0], held[1], plus = one, batch, other
    elif first_part == 3:
        plus, minus = one, other
    for part in range(first_part, 3):
        if (part == BASELINE and not stale) or (part == MINUS and baseline != ANTITHETIC):
            continue
        value = np.int64(0)
        if tile is not None:
            value = measure_wide(bench, tile, chosen, step, row, part, follows)
        if space is not None:
            value = measure_one(bench, rows, space, chosen, step, row, part, follows)
        follows = True
        if part == BASELINE:
            held[0], held[1] = value, batch
        elif part == PLUS:
            plus = value
        else:
            minus = value
    if take_turns:
        put_back(bench, max(team.first, start), min(team.end, start + size))
    if baseline in (HELD, EVERY):
        minus = held[0]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def run_block(bench, rows, space, tile, twice, first, count, written, held, plus, minus):
    """`imperfect.Bench.probe`: costs into plus and minus (references).

    Args:
        written: step of the last write.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    setup, ahead, team = bench.setup, bench.ahead, bench.team
    measured, seen = np.int64(-1), np.int64(-1)
    order, chunk = setup.order, ahead.rows.size
    follows = begin(bench, rows, space, tile, first, written)
    for done in range(0, count, chunk):
        size = min(chunk, count - done)
        draw(setup, first + done, size, ahead, team)
        first_batch = (first + done) // order.tau_x
        for row in range(size):
            step = first + done + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            draw_ahead(bench, twice, step, row, size, first_batch)
            chosen = ahead.samples[at : at + order.batch]
            if batch != seen:
                take(bench, chosen, space, tile)
                seen = batch
            one, other, stale, _, _ = probe(bench, rows, space, tile, twice, chosen, batch, step, row, held, follows)
            plus[done + row], minus[done + row] = one, other
            follows = True
            if stale:
                measured = step
        meet(team)
    return measured


@njit(**ENTRY)
def run_segment(bench, rows, space, tile, twice, rule, moving, first, count, period, written, alone, fresh, held, etas):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows, updates and writes.

    Args:
        written: step of the last write.
        alone: every probe is followed by an update, its codes are signs of all parameters, the window is empty, and the
            cells have taken note of `moving.stored`.
        fresh: the window is empty.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done, step of
        the last write.
    """
    setup, ahead, team, flaws = bench.setup, bench.ahead, bench.team, bench.flaws
    evaluations, total = np.int64(0), np.int64(0)
    measured, seen = np.int64(-1), np.int64(-1)
    updates, pending, weight, done = 0, 0, np.int64(0), 0
    order, plan = setup.order, setup.plan
    n_groups, n_updates = plan.groups.shape[0], (first + count) // period - first // period
    follows = begin(bench, rows, space, tile, first, written)
    while done < count:
        size = chunk_of(first + done, min(ahead.rows.size, count - done), period)
        draw(setup, first + done, size, ahead, team)
        first_batch = (first + done) // order.tau_x
        for row in range(size):
            step = first + done + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            draw_ahead(bench, twice, step, row, size, first_batch)
            chosen = ahead.samples[at : at + order.batch]
            if batch != seen:
                take(bench, chosen, space, tile)
                seen = batch
            plus, minus, stale, start, n = probe(
                bench, rows, space, tile, twice, chosen, batch, step, row, held, follows
            )
            follows = True
            evaluations += 2 if stale or setup.baseline == ANTITHETIC else 1
            if stale:
                measured = step
            total += plus
            change = plus - minus
            last = updates == n_updates - 1
            if alone:
                next_powers(rule, moving)
            elif not setup.ahead:
                take_in_codes(moving, start, n, ahead.code, change)
            else:
                if weight + abs(change) >= FULL:
                    take_in_pending(setup, moving, ahead, pending, team)
                    pending, weight, fresh = 0, np.int64(0), False
                ahead.rows[pending] = row * n_groups + step % n_groups
                ahead.changes[pending] = change
                pending += 1
                weight += abs(change)
            if (step + 1) % period == 0:
                if not alone:
                    next_powers(rule, moving)
                    if setup.ahead and n_groups == 1 and fresh:
                        update_pending(
                            rule, moving, team.first, team.end, etas[updates], ahead.words, ahead.rows, ahead.changes,
                            pending, plan.amplitude, last,
                        )  # fmt: skip
                    else:
                        take_in_pending(setup, moving, ahead, pending, team)
                        update(rule, moving, team.first, team.end, etas[updates], last)
                    pending, weight, fresh = 0, np.int64(0), True
                updates += 1
                held[1] = NO_BATCH
                if alone:
                    asked = update_and_write(
                        flaws, bench.memory, bench.weights, rule, moving, team.first, team.end, etas[updates - 1],
                        ahead.words[row], change, plan.amplitude, last, step + 1, bench.pen,
                    )  # fmt: skip
                else:
                    asked = write(
                        flaws, bench.memory, bench.weights, moving.stored, team.first, team.end, step + 1, bench.pen
                    )
                if n_groups > 1:
                    put_back(bench, team.first, team.end)
                sign = sign_after_write(bench) if bench.pair.works and row + 1 < size else 0
                if sign != 0:  # of its own cells, which the next probe's measurement finds perturbed already
                    choose_weights(
                        bench.weights, flaws.weight_top, ahead.words[row + 1], team.first, team.end, sign,
                        bench.pair.moved,
                    )  # fmt: skip
                    bench.pair.ready[0] = step + 1
                if sum_up(team, 4 * (step & 1) + WRITTEN, np.int64(asked)) > 0:
                    written = step + 1
                if bench.pair.works:
                    hear(bench.pair.news, bench.weights.fine)
                follows = step >= written
        if pending > 0:
            take_in_pending(setup, moving, ahead, pending, team)
            pending, weight, fresh = 0, np.int64(0), False
        done += size
        meet(team)
    if alone:
        for i in range(team.first, team.end):
            bench.memory.requested[i] = moving.stored[i]
    return evaluations, total, measured, updates, written
