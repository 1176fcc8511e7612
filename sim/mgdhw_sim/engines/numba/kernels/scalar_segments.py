"""Blocks and segments, compiled: what `Chip.probe` and `mgdhw.learning.loop` define, without leaving compiled code.

One probe at a time, for every chip; faster kernels for chips of small numbers are in `segments.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import cost, fill_codes, restore
from mgdhw_sim.engines.numba.kernels.updates import next_powers, take_in_codes, update

HELD, EVERY, ANTITHETIC, NONE = range(4)
NO_BATCH = -1


class Work(NamedTuple):
    """Work space of one run: codes, perturbed parameters, bits, a batch of inputs and two of signals."""

    code: Any
    w: Any
    bits: Any
    x: Any
    signals: Any
    spare: Any


@njit(**JIT)
def probe(net, plan, stored, inputs, targets, chosen, batch, step, baseline, held, work):
    """One probe of `Chip.probe`; leaves `work.w` as `stored`, and θ̃ in `work.code`.

    Args:
        chosen: (B,) samples of this batch.
        held: (2,) value and batch of the baseline in force, batch NO_BATCH if there is none; changed in place.

    Returns:
        cost, its reference, whether a baseline was measured, first and size of what was perturbed.
    """
    stale = baseline == EVERY or (baseline == HELD and held[1] != batch)
    if stale:
        held[0] = cost(net, work.w, inputs, targets, chosen, work.x, work.signals, work.spare)
        held[1] = batch
    start, size = fill_codes(plan, step, work.bits, work.code)
    for i in range(start, start + size):
        work.w[i] = stored[i] + work.code[i]
    plus = cost(net, work.w, inputs, targets, chosen, work.x, work.signals, work.spare)
    minus = np.int64(0)
    if baseline == ANTITHETIC:
        for i in range(start, start + size):
            work.w[i] = stored[i] - work.code[i]
        minus = cost(net, work.w, inputs, targets, chosen, work.x, work.signals, work.spare)
    elif baseline != NONE:
        minus = held[0]
    for i in range(start, start + size):
        work.w[i] = stored[i]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def probe_block(net, plan, stored, inputs, targets, samples, tau_x, first, count, baseline, held, work, plus, minus):
    """`Chip.probe`: costs into plus and minus (references).

    Args:
        samples: (batches, B) of the block's batches.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    restore(stored, 0, stored.size, work.w)
    measured = np.int64(-1)
    for k in range(count):
        step = first + k
        batch = step // tau_x
        chosen = samples[batch - first // tau_x]
        plus[k], minus[k], stale, _, _ = probe(
            net, plan, stored, inputs, targets, chosen, batch, step, baseline, held, work
        )
        if stale:
            measured = step
    return measured


@njit(**ENTRY)
def learn_segment(
    net, plan, rule, moving, inputs, targets, samples, tau_x, first, count, period, baseline, held, etas, work
):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows and updates. What `moving` holds is changed in place.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done.
    """
    evaluations = np.int64(0)
    total = np.int64(0)
    measured = np.int64(-1)
    updates = 0
    stored = moving.stored[: work.w.size]
    restore(stored, 0, stored.size, work.w)
    for k in range(count):
        step = first + k
        batch = step // tau_x
        chosen = samples[batch - first // tau_x]
        plus, minus, stale, start, size = probe(
            net, plan, stored, inputs, targets, chosen, batch, step, baseline, held, work
        )
        evaluations += 2 if stale or baseline == ANTITHETIC else 1
        if stale:
            measured = step
        total += plus
        take_in_codes(moving, start, size, work.code, plus - minus)
        if (step + 1) % period == 0:
            next_powers(rule, moving)
            update(rule, moving, 0, work.w.size, etas[updates], (step + 1 + period) > first + count)
            updates += 1
            held[1] = NO_BATCH
            restore(stored, 0, stored.size, work.w)
    return evaluations, total, measured, updates
