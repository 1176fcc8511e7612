"""Measurements of a probe of a nonideal chip: samples side by side or one after the other, one or two at a time.

`run` is a `nonideal_segments.NonidealRun` throughout.
"""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.conditions import perturb
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import (
    NextBatch,
    choose_weights,
    costs_of,
    outputs_of,
    save_outputs,
)
from mgdhw_sim.engines.numba.kernels.nonideal_scalar_segments import BASELINE, PLUS
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import measure_few
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD
from mgdhw_sim.engines.numba.kernels.small_batch import Signs
from mgdhw_sim.engines.numba.kernels.thread_team import SLOTS, barrier, sum_up


@njit(**INLINE)
def next_batch_of(run, step, row):
    """The batch that follows a probe's, if it is known and the next probe's."""
    order, samples = run.setup.order, run.predrawn.samples
    begin = (step // order.tau_x - (step - row) // order.tau_x + 1) * order.batch
    changes = (step + 1) % order.tau_x == 0
    end = begin + order.batch if changes else begin
    return NextBatch(run.inputs, samples[min(begin, samples.size) : min(end, samples.size)], run.setup.inputs.shape[1])


@njit(**JIT)
def measure_wide(run, tile, chosen, step, row, measurement, follows):
    """One measurement of a probe, samples side by side, shared by the team.

    The codes of another family than random are in `predrawn.code` already.

    Args:
        chosen: (B,) samples, in place.
        row: of the probe's sign bits.
        follows: whether anything is left of the measurement before.

    Returns:
        Cost codes summed over the samples.
    """
    setup, nonideal, weights, predrawn, team = run.setup, run.nonideal, run.weights, run.predrawn, run.team
    group = setup.plan.groups[step % setup.plan.groups.shape[0]]
    start, size, sign = group[0], group[1], 1 if measurement == PLUS else -1
    w = weights.fine
    if measurement != BASELINE:
        if setup.predrawn:
            first, end = max(team.first, start), max(team.first, min(team.end, start + size))
            first = max(first, start)
            choose_weights(
                weights, nonideal.weight_top, predrawn.words[row], first, max(first, end), sign, run.perturbed
            )
        else:
            perturb(nonideal, weights, predrawn.code, start, size, sign, run.perturbed)  # such a team is of one
        w = run.perturbed
        barrier(team)
    outputs_of(setup.net, nonideal, run.neurons, w, step, measurement, tile, team, next_batch_of(run, step, row))
    before = tile.settled if follows else tile.raw
    value = costs_of(setup, nonideal, step, measurement, tile.raw, before, chosen.size, tile, team)
    if nonideal.settling != 0:
        save_outputs(tile.raw, setup.net.sizes[-1], tile, team)
    return sum_up(team, 4 * (step & 1) + measurement, value)


@njit(**INLINE)
def measure_one(run, rows, space, chosen, step, row, measurement, follows):
    """The same for samples one after the other."""
    setup, weights, predrawn, plan = run.setup, run.weights, run.predrawn, run.setup.plan
    turn = step % plan.groups.shape[0]
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    sign = 1 if measurement == PLUS else -1
    plus = minus = weights.fine
    signs = Signs(predrawn.words[row if setup.predrawn else 0], 0, start, start + size)
    if measurement != BASELINE and setup.predrawn:
        signs = Signs(predrawn.words[row], 1, start, start + size)
        plus, minus = weights.plus, weights.minus
        if sign < 0:
            plus, minus = minus, plus
        if plan.groups.shape[0] > 1:
            top = run.nonideal.weight_top
            choose_weights(weights, top, predrawn.words[row], start, start + size, sign, run.perturbed)
            plus = minus = run.perturbed
            signs = Signs(predrawn.words[row], 0, start, start + size)
    elif measurement != BASELINE:
        perturb(run.nonideal, weights, predrawn.code, start, size, sign, run.perturbed)
        plus = minus = run.perturbed
    return measure_few(
        setup, run.nonideal, run.neurons, plus, minus, signs, chosen, step, measurement, follows, rows, space
    )


@njit(**JIT)
def measure_split(run, tile, chosen, step, row, first, second, follows):
    """Two measurements of a probe, each by one thread of a team of two: they exchange weights and outputs, no more.

    Args:
        first, second: which measurements of the probe.

    Returns:
        Cost codes of both, summed over the samples.
    """
    setup, weights, nonideal, pair, team = run.setup, run.weights, run.nonideal, run.split, run.team
    mine = first if team.thread == 0 else second
    w = weights.fine
    if mine != BASELINE:
        w, sign, top, words = pair.perturbed, 1 if mine == PLUS else -1, nonideal.weight_top, run.predrawn.words[row]
        if pair.ready[0] == step:
            choose_weights(weights, top, words, 0, team.first, sign, w)
            choose_weights(weights, top, words, team.end, nonideal.n, sign, w)
        else:
            choose_weights(weights, top, words, 0, nonideal.n, sign, w)
    outputs_of(setup.net, nonideal, run.neurons, w, step, mine, pair.tile, pair.team, next_batch_of(run, step, row))
    barrier(team)
    before = tile.settled if follows else pair.one
    one = costs_of(setup, nonideal, step, first, pair.one, before, chosen.size, tile, team)
    other = costs_of(setup, nonideal, step, second, pair.other, pair.one, chosen.size, tile, team)
    save_outputs(pair.other, setup.net.sizes[-1], tile, team)
    team.sums[team.thread * SLOTS + 4 * (step & 1) + first] = one
    other = sum_up(team, 4 * (step & 1) + second, other)
    return team.sums[4 * (step & 1) + first] + team.sums[SLOTS + 4 * (step & 1) + first], other


@njit(**INLINE)
def sign_after_write(run):
    """Sign of the perturbation in this thread's measurement of a probe that follows a write, 0 if there is none."""
    baseline, measurement = run.setup.baseline, run.team.thread
    if baseline == ANTITHETIC:
        return 1 if measurement == 0 else -1
    return 1 if measurement == 1 and baseline in (HELD, EVERY) else 0
