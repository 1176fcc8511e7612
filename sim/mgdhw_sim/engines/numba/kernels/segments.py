"""Blocks and segments of probes (`small_batch.py`, `large_batch.py`) without leaving compiled code.

Random words are drawn in advance, for up to a chunk of probes together. Probes whose codes are signs are added to the
window many at a time, when it is needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.block import Part
from mgdhw.compiled.kernels.codes_and_samples import fill_samples, sign_words
from mgdhw.compiled.options import ENTRY, INLINE, JIT
from mgdhw_sim.engines.numba.kernels.large_batch import (
    Rank1Lines,
    load_batch,
    load_weights,
    perturb_by_signs,
    perturb_weights,
    tile_cost,
)
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import RANDOM, RANK1, fill_codes, restore, sample_cost
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD, NO_BATCH
from mgdhw_sim.engines.numba.kernels.small_batch import Signs, cost_of, load_inputs, perturb_by_codes, signals_of_four
from mgdhw_sim.engines.numba.kernels.thread_team import barrier, rows_of, sum_up
from mgdhw_sim.engines.numba.kernels.updates import (
    accumulate_codes,
    accumulate_rank1,
    accumulate_signs,
    next_powers,
    update,
    update_pending,
    update_signs,
)

BASELINE, PLUS, MINUS = (int(measurement) for measurement in (Part.BASELINE, Part.PLUS, Part.MINUS))

FOREVER = 1 << 62
"""Probes between updates of a block."""
FULL = 1 << 30
"""Sum of |C̃| at which pending probes are accumulated: 32 bits hold twice that."""


class Setup(NamedTuple):
    """What stays the same throughout a block or a segment.

    Args:
        net, costs: the chip's numbers, as `small_batch.Int16Network` and `scalar_arithmetic.Net`.
        plan, order: codes, and the order of samples.
        inputs, targets: the chip's sample memory.
        samples: its inputs in 16 bits and padded, as `small_batch.py` takes them, where there are few; else empty.
        baseline: how C₀ is had.
        predrawn: sign words are drawn in advance: for each parameter, or for each line of a rank-1 code.
    """

    net: Any
    costs: Any
    plan: Any
    order: Any
    inputs: Any
    samples: Any
    targets: Any
    baseline: int
    predrawn: bool


class Predrawn(NamedTuple):
    """What is drawn for a chunk of probes, and the probes whose place in the window is pending."""

    words: Any
    """(C, words) sign bits of each probe."""
    spare: Any
    keys: Any
    samples: Any
    """Samples of all batches of a chunk."""
    code: Any
    """(P,) θ̃ of a probe whose codes are no signs."""
    bits: Any
    rows: Any
    changes: Any
    chosen_rows: Any
    chosen_changes: Any
    signed: Any
    """(C,) pending probes: row of words and C̃; those of one group; and their C̃ times a row's sign."""


@njit(**JIT)
def draw(setup, first, count, predrawn, team):
    """Sign bits of probes first ... first + count - 1, and the samples of their batches; shared by the team."""
    plan, n_groups = setup.plan, setup.plan.groups.shape[0]
    if team.thread == 0:
        first_batch = first // setup.order.tau_x
        batches = (first + count - 1) // setup.order.tau_x - first_batch + 1
        fill_samples(setup.order, first_batch, batches, predrawn.spare, predrawn.keys, predrawn.samples)
    if setup.predrawn:
        for turn in range(n_groups):
            start, size = plan.groups[turn, 0], plan.groups[turn, 1]
            if plan.family == RANK1:
                matrix = plan.first_matrix[turn + 1] - 1
                start = plan.matrices[plan.first_matrix[turn], 3]
                size = plan.matrices[matrix, 3] + plan.matrices[matrix, 1] + plan.matrices[matrix, 2] + 1 - start
            skip = (turn - first) % n_groups
            of_turn = max(0, count - skip + n_groups - 1) // n_groups
            low, high = of_turn * team.thread // team.n_threads, of_turn * (team.thread + 1) // team.n_threads
            row = skip + low * n_groups
            if high > low:
                sign_words(
                    plan.key0, plan.key1, (first + row) // n_groups, high - low, n_groups, start, size, predrawn.spare,
                    predrawn.words[row:],
                )  # fmt: skip
    barrier(team)


@njit(**JIT)
def costs_of_four(setup, requested, chosen, row, predrawn, space):
    """Perturbed costs of four probes, from this row on, into the space."""
    words, plan = predrawn.words, setup.plan
    for k in range(4):
        space.four[k] = 0
    for place in range(chosen.size):
        x, at = space.x, place * setup.net.strides[0]
        if setup.samples.size > 0:
            x, at = setup.samples, chosen[place] * setup.net.strides[0]
        signals_of_four(
            setup.net,
            requested,
            words[row],
            words[row + 1],
            words[row + 2],
            words[row + 3],
            plan.amplitude,
            x,
            at,
            space,
        )
        for k in range(4):
            space.four[k] += sample_cost(setup.costs, space.outputs, k, setup.targets, chosen[place])


@njit(**INLINE)
def look_ahead(setup, requested, chosen, row, step, left, period, ready, predrawn, space):
    """Measure four perturbed costs at once where that can be done.

    Args:
        left: rows from this one on.
        ready: row up to which costs are known already.

    Returns:
        Row up to which they are known now.
    """
    if space is None:
        return ready
    if row < ready or left < 4 or period < 4 or not setup.predrawn or setup.net.sizes[0] <= 8:
        return ready
    if setup.baseline == ANTITHETIC or setup.plan.groups.shape[0] > 1:
        return ready
    if (step + 3) // period != step // period or (step + 3) // setup.order.tau_x != step // setup.order.tau_x:
        return ready
    costs_of_four(setup, requested, chosen, row, predrawn, space)
    return row + 4


@njit(**INLINE)
def probe(
    setup, requested, chosen, batch, step, row, ready, held_baseline, predrawn, perturbed, space, tile, known, team
):
    """One probe: `Chip.probe`. The batch's inputs are in place already.

    Args:
        chosen: (B,) samples.
        row: of this probe's sign bits.
        ready: where among four its perturbed cost is ready in the space; -1 if it isn't.
        held_baseline: (2,) value and batch of the baseline in force; changed in place.
        perturbed: (P,) room for parameters with a perturbation; without it where groups take turns.
        space, tile: work space, one of them None: samples go one after the other (`small_batch.py`), or side by side
            (`large_batch.py`). numba compiles each case by itself, and leaves the other out.
        known: (2,) whether the tile has the first layer's sums, and its weights, for `requested`; changed in place.

    Returns:
        cost, its reference, whether a baseline was measured; first and size of what was perturbed.
    """
    baseline, plan = setup.baseline, setup.plan
    stale = baseline == EVERY or (baseline == HELD and held_baseline[1] != batch)
    turn = step % plan.groups.shape[0]
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    plus = minus = np.int64(0)
    if tile is not None:
        plus, minus = probe_wide(
            setup, requested, chosen, step, row, turn, stale, held_baseline, predrawn, perturbed, tile, known, team
        )
    if space is not None:
        plus, minus = probe_few(
            setup, requested, chosen, step, row, turn, ready, stale, held_baseline, predrawn, perturbed, space
        )
    if stale:
        held_baseline[1] = batch
    if baseline in (HELD, EVERY):
        minus = held_baseline[0]
    return plus, minus, stale, start, size


@njit(**INLINE)
def probe_few(setup, requested, chosen, step, row, turn, ready, stale, held_baseline, predrawn, perturbed, space):
    """A probe's measurements, sample after sample; a baseline goes into held."""
    plan = setup.plan
    start, end = plan.groups[turn, 0], plan.groups[turn, 0] + plan.groups[turn, 1]
    if not setup.predrawn:
        fill_codes(plan, step, predrawn.bits, predrawn.code)
    plus = minus = np.int64(0)
    for measurement in range(3):
        if (measurement == BASELINE and not stale) or (measurement == MINUS and setup.baseline != ANTITHETIC):
            continue
        if measurement == PLUS and ready >= 0:
            plus = space.four[ready]
            continue
        sign = 0 if measurement == BASELINE else 1 if measurement == PLUS else -1
        parameters = requested
        if not setup.predrawn and sign != 0:
            perturb_by_codes(requested, predrawn.code, start, end - start, sign, perturbed)
            parameters = perturbed
        signs = Signs(
            predrawn.words[row] if setup.predrawn else predrawn.words[0],
            sign * plan.amplitude * setup.predrawn,
            start,
            end,
        )
        value = cost_of(setup.net, setup.costs, parameters, signs, setup.samples, setup.targets, chosen, space)
        if measurement == BASELINE:
            held_baseline[0] = value
        elif measurement == PLUS:
            plus = value
        else:
            minus = value
    if not setup.predrawn and plan.groups.shape[0] > 1:
        restore(requested, start, end, perturbed)
    return plus, minus


@njit(**JIT)
def probe_wide(setup, requested, chosen, step, row, turn, stale, held_baseline, predrawn, perturbed, tile, known, team):
    """A probe's measurements, all samples together; a baseline goes into held."""
    plan, net = setup.plan, setup.net
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    n_first = net.sizes[0] * net.sizes[1]
    signs, lines = plan.family == RANDOM, plan.family == RANK1
    if not (signs or lines):
        fill_codes(plan, step, predrawn.bits, predrawn.code)  # such a team is of one
    first_row, end_row = 0, net.sizes[1]
    if not lines and net.sizes.size > 2:  # a last layer is shared by samples: each thread needs all its rows
        first_row, end_row = rows_of(team, net.sizes[1])
    low, high = first_row * net.sizes[0], end_row * net.sizes[0]
    # Where the first layer works on bytes, its signs are added to those; all else is perturbed in 16 bits.
    by_bytes = tile.bytes and signs and start == 0
    first = max(team.first, max(start, n_first if by_bytes else 0))
    end = max(first, min(team.end, start + size))
    if tile.bytes and not known[1]:
        barrier(team)
        load_weights(requested, low, high, tile.weights)
        known[1] = True
    plus = minus = np.int64(0)
    for measurement in range(3):
        if (measurement == BASELINE and not stale) or (measurement == MINUS and setup.baseline != ANTITHETIC):
            continue
        amplitude = 0 if measurement == BASELINE else plan.amplitude if measurement == PLUS else -plan.amplitude
        parameters, weights = requested, tile.weights
        if measurement != BASELINE and not lines:
            if signs:
                perturb_by_signs(requested, predrawn.words[row], first, end, amplitude, perturbed)
            else:
                perturb_by_codes(requested, predrawn.code, start, size, 1 if measurement == PLUS else -1, perturbed)
            parameters = perturbed
            barrier(team)
            if by_bytes:
                perturb_weights(predrawn.words[row], low, high, amplitude, tile)
                weights = tile.perturbed_weights
            elif tile.bytes and start < n_first:
                load_weights(perturbed, low, high, tile.perturbed_weights)
                weights = tile.perturbed_weights
        code = Rank1Lines(
            predrawn.words[row if lines else 0], amplitude if lines else 0, plan.first_matrix[turn],
            plan.first_matrix[turn + 1],
        )  # fmt: skip
        mine = tile_cost(net, setup.costs, plan, parameters, weights, code, known[0], lines, tile, chosen.size, team)
        known[0] = lines
        value = sum_up(team, 4 * (step & 1) + measurement, mine)
        if measurement == BASELINE:
            held_baseline[0] = value
        elif measurement == PLUS:
            plus = value
        else:
            minus = value
    if not lines and plan.groups.shape[0] > 1:
        restore(requested, first, end, perturbed)
    return plus, minus


@njit(**JIT)
def accumulate_pending(setup, update_state, predrawn, count, team):
    """Accumulate the pending probes in this thread's share of the window."""
    plan = setup.plan
    n_groups = plan.groups.shape[0]
    for turn in range(n_groups):
        n = 0
        for k in range(count):
            if predrawn.rows[k] % n_groups == turn:
                predrawn.chosen_rows[n] = predrawn.rows[k] // n_groups
                predrawn.chosen_changes[n] = predrawn.changes[k]
                n += 1
        if n == 0:
            continue
        if plan.family == RANK1:
            for number in range(plan.first_matrix[turn], plan.first_matrix[turn + 1]):
                accumulate_rank1(
                    update_state, plan.matrices[number], predrawn.words, predrawn.chosen_rows, predrawn.chosen_changes,
                    predrawn.signed, n, plan.amplitude, team.first, team.end,
                )  # fmt: skip
        else:
            start, end = plan.groups[turn, 0], plan.groups[turn, 0] + plan.groups[turn, 1]
            start, end = max(start, team.first), min(end, team.end)
            accumulate_signs(
                update_state,
                start,
                end,
                predrawn.words,
                predrawn.chosen_rows,
                predrawn.chosen_changes,
                n,
                plan.amplitude,
            )


@njit(**JIT)
def load_samples(setup, chosen, space, tile, team):
    """Inputs of a batch to where they are needed."""
    if tile is not None:
        load_batch(setup.inputs, setup.targets, chosen, tile, 0, tile.width)
    if space is not None:
        load_inputs(setup, chosen, space)


@njit(**ENTRY)
def run_block(
    setup, requested, first, count, held_baseline, predrawn, perturbed, space, tile, known, team, plus, minus
):
    """`Chip.probe`: costs into plus and minus (references).

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    measured, seen = np.int64(-1), np.int64(-1)
    order, chunk = setup.order, predrawn.rows.size
    for begin in range(0, count, chunk):
        size = min(chunk, count - begin)
        draw(setup, first + begin, size, predrawn, team)
        first_batch = (first + begin) // order.tau_x
        ready = 0  # rows whose perturbed costs are known already
        for row in range(size):
            step = first + begin + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            chosen = predrawn.samples[at : at + order.batch]
            if batch != seen:
                load_samples(setup, chosen, space, tile, team)
                seen, known[0] = batch, False
            ready = look_ahead(setup, requested, chosen, row, step, size - row, FOREVER, ready, predrawn, space)
            one, other, stale, _, _ = probe(
                setup,
                requested,
                chosen,
                batch,
                step,
                row,
                row - ready + 4 if row < ready else -1,
                held_baseline,
                predrawn,
                perturbed,
                space,
                tile,
                known,
                team,
            )
            plus[begin + row], minus[begin + row] = one, other
            if stale:
                measured = step
        barrier(team)
    return measured


@njit(**JIT)
def chunk_of(first, most, period):
    """Probes to draw for from `first` on: at most so many, and none beyond the last update among them, if any."""
    probes_to_update = (first + most) // period * period - first
    return probes_to_update if probes_to_update > 0 else most


@njit(**ENTRY)
def run_segment(
    setup,
    rule,
    update_state,
    first,
    count,
    period,
    alone,
    fresh,
    held_baseline,
    etas,
    predrawn,
    perturbed,
    space,
    tile,
    known,
    team,
):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows and updates.

    Args:
        alone: every probe is followed by an update, its codes are signs of all parameters, and the window is empty.
        fresh: the window is empty.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done.
    """
    evaluations, total = np.int64(0), np.int64(0)
    measured, seen = np.int64(-1), np.int64(-1)
    updates, pending, weight, done = 0, 0, np.int64(0), 0
    order, plan = setup.order, setup.plan
    n_groups, n_updates = plan.groups.shape[0], (first + count) // period - first // period
    signs = plan.family == RANDOM and n_groups == 1
    while done < count:
        size = chunk_of(first + done, min(predrawn.rows.size, count - done), period)
        draw(setup, first + done, size, predrawn, team)
        first_batch = (first + done) // order.tau_x
        ready = 0  # rows whose perturbed costs are known already
        for row in range(size):
            step = first + done + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            chosen = predrawn.samples[at : at + order.batch]
            if batch != seen:
                load_samples(setup, chosen, space, tile, team)
                seen, known[0] = batch, False
            ready = look_ahead(
                setup, update_state.requested, chosen, row, step, size - row, period, ready, predrawn, space
            )
            plus, minus, stale, start, n = probe(
                setup,
                update_state.requested,
                chosen,
                batch,
                step,
                row,
                row - ready + 4 if row < ready else -1,
                held_baseline,
                predrawn,
                perturbed,
                space,
                tile,
                known,
                team,
            )
            evaluations += 2 if stale or setup.baseline == ANTITHETIC else 1
            if stale:
                measured = step
            total += plus
            change = plus - minus
            last = updates == n_updates - 1
            if alone:
                next_powers(rule, update_state)
                update_signs(
                    rule,
                    update_state,
                    team.first,
                    team.end,
                    etas[updates],
                    predrawn.words[row],
                    change,
                    plan.amplitude,
                    last,
                )
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
                    if signs and fresh:
                        update_pending(
                            rule, update_state, team.first, team.end, etas[updates], predrawn.words, predrawn.rows,
                            predrawn.changes, pending, plan.amplitude, last,
                        )  # fmt: skip
                    else:
                        accumulate_pending(setup, update_state, predrawn, pending, team)
                        barrier(team)  # a row of a rank-1 code may reach into the next thread's parameters
                        update(rule, update_state, team.first, team.end, etas[updates], last)
                    pending, weight, fresh = 0, np.int64(0), True
                    if n_groups > 1:
                        restore(update_state.requested, team.first, team.end, perturbed)
                updates += 1
                held_baseline[1], known[0], known[1] = NO_BATCH, False, False
                barrier(team)
        if pending > 0:
            accumulate_pending(setup, update_state, predrawn, pending, team)
            pending, weight, fresh = 0, np.int64(0), False
        done += size
        barrier(team)
    return evaluations, total, measured, updates
