"""Cells that are written, sixteen at a time: `cells.program` in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import (
    WORDS,
    bits_of,
    fields_of,
    prefetch,
    shifted_product,
    store_twos,
    sum_pairs,
)
from mgdhw.compiled.kernels.gaussian_draws import far_draw, field_of, gaussian_pairs
from mgdhw.compiled.kernels.int16_pairs import narrow_products, scale_pairs
from mgdhw.compiled.kernels.philox import philox_twice, word_of
from mgdhw.compiled.kernels.simd import LANES, gather, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import (
    any_of,
    f64,
    floor,
    i32,
    i64,
    lowest_bit,
    select,
    sqrt,
    to_f64,
    to_i32,
    to_i64,
    to_u32,
    u32,
)
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernel_args import zeros
from mgdhw_sim.engines.numba.kernels.changed_cells import (
    AT_ONCE,
    carry_over,
    changes_of,
    find_changed,
    numbers_of,
    update_changed,
)
from mgdhw_sim.engines.numba.kernels.changed_weights import (
    append_changed_weights,
    changed_weights,
    clear_changed_weights,
)
from mgdhw_sim.engines.numba.kernels.conditions import aged
from mgdhw_sim.engines.numba.kernels.small_batch import clipped
from mgdhw_sim.engines.numba.kernels.updates import gradients_of
from mgdhw_sim.engines.numba.nonideal_args import (
    HIGH,
    LEFT,
    LOW,
    NO_TIME,
    OFFSET,
    SCALE,
    SLOPE_DOWN,
    SLOPE_UP,
    STEPS,
    UNIT_GAIN,
    VALUE,
)
from mgdhw_sim.spec import CELL_FRACTION_BITS

WRITE = int(Stream.WRITE)
LOUD = 1 << 30
"""No cell holds as much: noise beyond it is as good as this, and the sum of both has 32 bits."""


class WriteBuffers(NamedTuple):
    """Work space for cells that are written together; and what was last."""

    found: Any
    """(AT_ONCE + 32,) which cells, and by how many codes (`changed_cells.append_changed_cells`)."""
    outdated: Any
    """(AT_ONCE + 32,) numbers of the outdated ones among them, which have aged since they were written."""
    numbers: Any
    """(AT_ONCE + 32,) of all of them."""
    words: Any
    draws: Any
    """(AT_ONCE,) a word for each, and (2 AT_ONCE,) in 16 bits the two draws that come of it."""
    halves: Any
    """(2 AT_ONCE,) of each cell the value and how many writes are left, one after the other."""
    twos: Any
    """The same in words of 64 bits."""
    fine: Any
    """(AT_ONCE,) their new weights."""
    tick: Any
    """(1,) that of the last write."""
    changed_weights: Any
    """For the other thread of a team (`changed_weights.ChangedWeights`); empty if there is none."""


def write_buffers(reported: int = 0) -> WriteBuffers:
    """Work space.

    Args:
        reported: how many changed weights the other thread of a team has to be told of at most.
    """
    found, n_outdated, numbers = (zeros(AT_ONCE + 2 * LANES, np.int32) for _ in range(3))
    twos, fine = zeros(AT_ONCE, np.int64), zeros(AT_ONCE, np.int32)
    words, draws, tick = zeros(AT_ONCE, np.uint32), zeros(2 * AT_ONCE, np.int16), np.full(1, NO_TIME, dtype=np.int64)
    return WriteBuffers(
        found, n_outdated, numbers, words, draws, twos.view(np.int32), twos, fine, tick, changed_weights(reported)
    )


@njit(**INLINE)
def write(nonideal, cell_arrays, weights, codes, first, end, step, buffers):
    """Write codes of cells first ... end - 1 (first is a multiple of 32) at a step, and make their weights anew.

    Args:
        codes: (P,) of all cells, padded.

    Returns:
        Whether any is asked for another code than before.
    """
    begin_write(nonideal, cell_arrays, first, end, step, buffers)
    at, base, count, fetched, asked = np.int64(first), np.int64(first), np.int64(0), np.int64(0), False
    while at < end or count > 0:
        at, count, fetched, n_outdated, differ = find_changed(
            codes, cell_arrays.requested, cell_arrays.writable, cell_arrays.up_to_date, cell_arrays.records, at, end,
            base, buffers.found, count, fetched, buffers.outdated,
        )  # fmt: skip
        asked |= differ
        put(nonideal, cell_arrays, weights, codes, base, min(count, AT_ONCE), fetched, n_outdated, step, buffers)
        base, count, fetched = carry_over(buffers.found, at, base, count, fetched)
    return asked


@njit(**INLINE)
def update_and_write(
    nonideal, cell_arrays, weights, rule, update_state, first, end, eta, words, change, amplitude, keep, step, buffers
):
    """`updates.update_signs` of parameters first ... end - 1, and `write` of what comes of it, at once.

    `update_state.requested` holds what the cells were asked for before; they take note of the new codes there alone.
    """
    begin_write(nonideal, cell_arrays, first, end, step, buffers)
    plus, minus = gradients_of(rule, change, amplitude)
    at, base, count, fetched, asked = np.int64(first), np.int64(first), np.int64(0), np.int64(0), False
    while at < end or count > 0:
        at, count, fetched, n_outdated, differ = update_changed(
            rule, update_state, cell_arrays.writable, cell_arrays.up_to_date, cell_arrays.records, at, end, base,
            buffers.found, count, fetched, buffers.outdated, eta, words, plus, minus, keep,
        )  # fmt: skip
        asked |= differ
        put(
            nonideal,
            cell_arrays,
            weights,
            update_state.requested,
            base,
            min(count, AT_ONCE),
            fetched,
            n_outdated,
            step,
            buffers,
        )
        base, count, fetched = carry_over(buffers.found, at, base, count, fetched)
    return asked


@njit(**INLINE)
def begin_write(nonideal, cell_arrays, first, end, step, buffers):
    """If a tick has passed since the last write, no cell is up to date any more. Empties the lists."""
    current_tick = step // nonideal.drift_every if nonideal.ages else np.int64(0)
    if current_tick != buffers.tick[0]:
        cell_arrays.up_to_date[first >> 5 : (end + 31) >> 5] = 0
        buffers.tick[0] = current_tick
    store(buffers.found, 0, i32(0))
    clear_changed_weights(buffers.changed_weights)


@njit(**JIT)
def put(nonideal, cell_arrays, weights, codes, base, count, fetched, n_outdated, step, buffers):
    """Write what was found: `count` cells, `n_outdated` of them outdated, numbered from `base` on."""
    if count == 0:
        return
    if count < AT_ONCE:  # fill the last vectors with one of them again
        for start in (0, LANES):
            store(buffers.found, count + start, i32(buffers.found[count - 1]))
    for start in range(0, count, LANES):
        store(buffers.numbers, start, numbers_of(load(buffers.found, start), base))
    for k in range(fetched, count):
        prefetch(cell_arrays.records, np.uint64(buffers.numbers[k]) * np.uint64(WORDS))
    for k in range(n_outdated):
        bring_up_to_date(nonideal, cell_arrays, np.int64(buffers.outdated[k]), buffers.tick[0])
    noisy = nonideal.write_size != 0 or nonideal.pulse_size != 0
    draw(nonideal.key0, nonideal.key1, count if noisy else 0, step, buffers.numbers, buffers.words, buffers.draws)
    start = 0
    while start < count:
        if nonideal.int16_noise:
            start = write_single_pulses(
                cell_arrays.records, cell_arrays.writable, start, count, nonideal.write_size, nonideal.pulse_size,
                CELL_FRACTION_BITS - nonideal.fine_bits, nonideal.weight_top, buffers.found, buffers.numbers,
                buffers.draws, buffers.halves, buffers.fine,
            )  # fmt: skip
        if start < count:
            write_cells(nonideal, cell_arrays, codes, start, buffers)
            start += LANES
    if buffers.changed_weights.words.size > 0:
        append_changed_weights(buffers.changed_weights, base, count, buffers.found, buffers.fine)
    put_cells(cell_arrays.twos, weights.fine, buffers.numbers, count, buffers.twos, buffers.fine)
    if weights.plus.size > 0:
        put_both(weights.plus, weights.minus, weights.change, buffers.numbers, count, buffers.fine, nonideal.weight_top)


@njit(**JIT)
def bring_up_to_date(nonideal, cell_arrays, i, current_tick):
    """Replace a cell's value by what it has become with age: it will be written now."""
    cell_arrays.records[i * WORDS + VALUE] = aged(nonideal, cell_arrays, i, current_tick)
    cell_arrays.written_tick[i] = current_tick


@njit(**JIT)
def draw(key0, key1, count, step, numbers, words, draws):
    """Two draws for each of some cells, numbered 2 n and 2 n + 1, which share word n."""
    for start in range(0, count, 2 * LANES):
        cells, more = to_u32(load(numbers, start)), to_u32(load(numbers, start + LANES))
        drawn, later = philox_twice(counters(step, cells), counters(step, more), key0, key1)
        store(words, start, word_of(cells, drawn))
        store(words, start + LANES, word_of(more, later))
    for start in range(0, count, 2 * LANES):
        one, other = load(words, start), load(words, start + LANES)
        g0, g1, far = gaussian_pairs(one, other)
        store_pairs(draws, 2 * start, g0)
        store_pairs(draws, 2 * start + 2 * LANES, g1)
        while far != 0:
            bit = lowest_bit(far)
            far &= far - np.uint64(1)
            place = (bit >> 1) + 2 * LANES * (bit & 1)
            index = 2 * np.int64(numbers[start + (place >> 1)]) + (place & 1)
            draws[2 * start + place] = far_draw(field_of(one, other, bit), key0, key1, WRITE, step, index)


@njit(**INLINE)
def counters(step, cells):
    """Of the blocks with the draws of sixteen cells."""
    return u32(step), u32(step >> 32), cells >> u32(2), u32(WRITE)


@njit(**JIT)
def write_single_pulses(
    records, writable, start, count, write_size, pulse_size, bits, top, found, numbers, draws, halves, fine
):  # fmt: skip
    """What becomes of cells by a pulse each, on a chip whose noise is small enough (`NonidealConstants.int16_noise`).

    Args:
        start, count: from cell `start` of the list on, as far as the cells of a vector change by a code each.
        bits: that a cell's value has more than a fine weight.

    Returns:
        Where it ended.
    """
    low_half = i32(0xFFFF)
    while start < count:
        change = changes_of(load(found, start))
        if any_of(((change + i32(1)) & i32(~2)) != i32(0)):
            break
        fields, up = fields_of(records, numbers, start), change > i32(0)
        value, high, low, (size, step, slope) = fields[VALUE], fields[HIGH], fields[LOW], pulse_of(fields, up)
        value = clipped(value + step - shifted_product(value, slope, 1 << 19, 20), low, high)
        strengths = ((narrow_products(size, i32(pulse_size)) >> i32(12)) << i32(16)) | i32(write_size)
        value = clipped(value + sum_pairs(scale_pairs(load_pairs(draws, 2 * start), strengths)), low, high)
        store_values(writable, numbers, halves, start, value, fields[LEFT] - i32(1))
        rest, scale = rounded(value, bits), fields[SCALE]  # times the gain: itself, and times the gain less 1
        more = scale_pairs(rest << i32(16), scale) | (scale & low_half)
        store(fine, start, clipped(rest + sum_pairs(more), i32(-top - 1), i32(top)))
        start += LANES
    return start


@njit(**JIT)
def write_cells(nonideal, cell_arrays, codes, start, buffers):
    """What becomes of sixteen cells of the list, from `start` on: into the buffers."""
    fields, drawn = fields_of(cell_arrays.records, buffers.numbers, start), load_pairs(buffers.draws, 2 * start)
    noise = scaled(nonideal.write_size, (drawn << i32(16)) >> i32(16))
    if nonideal.pulsed:
        value, count = apply_pulses(nonideal, fields, changes_of(load(buffers.found, start)), drawn >> i32(16), noise)
        gain, offset = (fields[SCALE] >> i32(16)) + i32(UNIT_GAIN), (fields[SCALE] << i32(16)) >> i32(16)
    else:
        for lane in range(start, start + LANES):
            buffers.fine[lane] = codes[buffers.numbers[lane]] + (nonideal.dac.size >> 1)
        limit = i32(nonideal.cell_limit)
        value, count = clipped(gather(nonideal.dac, load(buffers.fine, start)) + noise, i32(0) - limit, limit), i32(1)
        gain, offset = fields[SCALE], fields[OFFSET]
    store_values(cell_arrays.writable, buffers.numbers, buffers.halves, start, value, fields[LEFT] - count)
    fine = rounded(value, CELL_FRACTION_BITS - nonideal.fine_bits)
    w = shifted_product(fine, gain, 1 << 14, 15) + offset
    store(buffers.fine, start, clipped(w, i32(-nonideal.weight_top - 1), i32(nonideal.weight_top)))


@njit(**INLINE)
def store_values(writable, numbers, halves, start, value, left):
    """Store the values of sixteen cells of the list, from `start` on, and how many writes are left to them."""
    worn_out = left <= i32(0)
    if any_of(worn_out):
        wear_out(writable, numbers, start, bits_of(worn_out))
    store_twos(halves, 2 * start, value, left)


@njit(**JIT)
def wear_out(writable, numbers, start, worn_out):
    """Note which cells of the list are worn out: those from `start` on whose bit is set."""
    while worn_out != 0:
        i = np.uint64(numbers[start + lowest_bit(np.uint64(worn_out))])
        writable[i >> np.uint64(5)] &= ~(np.uint32(1) << np.uint32(i & np.uint64(31)))
        worn_out &= worn_out - np.uint32(1)


@njit(**JIT)
def put_cells(records, weights, numbers, count, twos, fine):
    """What has become of some cells to where it belongs.

    Args:
        records: in words of 64 bits.
    """
    for k in range(np.uint64(count)):
        i = np.uint64(numbers[k])
        records[i * np.uint64(WORDS // 2)] = twos[k]
        weights[i] = fine[k]


@njit(**JIT)
def put_both(plus, minus, change, numbers, count, fine, top):
    """Their weights with a perturbation added, and taken away."""
    for k in range(np.uint64(count)):
        i = np.uint64(numbers[k])
        w, more = np.int64(fine[k]), np.int64(change[i])
        plus[i], minus[i] = min(w + more, top), max(w - more, -top - 1)


@njit(**INLINE)
def rounded(value, bits):
    """`datapath.shift_round` of sixteen numbers, for bits above 0."""
    return (value + i32(np.int64(1) << (bits - 1))) >> i32(bits)


@njit(**INLINE)
def scaled(size, drawn):
    """`mgdhw.random.gaussian.scaled` of sixteen draws, within LOUD."""
    if size < LOUD:
        return shifted_product(drawn, i32(size), 1 << 14, 15)
    noise = (to_i64(drawn) * i64(size) + i64(1 << 14)) >> i64(15)
    return to_i32(clipped(noise, i64(-LOUD), i64(LOUD)))


@njit(**INLINE)
def pulse_of(fields, up):
    """Size of a pulse of sixteen cells, with its sign, and how it falls off, where they go up and elsewhere."""
    size = select(up, fields[STEPS], fields[STEPS] >> i32(16)) & i32(0xFFFF)
    return size, select(up, size, i32(0) - size), select(up, fields[SLOPE_UP], fields[SLOPE_DOWN])


@njit(**INLINE)
def apply_pulses(nonideal, fields, change, drawn, noise):
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
    if nonideal.pulse_step > 0:  # less than 2⁵² over a whole number: the quotient's floor is exact
        units = (to_i64(count) << i64(CELL_FRACTION_BITS)) + i64(nonideal.pulse_step >> 1)
        count = to_i32(to_i64(floor(to_f64(units) / f64(nonideal.pulse_step))))
    value, high, low = fields[VALUE], fields[HIGH], fields[LOW]
    (size, step, slope), done = pulse_of(fields, up), i32(0)
    while any_of(done < count):
        moved = clipped(value + step - shifted_product(value, slope, 1 << 19, 20), low, high)
        value = select(done < count, moved, value)
        done = done + i32(1)
    if nonideal.pulse_size > 0:
        if any_of(count != i32(1)):  # √(2¹⁶ m) of less than 2⁵²: its floor is exact
            root = to_i64(floor(sqrt(to_f64(to_i64(count) << i64(16)))))
            strength = to_i32((to_i64(size) * i64(nonideal.pulse_size) * root) >> i64(20))
        else:  # (size · pulse_size · 2⁸) >> 20, of less than 2³⁴
            strength = shifted_product(size, i32(nonideal.pulse_size), 0, 12)
        value = value + shifted_product(drawn, strength, 1 << 14, 15)
    return clipped(value + noise, low, high), count
