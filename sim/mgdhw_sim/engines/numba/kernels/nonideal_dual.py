"""Both measurements of a probe at once, on a small nonideal chip: the first in the lower half of every vector, the
second in the upper one. `nonideal_small_batch.py` for two, whose noise was drawn in advance (`nonideal_dual_noise.py`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.half_vectors import (
    as_pairs,
    eight_sums,
    four_sums,
    half_totals,
    load_twice,
    store_upper,
    swapped,
)
from mgdhw.compiled.kernels.int16_pairs import choose_pairs, narrow_products
from mgdhw.compiled.kernels.products import pair_products
from mgdhw.compiled.kernels.simd import bits_at, gather, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.table_lookup import ENTRIES, looked_up
from mgdhw.compiled.kernels.vector_math import i32, mask_of, select, to_i32
from mgdhw.compiled.options import INLINE
from mgdhw_sim.engines.numba.kernels.nonideal_dual_noise import (
    BIAS,
    DOWN,
    ENDS,
    FIRST,
    FRACTION,
    HALF,
    HALF_OF,
    LANES_USED,
    LAST,
    N_IN,
    NEURON,
    PLACE,
    ROWS,
    SIZE,
    STEP,
    UP,
    WIDE,
)
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import positions, signals_at
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import sample_cost

EIGHT, TWICE = np.uint32(0xFF), np.uint32(0x101)
"""Bits of a half's lanes; and what eight bits are multiplied by so that both halves have them."""


@njit(**INLINE)
def four_rows(weights, words, n_in, row0, row1, row2, row3, both, source, at, room, x, y):
    """Sums of four rows of weights for both measurements, to be summed on.

    Args:
        row0, row1, row2, row3: where they begin.
        both: whether the first measurement is perturbed, too, and the second one the other way round.
        source, at, room: inputs of the first measurement, and how far it is to those of the second.
        x, y: the first 32 of each.
    """
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = i32(0)
    for i in range(0, n_in, 32):
        if i > 0:
            x, y = load_pairs(source, at + i), load_pairs(source, at + room + i)
        a0, b0 = two_products(weights, words, row0 + i, both, x, y, a0, b0)
        a1, b1 = two_products(weights, words, row1 + i, both, x, y, a1, b1)
        a2, b2 = two_products(weights, words, row2 + i, both, x, y, a2, b2)
        a3, b3 = two_products(weights, words, row3 + i, both, x, y, a3, b3)
    return four_sums(a0, a1, a2, a3), four_sums(b0, b1, b2, b3)


@njit(**INLINE)
def two_products(weights, words, at, both, x, y, first, second):
    """Add the products of 32 weights with the inputs of either measurement."""
    bits, plus, minus = bits_at(words, at), load_pairs(weights.plus, at), load_pairs(weights.minus, at)
    one, other = load_pairs(weights.fine, at), choose_pairs(bits, plus, minus)
    if both:
        one, other = other, choose_pairs(bits, minus, plus)
    return first + pair_products(one, x), second + pair_products(other, y)


@njit(**INLINE)
def two_biases(weights, words, at, both):
    """Eight biases in either measurement."""
    mask = mask_of((bits_at(words, at) & EIGHT) * TWICE)
    plus, minus = load_twice(weights.plus, at), load_twice(weights.minus, at)
    w = select(mask, plus, minus)
    if both:
        return select(mask_of(EIGHT), w, select(mask, minus, plus))
    return select(mask_of(EIGHT), load_twice(weights.fine, at), w)


@njit(**INLINE)
def eight_rows(weights, words, group, both, source, at, room, x, y):
    """Sums of the rows of a group in both measurements."""
    n_in = group[N_IN]
    a, b = four_rows(
        weights, words, n_in, group[ROWS], group[ROWS + 1], group[ROWS + 2], group[ROWS + 3], both, source, at, room,
        x, y,
    )  # fmt: skip
    c, d = a, b
    if group[SIZE] > 4:
        c, d = four_rows(
            weights, words, n_in, group[ROWS + 4], group[ROWS + 5], group[ROWS + 6], group[ROWS + 7], both, source, at,
            room, x, y,
        )  # fmt: skip
    return eight_sums(a, c, b, d) + (two_biases(weights, words, group[BIAS], both) << i32(group[FRACTION]))


@njit(**INLINE)
def eight_neurons(setup, nonideal, neurons, weights, words, group, both, source, at, room, x, y, noise, place):
    """Signals of a group in both measurements; 0 where there is no neuron.

    Args:
        noise, place: draws of their columns.
    """
    net, neuron = setup.net, group[NEURON]
    if both:  # each case by itself
        sums = eight_rows(weights, words, group, True, source, at, room, x, y)
    else:
        sums = eight_rows(weights, words, group, False, source, at, room, x, y)
    sums = ((sums + i32(group[HALF])) >> i32(group[DOWN])) << i32(group[UP])
    position = positions(
        net, load_twice(neurons.midpoint, neuron), load_twice(neurons.steepness, neuron), sums,
        to_i32(load(noise, place)),
    )  # fmt: skip
    segment = position >> i32(net.signal_bits - net.lut_bits)
    curve = net.output if group[LAST] else net.hidden
    pair = looked_up(curve, segment) if curve.size == ENTRIES else gather(curve, segment)
    h = signals_at(
        net, pair, position, load_twice(nonideal.amplitude, neuron), load_twice(nonideal.neuron_offset, neuron)
    )
    return select(mask_of(group[LANES_USED]), h, i32(0))


@njit(**INLINE)
def observed_outputs(nonideal, settled, j, follows, h):
    """Eight outputs that settle at h, with a residue: the first measurement's of `settled`, the second's of the first.

    Args:
        follows: whether anything is left of what was before the first.
    """
    if nonideal.settling == 0:
        return h
    before = select(mask_of(EIGHT), load_twice(settled, j) if follows else h, swapped(h))
    store_upper(settled, j, h)
    return h + ((i32(nonideal.settling) * (before - h) + i32(1 << 14)) >> i32(15))


@njit(**INLINE)
def mean_square(costs, total):
    """Cost code of a sum of squares: `datapath.cost_codes`."""
    total += costs.divisor >> 1
    code = total >> costs.divisor_bits if costs.divisor_bits >= 0 else total // costs.divisor
    return min(max(code, 0), costs.cost_max)


@njit(**INLINE)
def measure_dual(setup, nonideal, neurons, weights, words, chosen, number, both, follows, rows, dual, space):
    """Two evaluations of (B,) samples, one after the other; `rows.settled` has the settled outputs of the one before.

    Args:
        words: signs of the probe.
        number: of the probe, in its chunk.
        both: plus and minus; else baseline and plus.
        follows: whether anything of the one before is left.

    Returns:
        Cost codes of each, summed over the samples, with their noise.
    """
    net, costs, noise = setup.net, setup.costs, dual.noise
    stride = net.strides[0]
    first = second = np.int64(0)
    first_unit = ((1 - dual.state[HALF_OF]) * dual.probes + number) * chosen.size
    for row in range(chosen.size):
        sample, unit = chosen[row], first_unit + row
        source, at, room = dual.x, 2 * unit * stride, stride
        signals, spare = dual.signals, dual.spare
        x, y = load_pairs(source, at), load_pairs(source, at + room)
        squares = i32(0)
        for number_of_group in range(dual.groups.shape[0]):
            group = dual.groups[number_of_group]
            j = group[FIRST]
            h = eight_neurons(
                setup, nonideal, neurons, weights, words, group, both, source, at, room, x, y, noise,
                group[PLACE] + unit * group[STEP],
            )  # fmt: skip
            if group[LAST]:
                h = observed_outputs(nonideal, rows.settled[row], j, follows, h)
                if dual.targets.size > 0:
                    missed = h - load_twice(dual.targets, sample * dual.width + j)
                    squares = squares + narrow_products(missed, missed)
                else:
                    store(dual.wide, 0, h)
                    for k in range(group[SIZE]):
                        space.outputs[0, j + k], space.outputs[1, j + k] = dual.wide[k], dual.wide[8 + k]
                continue
            near, nearby = as_pairs(h)
            if group[WIDE]:
                store_pairs(spare, j, near)
                store_pairs(spare, dual.room + j, nearby)
            if group[ENDS]:
                source, at, room = spare, 0, dual.room
                x, y = near, nearby
                if group[WIDE]:
                    x, y = load_pairs(source, 0), load_pairs(source, room)
                signals, spare = spare, signals
        if dual.targets.size > 0:
            one, other = half_totals(squares)
            one, other = mean_square(costs, np.int64(one)), mean_square(costs, np.int64(other))
        else:
            one = sample_cost(costs, space.outputs, 0, setup.targets, sample)
            other = sample_cost(costs, space.outputs, 1, setup.targets, sample)
        place = dual.places[1] + unit * dual.steps[1]
        first += min(max(one + np.int64(noise[place]), 0), costs.cost_max)
        second += min(max(other + np.int64(noise[place + 8]), 0), costs.cost_max)
    return first, second
