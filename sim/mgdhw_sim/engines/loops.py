"""Blocks and segments, compiled: what `Chip.probe` and `mgdhw.loop` define, without leaving compiled code.

The few floating-point operations of an update stand in the order of their definitions (`gradient.estimate`, the
optimizers, `datapath.parameter_codes`); no fast-math, no fused multiply-add.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw_sim.engines.kernels import JIT, cost, fill_codes

HELD, EVERY, ANTITHETIC, NONE = range(4)
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = range(6)
NO_BATCH = -1


class Work(NamedTuple):
    """Work space of one run: codes, perturbed parameters, bits, a batch of inputs and two of signals."""

    code: Any
    w: Any
    bits: Any
    x: Any
    signals: Any
    spare: Any


class Rule(NamedTuple):
    """An update as kernels take it: which optimizer, its parameters, scales and limits."""

    optimizer: int
    a: float
    """β, ρ or β₁."""
    b: float
    """β₂."""
    epsilon: float
    decay: float
    corrected: bool
    scale: float
    lsb: float
    low: float
    high: float
    to_code: float
    code_low: int
    code_high: int


@njit(**JIT)
def probe(net, plan, stored, inputs, targets, chosen, batch, step, baseline, held, work):  # type: ignore[no-untyped-def]
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


@njit(**JIT)
def probe_block(net, plan, stored, inputs, targets, samples, tau_x, first, count, baseline, held, work, plus, minus):  # type: ignore[no-untyped-def]
    """`Chip.probe`: costs into plus and minus (references).

    Args:
        samples: (batches, B) of the block's batches.

    Returns:
        Step at which the last baseline was measured, -1 if none was.
    """
    work.w[:] = stored
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


@njit(**JIT)
def learn_segment(  # type: ignore[no-untyped-def]
    net, plan, rule, stored, inputs, targets, samples, tau_x, first, count, period, baseline, held, theta, m, v, powers,
    cross, energy, etas, gradient, work
):  # fmt: skip
    """`mgdhw.loop` over `count` probes: blocks, windows and updates. Arrays of state are changed in place.

    Returns:
        evaluations, sum of the perturbed costs, step of the last measured baseline (-1: none), updates done.
    """
    evaluations = np.int64(0)
    total = np.int64(0)
    measured = np.int64(-1)
    updates = 0
    work.w[:] = stored
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
        change = plus - minus
        for i in range(start, start + size):
            code = np.int64(work.code[i])
            cross[i] += change * code
            energy[i] += code * code
        if (step + 1) % period == 0:
            update(rule, theta, m, v, powers, cross, energy, etas[updates], gradient)
            updates += 1
            held[1] = NO_BATCH
            for i in range(theta.size):
                code = np.int64(math.floor(theta[i] * rule.to_code + 0.5))
                stored[i] = np.int16(min(max(code, rule.code_low), rule.code_high))
                work.w[i] = stored[i]
    return evaluations, total, measured, updates


@njit(**JIT)
def update(rule, theta, m, v, powers, cross, energy, eta, gradient):  # type: ignore[no-untyped-def]
    """`mgdhw.loop.update` with an exact window; empties the window."""
    if rule.optimizer >= ADAM:
        powers[0] = powers[0] * rule.a
        powers[1] = powers[1] * rule.b
    for i in range(theta.size):
        g = 0.0
        if energy[i] > 0:
            g = (np.float64(cross[i]) * rule.scale) / (np.float64(energy[i]) * rule.lsb)
        cross[i] = 0
        energy[i] = 0
        gradient[i] = g
        t = theta[i]
        if rule.optimizer == SGD:
            t = t - eta * g
        elif rule.optimizer == MOMENTUM:
            m[i] = rule.a * m[i] + g
            t = t - eta * m[i]
        elif rule.optimizer == NESTEROV:
            m[i] = rule.a * m[i] + g
            t = t - eta * (g + rule.a * m[i])
        elif rule.optimizer == RMSPROP:
            v[i] = rule.a * v[i] + (1.0 - rule.a) * (g * g)
            t = t - eta * g / (math.sqrt(v[i]) + rule.epsilon)
        else:
            if rule.optimizer == ADAMW:
                t = t - eta * rule.decay * t
            m[i] = rule.a * m[i] + (1.0 - rule.a) * g
            v[i] = rule.b * v[i] + (1.0 - rule.b) * (g * g)
            m_hat, v_hat = m[i], v[i]
            if rule.corrected:
                m_hat = m[i] / (1.0 - powers[0])
                v_hat = v[i] / (1.0 - powers[1])
            t = t - eta * m_hat / (math.sqrt(v_hat) + rule.epsilon)
        theta[i] = min(max(t, rule.low), rule.high)
