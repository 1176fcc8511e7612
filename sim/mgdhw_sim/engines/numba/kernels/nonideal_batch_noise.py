"""Noise of many samples side by side: draws for each, a block of eight to a lane."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import bits_of, count_bits, store_chosen
from mgdhw.compiled.kernels.gaussian_draws import FIRST_FAR, RARE_DRAWS, central_pairs, far_magnitudes
from mgdhw.compiled.kernels.gaussian_noise import FIELDS
from mgdhw.compiled.kernels.int16_pairs import scaled_pairs
from mgdhw.compiled.kernels.philox import philox_of_key, philox_twice, word_of
from mgdhw.compiled.kernels.simd import LANES, gather, load, store, store_pairs
from mgdhw.compiled.kernels.vector_math import i32, lane_numbers, lowest_bit, select, to_i32, to_u32, u32
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernel_args import zeros
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import noisy

STRIP = 2 * LANES
"""Samples that go through the network together."""
AHEAD = 512
"""Columns, of one block or of several, whose words are drawn before they become draws."""
TAIL = np.int64(Stream.TAIL)


class TailDraws(NamedTuple):
    """Tail draws, one of 128, which lie beyond the last slab of the table: they are computed apart from the others."""

    found: Any
    """Which ones: bit i of `central_pairs` of the n-th 32 words, as 64 n + i."""
    values: Any
    places: Any
    """(16,) draws, and where they go."""
    far: Any
    """(1,) how many of them take a second word, and wait."""
    far_blocks: Any
    far_places: Any
    """That word's block; eight times where the draw goes, plus 4 if it is negative, and which word it is."""


def tail_draws(columns: int, draws: int) -> TailDraws:
    """Room for those among the draws of so many columns at a time, a block of each; and of so many draws in all."""
    columns = max(columns, AHEAD)
    sizes = (FIELDS * columns + LANES, LANES, LANES, draws + LANES, draws + LANES)
    found, values, places, far_blocks, far_places = (zeros(size, np.int32) for size in sizes)
    return TailDraws(found, values, places, np.zeros(1, dtype=np.int64), far_blocks, far_places)


@njit(**INLINE)
def put(out, at, drawn, size, x, fine, top):
    """Sixteen pairs of draws, or of inputs from x[at] on and draws."""
    noise = scaled_pairs(drawn, size)
    if x is not None:
        noise = noisy(load(x, at), noise, fine, top)
    store_pairs(out, 2 * at, noise)


@njit(**INLINE)
def store_words(words, at, four):
    """Sixteen blocks of words, a vector of each."""
    store(words, at, four[0])
    store(words, at + LANES, four[1])
    store(words, at + 2 * LANES, four[2])
    store(words, at + 3 * LANES, four[3])


@njit(**INLINE)
def list_tail_draws(tail, first, found, count):
    """List the tail draws, whose bits are set, of 64 numbered from `first` on. Mostly there are two at most.

    Returns:
        How many are listed.
    """
    one = np.uint64(1)
    for _ in range(2):
        found[count] = first + np.uint64(lowest_bit(tail))
        count += np.uint64(tail != 0)
        tail &= tail - one
    while tail != 0:
        found[count] = first + np.uint64(lowest_bit(tail))
        count += one
        tail &= tail - one
    return count


@njit(**INLINE)
def put_values(tail, start, count, size, top, values, places, out):
    """Sixteen draws, or as many as there are, from `start` on, onto what is in their places.

    Always sixteen: a loop of varying length costs more, by branch mispredictions. Those that aren't there go to out's
    last element, which means nothing.
    """
    inside = i32(start) + lane_numbers() < i32(count)
    store(tail.values, 0, ((values * i32(size)) + i32(1 << 14)) >> i32(15))
    store(tail.places, 0, select(inside, places, i32(out.size - 1)))
    for k in range(LANES):
        place = np.uint64(tail.places[k])
        out[place] = min(max(np.int64(out[place]) + np.int64(tail.values[k]), -top), top)


@njit(**JIT)
def put_tail_draws(tail, words, count, far, first, vectors, width, column, row_blocks, size, top, out):
    """Put the listed tail draws where they belong; list those that take a second word apart.

    Args:
        count, far: how many are listed here and there.
        first: block that the words begin with.
        vectors: of samples to a block: one, two, or as many as there are of the only block.
        column: of the first sample.

    Returns:
        How many are there then.
    """
    shift = i32(vectors - 1 if vectors <= 2 else 31)
    for start in range(0, count, LANES):
        found = load(tail.found, start)
        number, bit = found >> i32(6), found & i32(63)
        which, half, lane = bit & i32(1), (bit >> i32(1)) & i32(1), bit >> i32(2)
        at = (number << i32(5)) + (which << i32(4)) + lane
        field = to_i32(to_u32(gather(words, at)) >> to_u32(half << i32(4))) & i32(0xFFFF)
        block, quarter = number >> i32(1) >> shift, number & i32(1)
        sample = (((number >> i32(1)) - (block << shift)) << i32(4)) + lane
        block = block + i32(first)
        pair = (block << i32(2)) + (quarter << i32(1)) + which
        place = ((pair * i32(width) + sample) << i32(1)) + half
        drawn = gather(RARE_DRAWS, field & i32(255))
        negative = field > i32(0x7FFF)
        drawn = select(negative, i32(0) - drawn, drawn)
        put_values(tail, start, count, size, top, drawn, place, out)
        more = bits_of((field & i32(255)) >= i32(FIRST_FAR))
        if start + LANES > count:
            more &= (np.uint32(1) << np.uint32(count - start)) - np.uint32(1)
        if more != 0:
            counter = (sample + i32(column)) * i32(row_blocks) + block
            store_chosen(tail.far_blocks, far, more, (counter << i32(1)) + quarter)
            kind = (which << i32(1)) | half | select(negative, i32(4), i32(0))
            store_chosen(tail.far_places, far, more, (place << i32(3)) | kind)
            far += count_bits(more)
    return far


@njit(**JIT)
def put_far(key0, key1, stream, step, layer, measurement, size, top, tail, out):
    """Draws that take a second word to where they belong."""
    last = TAIL + (layer << 8) + (measurement << 16) + (stream << 24)
    count = tail.far[0]
    tail.far[0] = 0
    for start in range(0, count, LANES):
        blocks, kind = to_u32(load(tail.far_blocks, start)), load(tail.far_places, start)
        words = philox_of_key(u32(step), u32(step >> 32), blocks, u32(last), key0, key1)
        drawn = far_magnitudes(word_of(to_u32(kind), words))
        drawn = select((kind & i32(4)) != i32(0), i32(0) - drawn, drawn)
        put_values(tail, start, count, size, top, drawn, kind >> i32(3), out)


@njit(**JIT)
def draw_lanes(
    key0, key1, stream, step, layer, measurement, row_blocks, first, end, low, high, size, x, fine, top, words, tail,
    out, width,
):  # fmt: skip
    """Noise of blocks first ... end - 1 of the samples in columns low ... high - 1: `nonideal.row_noise`.

    Words are drawn for some of them before they become draws: a processor then works on several at once. Tail draws
    wait for the others, and those of a second word for `put_far`.

    Args:
        row_blocks: to a sample.
        x: None; or `out` as lanes of pairs: inputs, which times 2^fine it is added to, within -top ... top.
        words, tail: work space.
        out: [pair][width], from column low on, pairs of 16 bits; and something behind them.
    """
    s0, s1, purpose = u32(step), u32(step >> 32), u32(stream + (layer << 8) + (measurement << 16))
    every, far = to_u32(lane_numbers()), tail.far[0]
    many = max(1, AHEAD // (high - low))
    for begin in range(first, end, many):
        stop = min(end, begin + many)
        drawn = 0
        for block in range(begin, stop):
            column = low
            while column + STRIP <= high:
                one = (u32(column) + every) * u32(row_blocks) + u32(block)
                other = one + u32(LANES * row_blocks)
                both = philox_twice(
                    (s0, s1, one, purpose), (s0, s1, other, purpose), key0, key1
                )  # fmt: skip
                store_words(words, drawn, both[0])
                store_words(words, drawn + 4 * LANES, both[1])
                drawn, column = drawn + 8 * LANES, column + STRIP
            if column < high:
                rows = (u32(column) + every) * u32(row_blocks) + u32(block)
                store_words(words, drawn, philox_of_key(s0, s1, rows, purpose, key0, key1))
                drawn += 4 * LANES
        drawn, count = 0, np.uint64(0)
        for block in range(begin, stop):
            for column in range(0, high - low, LANES):
                at = 4 * block * width + column
                for _ in range(0, FIELDS, 4):
                    g0, g1, others = central_pairs(load(words, drawn), load(words, drawn + LANES))
                    put(out, at, g0, size, x, fine, top)
                    put(out, at + width, g1, size, x, fine, top)
                    count = list_tail_draws(others, np.uint64(2 * drawn), tail.found, count)
                    drawn, at = drawn + 2 * LANES, at + 2 * width
        vectors = (high - low + LANES - 1) // LANES
        far = put_tail_draws(
            tail, words, np.int64(count), far, begin, vectors, width, low, row_blocks, size, top, out
        )  # fmt: skip
    tail.far[0] = far
