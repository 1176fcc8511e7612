"""Cells that are written, sixteen at a time: `cells.program` in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.options import INLINE, JIT
from mgdhw.compiled.pairs import unequal
from mgdhw.compiled.records import WORDS, count_bits, differences, fields_of, prefetch, shifted_product, store_chosen
from mgdhw.compiled.simd import (
    LANES,
    any_of,
    f64,
    floor,
    gather,
    i32,
    i64,
    lane_numbers,
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
from mgdhw.compiled.words import far_draw, field_of, gaussian_pairs, lowest_bit, philox_twice
from mgdhw.philox import Stream
from mgdhw_sim.engines.flaws import (
    GAIN,
    HIGH,
    LOW,
    NO_TIME,
    OFFSET,
    SLOPE_DOWN,
    SLOPE_UP,
    STEPS,
    VALUE,
)
from mgdhw_sim.engines.upkeep import aged
from mgdhw_sim.engines.vector import clipped
from mgdhw_sim.spec import CELL_FRACTION_BITS

WRITE = int(Stream.WRITE)
AT_ONCE = 128
"""Cells that are fetched and drawn for before they are written."""
LOUD = 1 << 30
"""No cell holds as much: noise beyond it is as good as this, and the sum of both has 32 bits."""


class Pen(NamedTuple):
    """Work space."""

    changed: Any
    """(P + 48,) numbers of the cells that are written."""
    changes: Any
    """By how many codes they are to change."""
    old: Any
    """(P + 48,) numbers of those among them that have aged."""
    tick: Any
    """(1,) that of the last write."""
    draws: Any
    """(2 AT_ONCE,) int16: two draws for each of some of them."""
    values: Any
    counts: Any
    fine: Any
    """(AT_ONCE,) their values, how many writes they took, and their new weights."""


def pen(n: int) -> Pen:
    """Work space for n cells."""
    room = n + 3 * LANES
    changed, changes, old = (np.zeros(room, dtype=np.int32) for _ in range(3))
    values, counts, fine = (np.zeros(AT_ONCE, dtype=np.int32) for _ in range(3))
    draws, tick = np.zeros(2 * AT_ONCE, dtype=np.int16), np.full(1, NO_TIME, dtype=np.int64)
    return Pen(changed, changes, old, tick, draws, values, counts, fine)


@njit(**INLINE)
def write(flaws, memory, weights, codes, first, end, step, pen):
    """Write codes of cells first ... end - 1 (first is a multiple of 32) at a step, and make their weights anew.

    Args:
        codes: (P,) of all cells, padded.

    Returns:
        Whether any is asked for another code than before.
    """
    now = step // flaws.drift_every if flaws.ages else np.int64(0)
    if now != pen.tick[0]:
        memory.young[first >> 5 : (end + 31) >> 5] = 0
        pen.tick[0] = now
    asked, count, old = find_changed(
        codes, memory.requested, memory.able, memory.young, first, end, pen.changed, pen.changes, pen.old
    )
    for k in range(old):
        make_young(flaws, memory, np.int64(pen.old[k]), now)
    if count > 0:
        for start in (0, LANES):  # fill the last vectors with one of them again
            store(pen.changed, count + start, i32(pen.changed[count - 1]))
        store(pen.changes, count, i32(pen.changes[count - 1]))
        noisy = flaws.write_size != 0 or flaws.pulse_size != 0
        for begin in range(0, count, AT_ONCE):  # of so many, what is fetched and drawn stays in the nearest cache
            stop = min(count, begin + AT_ONCE)
            draw(flaws.key0, flaws.key1, memory.records, begin, stop, step, noisy, pen.changed, pen.draws)
            for start in range(begin, stop, LANES):
                move_cells(flaws, memory, codes, start, start - begin, pen)
            put_cells(
                memory.records, memory.left, memory.able, weights.fine, pen.changed, begin, stop, pen.values,
                pen.counts, pen.fine,
            )  # fmt: skip
            if weights.plus.size > 0:
                put_both(
                    weights.plus, weights.minus, weights.change, pen.changed, begin, stop, pen.fine, flaws.weight_top
                )
    return asked


@njit(**JIT)
def find_changed(codes, requested, able, young, first, end, changed, changes, olds):
    """Cells that are asked for another code than before, and can be written: their numbers, and by how many codes.

    All take note of the code.

    Args:
        olds: numbers of those that were not written at this tick before.

    Returns:
        Whether any is asked for another code; how many are written; and how many of these are old.
    """
    asked, count, old, lanes = np.uint32(0), np.int64(0), np.int64(0), lane_numbers()
    for at in range(first, end, 32):
        bits, word = unequal(codes, requested, at), np.uint64(at) >> np.uint64(5)
        if at + 32 > end:
            bits &= (np.uint32(1) << np.uint32(end - at)) - np.uint32(1)
        if bits == 0:
            continue
        asked |= bits
        bits &= able[word]
        aging = bits & ~young[word]
        if aging != 0:
            young[word] |= aging
            while aging != 0:
                olds[old] = at + lowest_bit(np.uint64(aging))
                old += 1
                aging &= aging - np.uint32(1)
        one, other = differences(codes, requested, at)
        low, high = bits & np.uint32(0xFFFF), bits >> np.uint32(16)
        between = count + count_bits(low)
        store_chosen(changed, count, low, i32(at) + lanes)
        store_chosen(changes, count, low, one)
        store_chosen(changed, between, high, i32(at + LANES) + lanes)
        store_chosen(changes, between, high, other)
        count = between + count_bits(high)
        if at + 32 <= end:
            store_pairs(requested, at, load_pairs(codes, at))
        else:
            for i in range(at, end):
                requested[i] = codes[i]
    return asked != 0, count, old


@njit(**JIT)
def make_young(flaws, memory, i, now):
    """Make a cell what it has become by now, as it will be written now."""
    memory.records[i * WORDS + VALUE] = aged(flaws, memory, i, now)
    memory.born[i] = now


@njit(**JIT)
def draw(key0, key1, records, begin, stop, step, noisy, changed, draws):
    """Two draws for each of some cells, numbered 2 n and 2 n + 1, which share word n; their records are fetched."""
    for place in range(np.uint64(begin), np.uint64(stop)):
        prefetch(records, np.uint64(changed[place]) * np.uint64(WORDS))
    for start in range(begin, stop if noisy else begin, 2 * LANES):
        cells, more = to_u32(load(changed, start)), to_u32(load(changed, start + LANES))
        drawn, later = philox_twice(counters(step, cells), counters(step, more), key0, key1)
        one, other = word_of(cells, drawn), word_of(more, later)
        g0, g1, far = gaussian_pairs(one, other)
        at = 2 * (start - begin)
        store_pairs(draws, at, g0)
        store_pairs(draws, at + 2 * LANES, g1)
        while far != 0:
            bit = lowest_bit(far)
            far &= far - np.uint64(1)
            place = (bit >> 1) + 2 * LANES * (bit & 1)
            index = 2 * np.int64(changed[start + (place >> 1)]) + (place & 1)
            draws[at + place] = far_draw(field_of(one, other, bit), key0, key1, WRITE, step, index)


@njit(**INLINE)
def counters(step, cells):
    """Of the blocks with the draws of sixteen cells."""
    return u32(step), u32(step >> 32), cells >> u32(2), u32(WRITE)


@njit(**INLINE)
def word_of(cells, words):
    """Of each cell's block the word with its draws."""
    odd, upper = (cells & u32(1)) != u32(0), (cells & u32(2)) != u32(0)
    return select(upper, select(odd, words[3], words[2]), select(odd, words[1], words[0]))


@njit(**INLINE)
def move_cells(flaws, memory, codes, start, out, pen):
    """What becomes of sixteen cells, of numbers `pen.changed[start ...]`: into the pen, from there on."""
    fields, drawn = fields_of(memory.records, pen.changed, start), load_pairs(pen.draws, 2 * out)
    noise = scaled(flaws.write_size, (drawn << i32(16)) >> i32(16))
    if flaws.pulsed:
        value, count = move(flaws, fields, load(pen.changes, start), drawn >> i32(16), noise)
    else:
        for lane in range(LANES):
            pen.values[out + lane] = codes[pen.changed[start + lane]] + (flaws.dac.size >> 1)
        limit = i32(flaws.cell_limit)
        value, count = clipped(gather(flaws.dac, load(pen.values, out)) + noise, i32(0) - limit, limit), i32(1)
    fine = rounded(value, CELL_FRACTION_BITS - flaws.fine_bits)
    w = shifted_product(fine, fields[GAIN], 1 << 14, 15) + fields[OFFSET]
    store(pen.values, out, value)
    store(pen.counts, out, count)
    store(pen.fine, out, clipped(w, i32(-flaws.weight_top - 1), i32(flaws.weight_top)))


@njit(**JIT)
def put_cells(records, lefts, able, weights, changed, begin, stop, values, counts, fine):
    """What has become of some cells to where it belongs."""
    for k in range(np.uint64(stop - begin)):
        i = np.uint64(changed[k + np.uint64(begin)])
        records[i * np.uint64(WORDS) + np.uint64(VALUE)] = values[k]
        weights[i] = fine[k]
        left = lefts[i] - counts[k]
        lefts[i] = left
        if left <= 0:
            able[i >> np.uint64(5)] &= ~(np.uint32(1) << np.uint32(i & np.uint64(31)))


@njit(**JIT)
def put_both(plus, minus, change, changed, begin, stop, fine, top):
    """Their weights with a perturbation added, and taken away."""
    for k in range(np.uint64(stop - begin)):
        i = np.uint64(changed[k + np.uint64(begin)])
        w, more = np.int64(fine[k]), np.int64(change[i])
        plus[i], minus[i] = min(w + more, top), max(w - more, -top - 1)


@njit(**INLINE)
def rounded(value, bits):
    """`datapath.shift_round` of sixteen numbers, for bits above 0."""
    return (value + i32(np.int64(1) << (bits - 1))) >> i32(bits)


@njit(**INLINE)
def scaled(size, drawn):
    """`mgdhw.noise.scaled` of sixteen draws, within LOUD."""
    if size < LOUD:
        return shifted_product(drawn, i32(size), 1 << 14, 15)
    noise = (to_i64(drawn) * i64(size) + i64(1 << 14)) >> i64(15)
    return to_i32(clipped(noise, i64(-LOUD), i64(LOUD)))


@njit(**INLINE)
def move(flaws, fields, change, drawn, noise):
    """Sixteen cells by pulses: `cells._pulsed`. All numbers are below 2³⁰ (`spec.PULSED_BITS`).

    Args:
        fields: of their records.
        change: in codes.
        drawn: raw draws for the pulses' noise.
        noise: of writing, scaled.

    Returns:
        Their values; how many pulses they got.
    """
    up = change > i32(0)
    count = select(up, change, i32(0) - change)
    if flaws.pulse_step > 0:  # less than 2⁵² over a whole number: the quotient's floor is exact
        units = (to_i64(count) << i64(CELL_FRACTION_BITS)) + i64(flaws.pulse_step >> 1)
        count = to_i32(to_i64(floor(to_f64(units) / f64(flaws.pulse_step))))
    value, high, low = fields[VALUE], fields[HIGH], fields[LOW]
    size = select(up, fields[STEPS], fields[STEPS] >> i32(16)) & i32(0xFFFF)
    slope = select(up, fields[SLOPE_UP], fields[SLOPE_DOWN])
    step, done = select(up, size, i32(0) - size), i32(0)
    while any_of(done < count):
        moved = clipped(value + step - shifted_product(value, slope, 1 << 19, 20), low, high)
        value = select(done < count, moved, value)
        done = done + i32(1)
    if flaws.pulse_size > 0:
        if any_of(count != i32(1)):  # √(2¹⁶ m) of less than 2⁵²: its floor is exact
            root = to_i64(floor(sqrt(to_f64(to_i64(count) << i64(16)))))
            strength = to_i32((to_i64(size) * i64(flaws.pulse_size) * root) >> i64(20))
        else:  # (size · pulse_size · 2⁸) >> 20, of less than 2³⁴
            strength = shifted_product(size, i32(flaws.pulse_size), 0, 12)
        value = value + shifted_product(drawn, strength, 1 << 14, 15)
    return clipped(value + noise, low, high), count
