"""Segments in continuous mode: `mgdhw.learning.filters.filter_block` and updates, without leaving compiled code.

The few floating-point operations stand in the order of their definitions; no fast-math, no fused multiply-add.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.simd import LANES, load, store
from mgdhw.compiled.kernels.vector_math import f64, mask_of, select
from mgdhw.compiled.options import ENTRY, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import RANDOM, fill_codes, restore
from mgdhw_sim.engines.numba.kernels.segments import draw, load_samples, probe
from mgdhw_sim.engines.numba.kernels.thread_team import barrier
from mgdhw_sim.engines.numba.kernels.updates import add_squares, apply_gradient, next_powers


class Filters(NamedTuple):
    """The filters of continuous mode, as kernels take them; arrays are padded."""

    gradient: Any
    """(P,) the running ĝ; changed in place."""
    cost: Any
    """(2,) the last cost, and the last C̃; changed in place."""
    weight: Any
    """(P,) what C̃ θ̃ is multiplied by: 1 / ⟨θ̃²⟩ in the units of parameters, or the learning rule's."""
    scale: float
    """What one unit of a cost is worth."""
    high_pass: float
    low_pass: float


@njit(**JIT)
def filter_signs(filters, words, first, end, amplitude, change):
    """Filter a probe that perturbed parameters first ... end - 1 by plus or minus one amplitude each."""
    plus = change * np.float64(amplitude)
    for at in range(first, end, LANES):
        moves = select(mask_of(words[at >> 5] >> np.uint32(at & 31)), f64(plus), f64(-plus))
        g = load(filters.gradient, at)
        store(filters.gradient, at, g + f64(filters.low_pass) * (moves * load(filters.weight, at) - g))


@njit(**JIT)
def filter_codes(filters, code, start, size, first, end, change):
    """Filter a probe that perturbed parameters start ... start + size - 1 by any codes, for first ... end - 1."""
    gradient, weight, low_pass = filters.gradient, filters.weight, filters.low_pass
    for i in range(first, end):
        value = np.float64(code[i]) if start <= i < start + size else 0.0
        gradient[i] = gradient[i] + low_pass * (change * value * weight[i] - gradient[i])


@njit(**JIT)
def update(rule, update_state, gradient, first, end, eta, keep):
    """Update parameters first ... end - 1 (first is a multiple of 16) by the running gradient."""
    for at in range(first, end, LANES):
        g = load(gradient, at)
        if keep:
            add_squares(update_state, g, at, end)
        apply_gradient(rule, update_state, at, g, eta)


@njit(**ENTRY)
def run_segment(
    setup,
    rule,
    update_state,
    filters,
    begun,
    first,
    count,
    period,
    held_baseline,
    etas,
    predrawn,
    room,
    space,
    tile,
    known,
    team,
):
    """`mgdhw.learning.step` over `count` probes without baselines, in continuous mode.

    Args:
        begun: whether there was a cost before the first one.
        held_baseline: (2,) of a baseline that is never measured.
        room: (P,) for parameters with a perturbation.

    Returns:
        Sum of the perturbed costs, updates done.
    """
    order, plan = setup.order, setup.plan
    n_groups, n_updates = plan.groups.shape[0], (first + count) // period - first // period
    signs = plan.family == RANDOM and n_groups == 1
    total, seen, updates = np.int64(0), np.int64(-1), 0
    for begin in range(0, count, predrawn.rows.size):
        size = min(predrawn.rows.size, count - begin)
        draw(setup, first + begin, size, predrawn, team)
        first_batch = (first + begin) // order.tau_x
        for row in range(size):
            step = first + begin + row
            batch = step // order.tau_x
            at = (batch - first_batch) * order.batch
            chosen = predrawn.samples[at : at + order.batch]
            if batch != seen:
                load_samples(setup, chosen, space, tile, team)
                seen, known[0] = batch, False
            cost, _, _, start, n = probe(
                setup,
                update_state.requested,
                chosen,
                batch,
                step,
                row,
                -1,
                held_baseline,
                predrawn,
                room,
                space,
                tile,
                known,
                team,
            )
            total += cost
            value = np.float64(cost) * filters.scale
            change = filters.high_pass * (filters.cost[1] + value - filters.cost[0]) if begun else 0.0
            filters.cost[0], filters.cost[1], begun = value, change, True
            if signs:
                filter_signs(filters, predrawn.words[row], team.first, team.end, plan.amplitude, change)
            else:
                if setup.predrawn:
                    fill_codes(plan, step, predrawn.bits, predrawn.code)
                filter_codes(filters, predrawn.code, start, n, team.first, team.end, change)
            if (step + 1) % period == 0:
                next_powers(rule, update_state)
                last = updates == n_updates - 1
                update(rule, update_state, filters.gradient, team.first, team.end, etas[updates], last)
                if n_groups > 1:
                    restore(update_state.requested, team.first, team.end, room)
                updates += 1
                known[0], known[1] = False, False
                barrier(team)
        barrier(team)
    return total, updates
