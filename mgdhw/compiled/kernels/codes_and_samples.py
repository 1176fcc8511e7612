"""Random numbers in compiled code, many at a time: `mgdhw.random` and `mgdhw.codes.random`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.simd import LANES, gather, store
from mgdhw.compiled.kernels.vector_math import any_of, i32, lane_numbers, select, to_i32, to_u32, to_u64, u32, u64
from mgdhw.compiled.options import JIT
from mgdhw.random.philox import Stream
from mgdhw.random.sample_order import ORDER_ROUNDS

CODES = int(Stream.CODES)
ORDER = int(Stream.ORDER)
WORDS_PER_LINE = 16
"""32-bit words to a cache line."""


class Order(NamedTuple):
    """`mgdhw.random.sample_order.SampleOrder` as kernels take it."""

    key0: int
    key1: int
    n: int
    batch: int
    tau_x: int
    bits: int
    """Bits of a place."""


@njit(**JIT)
def philox_lanes(c0, c1, c2, c3, k0, k1):
    """Four words for each of sixteen counters, with a key for each."""
    for _ in range(10):
        p0 = to_u64(c0) * u64(0xD2511F53)
        p1 = to_u64(c2) * u64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            to_u32(p1 >> u64(32)) ^ c1 ^ k0,
            to_u32(p1),
            to_u32(p0 >> u64(32)) ^ c3 ^ k1,
            to_u32(p0),
        )
        k0 = k0 + u32(0x9E3779B9)
        k1 = k1 + u32(0xBB67AE85)
    return c0, c1, c2, c3


def words_in_row(n_parameters: int) -> int:
    """Words that `sign_words` needs for a probe: with room to read beyond the end, and an odd number of cache lines, so
    that rows that are read side by side fall into different sets of the cache."""
    lines = (n_parameters + 127) // 128 * 4 // WORDS_PER_LINE + 2
    return (lines | 1) * WORDS_PER_LINE


@njit(**JIT)
def sign_words(key0, key1, first, count, stride, start, size, spare, words):
    """Sign bits of parameters `start` ... `start + size - 1` at consecutive steps; bit i of a row is parameter i's.

    Args:
        first, count: steps of the code.
        stride: rows from one step to the next.
        spare: (64,) work space.
        words: rows; row number r * stride belongs to step first + r.
    """
    low, high = start >> 7, (start + size + 127) >> 7
    k0, k1, zero = u32(key0), u32(key1), u32(0)
    stream = zero + u32(CODES)
    lanes = to_u32(lane_numbers())
    if high - low >= LANES // 2:
        for row in range(count):
            step = np.uint64(first + row)
            s0, s1 = u32(step & np.uint64(0xFFFFFFFF)), u32(step >> np.uint64(32))
            out = words[row * stride]
            for block in range(low, high, LANES):
                w0, w1, w2, w3 = philox_lanes(s0, s1, u32(block) + lanes, stream, k0, k1)
                store(spare, 0, w0)
                store(spare, 16, w1)
                store(spare, 32, w2)
                store(spare, 48, w3)
                most = min(LANES, high - block)
                for lane in range(most):
                    for word in range(4):
                        out[(block + lane) * 4 + word] = spare[word * 16 + lane]
        return
    for row in range(0, count, LANES):
        step = u64(first + row) + to_u64(lanes)
        s0, s1 = to_u32(step), to_u32(step >> u64(32))
        most = min(LANES, count - row)
        for block in range(low, high):
            w0, w1, w2, w3 = philox_lanes(s0, s1, u32(block), stream, k0, k1)
            store(spare, 0, w0)
            store(spare, 16, w1)
            store(spare, 32, w2)
            store(spare, 48, w3)
            for lane in range(most):
                for word in range(4):
                    words[(row + lane) * stride, block * 4 + word] = spare[word * 16 + lane]


@njit(**JIT)
def order_keys(order, first, spare, keys):
    """Additions and factors of the permutations of sixteen epochs; those of epoch first + e into keys[16 e ...]."""
    epoch = u64(first) + to_u64(lane_numbers())
    e0, e1 = to_u32(epoch), to_u32(epoch >> u64(32))
    k0, k1, stream = u32(order.key0), u32(order.key1), u32(ORDER)
    for block in range(ORDER_ROUNDS // 2):
        w0, w1, w2, w3 = philox_lanes(e0, e1, u32(block), stream, k0, k1)
        if block >= ORDER_ROUNDS // 4:
            one = u32(1)
            w0, w1, w2, w3 = w0 | one, w1 | one, w2 | one, w3 | one
        store(spare, 0, w0)
        store(spare, 16, w1)
        store(spare, 32, w2)
        store(spare, 48, w3)
        for lane in range(LANES):
            for word in range(4):
                keys[lane * 16 + 4 * block + word] = spare[word * 16 + lane]


@njit(**JIT)
def permuted(order, row, x, keys):
    """Sixteen places, each in the epoch whose keys begin at `row`, once through the rounds: `sample_order.permute`."""
    mask = u32((np.int64(1) << order.bits) - 1)
    fold = u32((order.bits + 1) // 2)
    for r in range(ORDER_ROUNDS):
        add, factor = gather(keys, row + i32(r)), gather(keys, row + i32(ORDER_ROUNDS + r))
        x = ((x + add) * factor) & mask
        x = x ^ (x >> fold)
    return x


@njit(**JIT)
def fill_samples(order, first, count, spare, keys, samples):
    """Samples of batches first ... first + count - 1, one after the other: `SampleOrder.samples`.

    Args:
        spare: (64,) work space.
        keys: (256,) work space.
        samples: has room for fifteen more than are asked for.
    """
    position, total = first * order.batch, count * order.batch
    epoch, n = position // order.n, i32(order.n)
    place = i32(position % order.n) + lane_numbers()
    row = i32(0)  # of the keys of a lane's epoch
    order_keys(order, epoch, spare, keys)
    for done in range(0, total, LANES):
        while any_of(place >= n):
            beyond = place >= n
            place = select(beyond, place - n, place)
            row = select(beyond, row + i32(LANES), row)
        if any_of(row >= i32(LANES * LANES)):  # from the first lane's epoch on, sixteen epochs hold all lanes
            skipped = (position + done) // order.n - epoch
            epoch += skipped
            row = row - i32(skipped * LANES)
            order_keys(order, epoch, spare, keys)
        x = permuted(order, row, to_u32(place), keys)
        while any_of(to_i32(x) >= n):
            x = select(to_i32(x) >= n, permuted(order, row, x, keys), x)
        store(samples, done, to_i32(x))
        place = place + i32(LANES)
