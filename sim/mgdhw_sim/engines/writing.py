"""Cells that are written, sixteen at a time: `cells.program` in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import INLINE
from mgdhw.compiled.pairs import unequal
from mgdhw.compiled.simd import (
    LANES,
    any_of,
    f64,
    floor,
    gather,
    i32,
    i64,
    load,
    load_pairs,
    select,
    sqrt,
    store,
    store_pairs,
    to_f64,
    to_i32,
    to_i64,
    to_u32,
    u32,
)
from mgdhw.compiled.words import far_draw, field_of, gaussian_pairs, lowest_bit, philox_of_key
from mgdhw.philox import Stream
from mgdhw_sim.engines.flaws import (
    BORN,
    CHANGE,
    DOWN,
    GAIN,
    HIGH,
    KIND,
    LEFT,
    LIVE,
    LOW,
    OFFSET,
    SLOPE_DOWN,
    SLOPE_UP,
    UP,
    VALUE,
    WORDS,
)
from mgdhw_sim.engines.upkeep import aged
from mgdhw_sim.spec import CELL_FRACTION_BITS

WRITE = int(Stream.WRITE)


class Pen(NamedTuple):
    """Work space."""

    changed: Any
    """(P + 16,) numbers of the cells that are asked for another code."""
    changes: Any
    """By how much."""
    values: Any
    counts: Any
    fine: Any
    plus: Any
    minus: Any
    """(16,) values of cells, how many writes they took, and their new weights."""
    draws: Any
    """(32,) int16: two draws for each of sixteen cells."""


def pen(n: int) -> Pen:
    """Work space for n cells."""
    changed, changes = np.zeros(n + LANES, dtype=np.int32), np.zeros(n + LANES, dtype=np.int32)
    values, counts, fine, plus, minus = (np.zeros(LANES, dtype=np.int32) for _ in range(5))
    return Pen(changed, changes, values, counts, fine, plus, minus, np.zeros(2 * LANES, dtype=np.int16))


@njit(**INLINE)
def find_changed(codes, requested, first, end, changed):
    """Numbers of the cells first ... end - 1 whose codes differ.

    Returns:
        How many do.
    """
    count = 0
    for at in range(first, end, 32):
        bits = np.uint64(unequal(codes, requested, at))
        if at + 32 > end:
            bits &= (np.uint64(1) << np.uint64(end - at)) - np.uint64(1)
        while bits != 0:
            changed[count] = at + lowest_bit(bits)
            count += 1
            bits &= bits - np.uint64(1)
    return count


@njit(**INLINE)
def write(flaws, memory, weights, codes, first, end, step, pen):
    """Write codes of cells first ... end - 1 at a step, and make their weights anew.

    Args:
        codes: (P,) of all cells, padded.

    Returns:
        How many are asked for another code than before.
    """
    count = find_changed(codes, memory.requested, first, end, pen.changed)
    now = step // flaws.drift_every if flaws.ages else np.int64(0)
    able = 0
    for k in range(count):  # those that can be written move to the front
        i = pen.changed[k]
        change = np.int32(codes[i]) - np.int32(memory.requested[i])
        if memory.records[i * WORDS + KIND] == LIVE and memory.longs[(i * WORDS + LEFT) >> 1] > 0:
            pen.changed[able] = i
            pen.changes[able] = change
            able += 1
        memory.requested[i] = codes[i]
    for k in range(able, (able + LANES - 1) // LANES * LANES):  # fill the last vector with one of them again
        pen.changed[k] = pen.changed[able - 1]
        pen.changes[k] = pen.changes[able - 1]
    for start in range(0, able, LANES):
        write_cells(flaws, memory, weights, codes, start, min(LANES, able - start), now, step, pen)
    return count


@njit(**INLINE)
def write_cells(flaws, memory, weights, codes, start, most, now, step, pen):
    """Write up to sixteen cells, of numbers `pen.changed[start ...]`."""
    cells, records = load(pen.changed, start), memory.records
    if flaws.write_size != 0 or flaws.pulse_size != 0:
        draw(flaws, start, step, pen)
    drawn = load_pairs(pen.draws, 0)
    noise = rounded(to_i64((drawn << i32(16)) >> i32(16)) * i64(flaws.write_size), 15)
    place = cells * i32(WORDS)
    if flaws.pulsed:
        for lane in range(most):
            i = np.int64(pen.changed[start + lane])
            pen.values[lane] = records[i * WORDS + VALUE]
            if now > memory.longs[(i * WORDS + BORN) >> 1]:
                pen.values[lane] = aged(flaws, memory, i, now)
        value = move(flaws, records, place, load(pen.changes, start), drawn >> i32(16), noise, pen)
    else:
        for lane in range(LANES):
            pen.values[lane] = codes[pen.changed[start + lane]] + (flaws.dac.size >> 1)
        limit = i64(flaws.cell_limit)
        value = within(to_i64(gather(flaws.dac, load(pen.values, 0))) + noise, i64(-flaws.cell_limit), limit)
        store(pen.counts, 0, i32(1))
    top, bottom = i64(flaws.weight_top), i64(-flaws.weight_top - 1)
    fine = rounded(value, CELL_FRACTION_BITS - flaws.fine_bits)
    w = rounded(fine * to_i64(gather(records, place + i32(GAIN))), 15) + to_i64(gather(records, place + i32(OFFSET)))
    w = within(w, bottom, top)
    more = to_i64(gather(records, place + i32(CHANGE)))
    store(pen.values, 0, to_i32(value))
    store(pen.fine, 0, to_i32(w))
    store(pen.plus, 0, to_i32(within(w + more, bottom, top)))
    store(pen.minus, 0, to_i32(within(w - more, bottom, top)))
    for lane in range(most):
        i = pen.changed[start + lane]
        records[i * WORDS + VALUE] = pen.values[lane]
        memory.longs[(i * WORDS + BORN) >> 1] = now
        memory.longs[(i * WORDS + LEFT) >> 1] -= pen.counts[lane]
        weights.fine[i], weights.plus[i], weights.minus[i] = pen.fine[lane], pen.plus[lane], pen.minus[lane]


@njit(**INLINE)
def within(value, low, high):
    """Sixteen numbers within limits."""
    value = select(value > high, high, value)
    return select(value < low, low, value)


@njit(**INLINE)
def rounded(value, bits):
    """`datapath.shift_round` of sixteen numbers, for bits above 0."""
    return (value + i64(np.int64(1) << (bits - 1))) >> i64(bits)


@njit(**INLINE)
def move(flaws, records, place, change, drawn, noise, pen):
    """Sixteen cells by pulses, from `pen.values` on: `cells._pulsed`. How many goes into `pen.counts`.

    Args:
        place: of their records.
        change: in codes.
        drawn: raw draws for the pulses' noise.
        noise: of writing, scaled.
    """
    up = change > i32(0)
    count = select(up, change, i32(0) - change)
    if flaws.pulse_step > 0:  # less than 2⁵² over a whole number: the quotient's floor is exact
        units = (to_i64(count) << i64(CELL_FRACTION_BITS)) + i64(flaws.pulse_step >> 1)
        count = to_i32(to_i64(floor(to_f64(units) / f64(flaws.pulse_step))))
    store(pen.counts, 0, count)
    high, low = to_i64(gather(records, place + i32(HIGH))), to_i64(gather(records, place + i32(LOW)))
    size = select(up, gather(records, place + i32(UP)), gather(records, place + i32(DOWN)))
    slope = to_i64(select(up, gather(records, place + i32(SLOPE_UP)), gather(records, place + i32(SLOPE_DOWN))))
    step = to_i64(select(up, size, i32(0) - size))
    value, done = to_i64(load(pen.values, 0)), i32(0)
    while any_of(done < count):
        moved = within(value + step - rounded(value * slope, 20), low, high)
        value = select(done < count, moved, value)
        done = done + i32(1)
    if flaws.pulse_size > 0:
        root = to_i64(floor(sqrt(to_f64(to_i64(count) << i64(16)))))  # of less than 2⁵²: its floor is exact
        strength = (to_i64(size) * i64(flaws.pulse_size) * root) >> i64(20)
        value = value + rounded(to_i64(drawn) * strength, 15)
    return within(value + noise, low, high)


@njit(**INLINE)
def draw(flaws, start, step, pen):
    """Two draws for each of sixteen cells into `pen.draws`: those numbered 2 n and 2 n + 1, which share word n."""
    cells = to_u32(load(pen.changed, start))
    w0, w1, w2, w3 = philox_of_key(
        u32(step), u32(step >> 32), cells >> u32(2), u32(WRITE), flaws.key0, flaws.key1
    )  # fmt: skip
    odd, upper = (cells & u32(1)) != u32(0), (cells & u32(2)) != u32(0)
    word = select(upper, select(odd, w3, w2), select(odd, w1, w0))
    drawn, _, far = gaussian_pairs(word, word)
    store_pairs(pen.draws, 0, drawn)
    while far != 0:
        bit = lowest_bit(far)
        far &= far - np.uint64(1)
        field = bit >> 1
        if bit & 1 == 0:  # the other one is the same again
            index = 2 * np.int64(pen.changed[start + (field >> 1)]) + (field & 1)
            pen.draws[field] = far_draw(field_of(word, word, bit), flaws.key0, flaws.key1, WRITE, step, index)
