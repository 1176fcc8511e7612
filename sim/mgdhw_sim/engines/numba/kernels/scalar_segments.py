"""Blocks and segments, compiled: what `Chip.probe` and `mgdhw.learning.loop` define, without leaving compiled code.

One probe at a time, for every chip; faster kernels for chips of small numbers are in `segments.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import ENTRY, JIT
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import cost, fill_codes, restore
from mgdhw_sim.engines.numba.kernels.updates import accumulate_codes, next_powers, update

HELD, EVERY, ANTITHETIC, NONE = range(4)
NO_BATCH = -1


class ScalarWorkspace(NamedTuple):
    """Work space of one run: codes, perturbed parameters, bits, a batch of inputs and two of signals."""

    code: Any
    w: Any
    bits: Any
    x: Any
    signals: Any
    spare: Any


@njit(**JIT)
def probe(net, plan, requested, inputs, targets, chosen, batch, step, baseline, held_baseline, workspace):
    """One probe of `Chip.probe`; leaves `workspace.w` as `requested`, and θ̃ in `workspace.code`.

    Args:
        chosen: (B,) samples of this batch.
        held_baseline: (2,) value and batch of the baseline in force, batch NO_BATCH if there is none; changed in place.

    Returns:
        cost, its reference, whether a baseline was measured, first and size of what was perturbed.
    """
    stale = baseline == EVERY or (baseline == HELD and held_baseline[1] != batch)
    if stale:
        held_baseline[0] = cost(
            net, workspace.w, inputs, targets, chosen, workspace.x, workspace.signals, workspace.spare
        )
        held_baseline[1] = batch
    start, size = fill_codes(plan, step, workspace.bits, workspace.code)
    for i in range(start, start + size):
        workspace.w[i] = requested[i] + workspace.code[i]
    plus = cost(net, workspace.w, inputs, targets, chosen, workspace.x, workspace.signals, workspace.spare)
    minus = np.int64(0)
    if baseline == ANTITHETIC:
        for i in range(start, start + size):
            workspace.w[i] = requested[i] - workspace.code[i]
        minus = cost(net, workspace.w, inputs, targets, chosen, workspace.x, workspace.signals, workspace.spare)
    elif baseline != NONE:
        minus = held_baseline[0]
    for i in range(start, start + size):
        workspace.w[i] = requested[i]
    return plus, minus, stale, start, size


@njit(**ENTRY)
def probe_block(
    net, plan, requested, inputs, targets, samples, tau_x, first, count, baseline, held_baseline, workspace, plus, minus
):
    """`Chip.probe`: costs into plus and minus (references).

    Args:
        samples: (batches, B) of the block's batches.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    restore(requested, 0, requested.size, workspace.w)
    measured = np.int64(-1)
    for k in range(count):
        step = first + k
        batch = step // tau_x
        chosen = samples[batch - first // tau_x]
        plus[k], minus[k], stale, _, _ = probe(
            net, plan, requested, inputs, targets, chosen, batch, step, baseline, held_baseline, workspace
        )
        if stale:
            measured = step
    return measured


@njit(**ENTRY)
def learn_segment(
    net,
    plan,
    rule,
    update_state,
    inputs,
    targets,
    samples,
    tau_x,
    first,
    count,
    period,
    baseline,
    held_baseline,
    etas,
    workspace,
):
    """`mgdhw.learning.loop` over `count` probes: blocks, windows and updates. Changes `update_state` in place.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done.
    """
    evaluations = np.int64(0)
    total = np.int64(0)
    measured = np.int64(-1)
    updates = 0
    requested = update_state.requested[: workspace.w.size]
    restore(requested, 0, requested.size, workspace.w)
    for k in range(count):
        step = first + k
        batch = step // tau_x
        chosen = samples[batch - first // tau_x]
        plus, minus, stale, start, size = probe(
            net, plan, requested, inputs, targets, chosen, batch, step, baseline, held_baseline, workspace
        )
        evaluations += 2 if stale or baseline == ANTITHETIC else 1
        if stale:
            measured = step
        total += plus
        accumulate_codes(update_state, start, size, workspace.code, plus - minus)
        if (step + 1) % period == 0:
            next_powers(rule, update_state)
            update(rule, update_state, 0, workspace.w.size, etas[updates], (step + 1 + period) > first + count)
            updates += 1
            held_baseline[1] = NO_BATCH
            restore(requested, 0, requested.size, workspace.w)
    return evaluations, total, measured, updates
