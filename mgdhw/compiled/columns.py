"""Noise of many samples side by side, a sample to a column: `fill_lanes` for any number of them, onto inputs or not.

Three things make it faster than sixteen columns at a time, each by itself. Words are drawn for some blocks before they
become draws, and for two vectors at once, so that nothing waits. Columns that would fill a quarter or a half of a
vector share it with those of the blocks that follow. Draws that take second words are put down in a list and drawn
sixteen at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types

from mgdhw.compiled.noise import FIELDS
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.compiled.pairs import clip_pairs, shift_pairs
from mgdhw.compiled.simd import (
    I32,
    LANES,
    _pointer,
    _shuffled,
    gather,
    i32,
    intrinsic,
    lane_numbers,
    leading_zeros,
    load,
    select,
    store,
    store_pairs,
    to_i32,
    to_u32,
    u32,
)
from mgdhw.compiled.words import (
    TAIL,
    add_pairs,
    gaussian_pairs,
    lowest_bit,
    philox_of_key,
    philox_twice,
    scaled_pairs,
)
from mgdhw.noise_tables import FAR

AHEAD = 1024
"""Columns, of several blocks, whose words are drawn before they become draws."""
QUARTER = LANES // 4
ROOM = 512
"""For draws that take second words, before they are drawn; a multiple of 64, which is how many may come at once."""
BORDERS = FAR.astype(np.int32)


class Space(NamedTuple):
    """Work space."""

    blocks: int
    """How many are drawn before they become draws; even."""
    words: Any
    """Words that become draws."""
    masks: Any
    wheres: Any
    """Of each 64 fields some of which take second words, which do; and where they belong, times 2³², plus where their
    words are."""
    far: Any
    """(3 ROOM,) draws that take second words: blocks of those; word of the block + 4 where the draw is negative; and
    where it belongs."""
    wide: Any
    """(16,) some of them, scaled."""


def space(columns: int) -> Space:
    """Work space for so many columns at most."""
    blocks = max(2, AHEAD // columns // 2 * 2)
    vectors = -(-columns // LANES) * blocks
    words = np.zeros(4 * LANES * vectors, dtype=np.uint32)
    masks, wheres = np.zeros(2 * vectors + 1, dtype=np.uint64), np.zeros(2 * vectors + 1, dtype=np.int64)
    return Space(blocks, words, masks, wheres, np.zeros(3 * ROOM, dtype=np.uint32), np.zeros(LANES, dtype=np.int32))


# --- quarters of vectors ----------------------------------------------------------------------------------------------

_QUARTER = ir.VectorType(ir.IntType(32), QUARTER)


@intrinsic
def load_quarters(typingctx: Any, array: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four consecutive numbers of 32 bits from each of four places on."""
    if array.dtype.bitwidth != 32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        loaded = []
        for kind, index in zip(sig.args[1:], args[1:], strict=True):
            pointer = _pointer(context, builder, sig.args[0], args[0], context.cast(builder, index, kind, types.intp))
            loaded.append(builder.load(builder.bitcast(pointer, _QUARTER.as_pointer()), align=4))
        halves = [_shuffled(builder, loaded[k], loaded[k + 1], list(range(2 * QUARTER))) for k in (0, 2)]
        return _shuffled(builder, halves[0], halves[1], list(range(LANES)))

    return I32(array, a, b, c, d), codegen


@intrinsic
def store_quarters(typingctx: Any, array: Any, a: Any, b: Any, c: Any, d: Any, value: Any) -> Any:
    """Write eight consecutive numbers of 16 bits, of lanes of pairs, to each of four places, counted in pairs."""
    if array.dtype.bitwidth != 16 or value != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        for number, (kind, index) in enumerate(zip(sig.args[1:5], args[1:5], strict=True)):
            place = builder.shl(context.cast(builder, index, kind, types.intp), ir.Constant(ir.IntType(64), 1))
            pointer = _pointer(context, builder, sig.args[0], args[0], place)
            first = QUARTER * number
            part = _shuffled(builder, args[5], args[5], list(range(first, first + QUARTER)))
            builder.store(part, builder.bitcast(pointer, _QUARTER.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, a, b, c, d, value), codegen


# --- draws ------------------------------------------------------------------------------------------------------------


@njit(**INLINE)
def store_words(words, at, w):
    """Four vectors."""
    store(words, at, w[0])
    store(words, at + LANES, w[1])
    store(words, at + 2 * LANES, w[2])
    store(words, at + 3 * LANES, w[3])


@njit(**INLINE)
def put(draws, at, size, x, fine, top, out):
    """Draws, scaled, or inputs with them."""
    noise = scaled_pairs(draws, size)
    if x is not None:
        noise = clip_pairs(add_pairs(shift_pairs(load(x, at), fine), noise), top)
    store_pairs(out, 2 * at, noise)


@njit(**INLINE)
def put_quarters(draws, a, b, c, d, size, x, fine, top, out):
    """The same in four places."""
    noise = scaled_pairs(draws, size)
    if x is not None:
        noise = clip_pairs(add_pairs(shift_pairs(load_quarters(x, a, b, c, d), fine), noise), top)
    store_quarters(out, a, b, c, d, noise)


@njit(**INLINE)
def keep(space, found, far, at, source):
    """Keep fields that take second words, if any do, and where they are; how many times there were any now."""
    space.masks[np.uint64(found)] = far
    space.wheres[np.uint64(found)] = at << 32 | source
    return found + np.int64(far != 0)


@njit(**JIT)
def note(space, number, count, whole, shift, stop, row_blocks, width):
    """Put down the draws of some fields that were kept; how many there are now.

    Args:
        count: how many there were.
        whole, shift, stop: `fill_columns`.
    """
    far, at, source = space.masks[number], space.wheres[number] >> 32, space.wheres[number] & 0xFFFFFFFF
    row, first = at // width, at % width
    if first < whole:
        shift = 4
    while far != 0:
        bit = lowest_bit(far)
        far &= far - np.uint64(1)
        which, lane, half = bit & 1, bit >> 2, (bit >> 1) & 1
        block, column = min((row >> 2) + (lane >> shift), stop - 1), first + (lane & ((1 << shift) - 1))
        word = (row & 3) + which
        index = FIELDS * (column * row_blocks + block) + 2 * word + half
        negative = (np.int64(space.words[source + LANES * which + lane]) >> (16 * half + 15)) & 1
        space.far[count] = np.uint32(index >> 2)
        space.far[ROOM + count] = np.uint32((index & 3) | negative << 2)
        space.far[2 * ROOM + count] = np.uint32(2 * ((4 * block + word) * width + column) + half)
        count += 1
    return count


@njit(**JIT)
def put_noted(key0, key1, last, step, size, x, fine, top, space, count, out):
    """Draw what was put down, and write it where it belongs."""
    s0, s1 = u32(step), u32(step >> 32)
    purpose = u32(TAIL + (last & 0xFFFF00) + ((last & 255) << 24))
    for begin in range(0, count, LANES):
        kind = load(space.far, ROOM + begin)
        w0, w1, w2, w3 = philox_of_key(s0, s1, load(space.far, begin), purpose, key0, key1)
        odd, upper = (kind & u32(1)) != u32(0), (kind & u32(2)) != u32(0)
        magnitude = far_magnitudes(select(upper, select(odd, w3, w2), select(odd, w1, w0)))
        draw = select((kind & u32(4)) != u32(0), i32(0) - magnitude, magnitude)
        store(space.wide, 0, (draw * i32(size) + i32(1 << 14)) >> i32(15))
        for number in range(min(LANES, count - begin)):
            place, value = np.int64(space.far[2 * ROOM + begin + number]), np.int64(space.wide[number])
            if x is not None:
                pair = np.int64(x[place >> 1])
                value += ((pair >> 16) if place & 1 else np.int64(np.int16(pair & 0xFFFF))) << fine
                value = min(max(value, -top), top)
            out[place] = value


@njit(**INLINE)
def far_magnitudes(words):
    """`mgdhw.noise.far_magnitudes`."""
    words = select(words == u32(0), u32(1), words)
    zeros = leading_zeros(words)
    after = (words << zeros) << u32(1)
    slabs = to_i32((u32(31) - zeros) * u32(16) + (after >> u32(28)))
    rest = to_i32((after >> u32(20)) & u32(255))
    low, high = gather(BORDERS, slabs), gather(BORDERS, slabs + i32(1))
    return low + (((high - low) * (rest + rest + i32(1)) + i32(256)) >> i32(9))


@njit(**JIT)
def fill_columns(key0, key1, last, step, row_blocks, first, end, low, high, size, x, fine, top, space, out, width):
    """Noise of blocks first ... end - 1 of the samples in columns low ... high - 1.

    Sample b has the indices from 8 b row_blocks on.

    Args:
        last: of the counter's words: stream + 256 layer + 65536 part.
        row_blocks: to a sample.
        low: a multiple of sixteen.
        high: beyond, up to a multiple of sixteen, anything may be written.
        size: the noise's strength.
        x, fine, top: [pair][width] inputs that it is added to, after multiplication by 2**fine, within -top ... top; or
            None.
        out: int16 [pair][width][2], from block 0 on.
    """
    s0, s1, purpose = u32(step), u32(step >> 32), u32(last)
    lanes, count = to_u32(lane_numbers()), 0
    rest, span, shift = (high - low) % LANES, LANES, 4
    if 0 < rest <= QUARTER:
        span, shift = QUARTER, 2
    elif 0 < rest <= 2 * QUARTER:
        span, shift = 2 * QUARTER, 3
    whole, parts = high - rest if span < LANES else high, LANES // span
    every, blocks = lanes * u32(row_blocks), lanes >> u32(shift)
    shared = (u32(whole) + (lanes & u32(span - 1))) * u32(row_blocks)
    many, words = space.blocks, space.words
    stride = 8 * LANES * ((whole - low + LANES - 1) // LANES)
    for begin in range(first, end, many):
        stop, drawn = min(end, begin + many), 0
        for block in range(begin, stop, 2):
            for column in range(low, whole, LANES):
                place = column * row_blocks + block
                if block + 1 < stop:
                    one, other = every + u32(place), every + u32(place + 1)
                    both = philox_twice((s0, s1, one, purpose), (s0, s1, other, purpose), key0, key1)
                    store_words(words, drawn, both[0])
                    store_words(words, drawn + 4 * LANES, both[1])
                else:
                    store_words(words, drawn, philox_of_key(s0, s1, every + u32(place), purpose, key0, key1))
                drawn += 8 * LANES
        if whole < high:
            for block in range(begin, stop, 2 * parts):
                latest = u32(stop - 1)
                one, other = u32(block) + blocks, u32(block + parts) + blocks
                one, other = select(one < latest, one, latest), select(other < latest, other, latest)
                both = philox_twice(
                    (s0, s1, shared + one, purpose), (s0, s1, shared + other, purpose), key0, key1
                )  # fmt: skip
                store_words(words, drawn, both[0])
                store_words(words, drawn + 4 * LANES, both[1])
                drawn += 8 * LANES
        found = 0
        for block in range(begin, stop):
            for field in range(0, FIELDS, 4):
                at = (4 * block + (field >> 1)) * width + low
                source = ((block - begin) >> 1) * stride + 4 * LANES * ((block - begin) & 1) + 8 * field
                for _ in range(low, whole, LANES):
                    g0, g1, far = gaussian_pairs(load(words, source), load(words, source + LANES))
                    put(g0, at, size, x, fine, top, out)
                    put(g1, at + width, size, x, fine, top, out)
                    found = keep(space, found, far, at, source)
                    at, source = at + LANES, source + 8 * LANES
        source = ((stop - begin + 1) >> 1) * stride
        for block in range(begin, stop if whole < high else begin, parts):
            a = 4 * block * width + whole
            b = 4 * min(block + QUARTER // span, stop - 1) * width + whole + QUARTER % span
            c = 4 * min(block + 2 * QUARTER // span, stop - 1) * width + whole + 2 * QUARTER % span
            d = 4 * min(block + 3 * QUARTER // span, stop - 1) * width + whole + 3 * QUARTER % span
            for _ in range(2):
                g0, g1, far = gaussian_pairs(load(words, source), load(words, source + LANES))
                found = keep(space, found, far, a, source)
                put_quarters(g0, a, b, c, d, size, x, fine, top, out)
                a, b, c, d = a + width, b + width, c + width, d + width
                put_quarters(g1, a, b, c, d, size, x, fine, top, out)
                a, b, c, d, source = a + width, b + width, c + width, d + width, source + 2 * LANES
        for number in range(found):
            if count > ROOM - 4 * LANES:
                put_noted(key0, key1, last, step, size, x, fine, top, space, count, out)
                count = 0
            count = note(space, number, count, whole, shift, stop, row_blocks, width)
    put_noted(key0, key1, last, step, size, x, fine, top, space, count, out)
