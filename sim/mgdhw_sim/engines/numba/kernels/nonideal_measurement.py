"""Measurements of a probe of an imperfect chip: samples side by side or one after the other, one or two at a time.

A bench (`nonideal_segments.Bench`) is an imperfect chip at work.
"""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.engines.numba.kernels.conditions import perturb
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import Soon, choose_weights, costs_of, keep, outputs_of
from mgdhw_sim.engines.numba.kernels.nonideal_scalar_segments import BASELINE, PLUS
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import measure_few
from mgdhw_sim.engines.numba.kernels.scalar_segments import ANTITHETIC, EVERY, HELD
from mgdhw_sim.engines.numba.kernels.small_batch import Signs
from mgdhw_sim.engines.numba.kernels.thread_team import SLOTS, meet, sum_up


@njit(**INLINE)
def soon_of(bench, step, row):
    """The batch that follows a probe's, if it is known and the next probe's."""
    order, samples = bench.setup.order, bench.ahead.samples
    begin = (step // order.tau_x - (step - row) // order.tau_x + 1) * order.batch
    changes = (step + 1) % order.tau_x == 0
    end = begin + order.batch if changes else begin
    return Soon(bench.inputs, samples[min(begin, samples.size) : min(end, samples.size)], bench.setup.inputs.shape[1])


@njit(**JIT)
def measure_wide(bench, tile, chosen, step, row, part, follows):
    """One measurement of a probe, samples side by side, shared by the team.

    The codes of another family than random are in `ahead.code` already.

    Args:
        chosen: (B,) samples, in place.
        row: of the probe's sign bits.
        follows: whether anything is left of the measurement before.

    Returns:
        Cost codes summed over the samples.
    """
    setup, flaws, weights, ahead, team = bench.setup, bench.flaws, bench.weights, bench.ahead, bench.team
    group = setup.plan.groups[step % setup.plan.groups.shape[0]]
    start, size, sign = group[0], group[1], 1 if part == PLUS else -1
    w = weights.fine
    if part != BASELINE:
        if setup.ahead:
            first, end = max(team.first, start), max(team.first, min(team.end, start + size))
            first = max(first, start)
            choose_weights(weights, flaws.weight_top, ahead.words[row], first, max(first, end), sign, bench.moved)
        else:
            perturb(flaws, weights, ahead.code, start, size, sign, bench.moved)  # such a team is of one
        w = bench.moved
        meet(team)
    outputs_of(setup.net, flaws, bench.neurons, w, step, part, tile, team, soon_of(bench, step, row))
    before = tile.going if follows else tile.raw
    value = costs_of(setup, flaws, step, part, tile.raw, before, chosen.size, tile, team)
    if flaws.settling != 0:
        keep(tile.raw, setup.net.sizes[-1], tile, team)
    return sum_up(team, 4 * (step & 1) + part, value)


@njit(**INLINE)
def measure_one(bench, rows, space, chosen, step, row, part, follows):
    """The same for samples one after the other."""
    setup, weights, ahead, plan = bench.setup, bench.weights, bench.ahead, bench.setup.plan
    turn = step % plan.groups.shape[0]
    start, size = plan.groups[turn, 0], plan.groups[turn, 1]
    sign = 1 if part == PLUS else -1
    plus = minus = weights.fine
    signs = Signs(ahead.words[row if setup.ahead else 0], 0, start, start + size)
    if part != BASELINE and setup.ahead:
        signs = Signs(ahead.words[row], 1, start, start + size)
        plus, minus = weights.plus, weights.minus
        if sign < 0:
            plus, minus = minus, plus
        if plan.groups.shape[0] > 1:
            top = bench.flaws.weight_top
            choose_weights(weights, top, ahead.words[row], start, start + size, sign, bench.moved)
            plus = minus = bench.moved
            signs = Signs(ahead.words[row], 0, start, start + size)
    elif part != BASELINE:
        perturb(bench.flaws, weights, ahead.code, start, size, sign, bench.moved)
        plus = minus = bench.moved
    return measure_few(setup, bench.flaws, bench.neurons, plus, minus, signs, chosen, step, part, follows, rows, space)


@njit(**JIT)
def measure_both(bench, tile, chosen, step, row, first, second, follows):
    """Two measurements of a probe, each by one part of a team of two: they exchange weights and outputs, no more.

    Args:
        first, second: parts of the probe.

    Returns:
        Cost codes of both, summed over the samples.
    """
    setup, weights, flaws, pair, team = bench.setup, bench.weights, bench.flaws, bench.pair, bench.team
    mine = first if team.part == 0 else second
    w = weights.fine
    if mine != BASELINE:
        w, sign, top, words = pair.moved, 1 if mine == PLUS else -1, flaws.weight_top, bench.ahead.words[row]
        if pair.ready[0] == step:
            choose_weights(weights, top, words, 0, team.first, sign, w)
            choose_weights(weights, top, words, team.end, flaws.n, sign, w)
        else:
            choose_weights(weights, top, words, 0, flaws.n, sign, w)
    outputs_of(setup.net, flaws, bench.neurons, w, step, mine, pair.tile, pair.team, soon_of(bench, step, row))
    meet(team)
    before = tile.going if follows else pair.one
    one = costs_of(setup, flaws, step, first, pair.one, before, chosen.size, tile, team)
    other = costs_of(setup, flaws, step, second, pair.other, pair.one, chosen.size, tile, team)
    keep(pair.other, setup.net.sizes[-1], tile, team)
    team.sums[team.part * SLOTS + 4 * (step & 1) + first] = one
    other = sum_up(team, 4 * (step & 1) + second, other)
    return team.sums[4 * (step & 1) + first] + team.sums[SLOTS + 4 * (step & 1) + first], other


@njit(**INLINE)
def sign_after_write(bench):
    """Sign of the perturbation in this part's measurement of a probe that follows a write, 0 if there is none."""
    baseline, part = bench.setup.baseline, bench.team.part
    if baseline == ANTITHETIC:
        return 1 if part == 0 else -1
    return 1 if part == 1 and baseline in (HELD, EVERY) else 0
