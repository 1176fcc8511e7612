"""Philox words in compiled code (`mgdhw.random.philox`): of many counters side by side, and of one."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import LANES, Vector, _all, _llvm, _shuffled, _splat, intrinsic
from mgdhw.compiled.kernels.vector_math import select, u32
from mgdhw.compiled.options import INLINE, JIT

U32 = Vector(types.uint32)
HALF = Vector(types.uint64, LANES // 2)
"""Every second one of sixteen words, in 64 bits each: what a processor multiplies at once."""

_HALF = _llvm(HALF)
_WORDS = _llvm(U32)
_FACTORS, _WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def _of_halves(builder: Any, one: Any, other: Any, upper: int = 0) -> Any:
    """Sixteen words: the lower (or upper) halves of 64 bits, in turn of the one and the other."""
    one, other = (builder.bitcast(arg, _WORDS) for arg in (one, other))
    lanes = [lane + which + upper for lane in range(0, LANES, 2) for which in (0, LANES)]
    return _shuffled(builder, one, other, lanes)


def _down(builder: Any, products: Any, number: int) -> Any:
    """Upper halves in the lower ones' places: by a shift or, for every second product, by a shuffle, which has another
    port of the processor than shifts have."""
    if number == 0:
        return builder.lshr(products, _all(_HALF, 32))
    words = builder.bitcast(products, _WORDS)
    return builder.bitcast(_shuffled(builder, words, words, [lane | 1 for lane in range(LANES)]), _HALF)


def _product(builder: Any, words: Any, number: int) -> Any:
    return builder.mul(builder.and_(words, _all(_HALF, 0xFFFFFFFF)), _all(_HALF, _FACTORS[number]))


def _philox(builder: Any, counters: list[Any], keys: Any) -> list[tuple[Any, ...]]:
    """Philox of some times sixteen counters, of four vectors each.

    Every second lane goes by itself, in the lower half of 64 bits, so that products need not be taken apart; what is in
    the upper half means nothing. All take turns, round by round, so that none waits for another.

    Args:
        keys: of a round and a number: a function that gives vectors of sixteen words.
    """
    state = []
    for counter in counters:
        state.append([builder.bitcast(words, _HALF) for words in counter])
        state.append([builder.lshr(builder.bitcast(words, _HALF), _all(_HALF, 32)) for words in counter])
    for number in range(_ROUNDS - 1):
        keyed = [keys(number, which) for which in (0, 1)]
        products = [(_product(builder, c0, 0), _product(builder, c2, 1)) for c0, _, c2, _ in state]
        for each, (p0, p1) in zip(state, products, strict=True):
            _, c1, _, c3 = each
            front = builder.xor(builder.xor(_down(builder, p1, 1), c1), keyed[0])
            back = builder.xor(builder.xor(_down(builder, p0, 0), c3), keyed[1])
            each[:] = front, p1, back, p0
    # In the last round, the halves meet before anything is added to them.
    front, back = (keys(_ROUNDS - 1, which) for which in (0, 1))
    out = []
    for even, odd in zip(state[::2], state[1::2], strict=True):
        (p0, q0), (p1, q1) = ([_product(builder, each[2 * which], which) for each in (even, odd)] for which in (0, 1))
        c1, c3 = (_of_halves(builder, even[which], odd[which]) for which in (1, 3))
        w0 = builder.xor(builder.xor(_of_halves(builder, p1, q1, upper=1), c1), front)
        w2 = builder.xor(builder.xor(_of_halves(builder, p0, q0, upper=1), c3), back)
        out.append((w0, _of_halves(builder, p1, q1), w2, _of_halves(builder, p0, q0)))
    return out


def _keys(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """For `_philox`, of one key for all. In a loop, they are computed once."""
    pair = [context.cast(builder, value, kind, types.uint32) for value, kind in zip(values, kinds, strict=True)]

    def key(number: int, which: int) -> Any:
        added = ir.Constant(pair[which].type, number * _WEYL[which] & 0xFFFFFFFF)
        word = builder.add(pair[which], added)
        if number == _ROUNDS - 1:
            return _splat(builder, word, LANES)
        return _splat(builder, builder.zext(word, _HALF.element), HALF.lanes)

    return key


@intrinsic
def philox_of_key(typingctx: Any, c0: Any, c1: Any, c2: Any, c3: Any, key0: Any, key1: Any) -> Any:
    """Four words for each of sixteen counters, with one key for all: `codes_and_samples.philox_lanes`."""
    if (c0, c1, c2, c3) != (U32,) * 4:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        keys = _keys(context, builder, sig.args[4:], args[4:])
        return context.make_tuple(builder, sig.return_type, _philox(builder, [args[:4]], keys)[0])

    return types.UniTuple(U32, 4)(c0, c1, c2, c3, key0, key1), codegen


@intrinsic
def philox_twice(typingctx: Any, c: Any, d: Any, key0: Any, key1: Any) -> Any:
    """`philox_of_key` of two times four vectors, in three quarters of the time."""
    four = types.UniTuple(U32, 4)
    if (c, d) != (four, four):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        keys = _keys(context, builder, sig.args[2:], args[2:])
        counters = [cgutils.unpack_tuple(builder, arg) for arg in args[:2]]
        found = [context.make_tuple(builder, four, words) for words in _philox(builder, counters, keys)]
        return context.make_tuple(builder, sig.return_type, found)

    return types.UniTuple(four, 2)(c, d, key0, key1), codegen


@njit(**INLINE)
def word_of(numbers, words):
    """Of each lane's four words the one with the number that its lowest two bits say."""
    odd, upper = (numbers & u32(1)) != u32(0), (numbers & u32(2)) != u32(0)
    return select(upper, select(odd, words[3], words[2]), select(odd, words[1], words[0]))


@intrinsic
def in_order(typingctx: Any, w0: Any, w1: Any, w2: Any, w3: Any) -> Any:
    """The words of sixteen blocks, from [word of the block][block], one block after the other: four vectors."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vectors = []
        for first in range(0, LANES, 4):
            lanes = [lane + which * LANES for lane in range(first, first + 4) for which in (0, 1)] * 2
            front, back = (_shuffled(builder, args[k], args[k + 1], lanes) for k in (0, 2))
            order = [pair + which * LANES + k for pair in range(0, 8, 2) for which in (0, 1) for k in (0, 1)]
            vectors.append(_shuffled(builder, front, back, order))
        return context.make_tuple(builder, sig.return_type, vectors)

    return types.UniTuple(U32, 4)(w0, w1, w2, w3), codegen


@njit(**JIT)
def philox_one(c0, c1, c2, c3, k0, k1, word):
    """One of the four words of one counter."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        p0 = c0 * np.uint64(0xD2511F53)
        p1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & low, (p0 >> shift) ^ c3 ^ k1, p0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    if word == 0:
        return np.int64(c0)
    if word == 1:
        return np.int64(c1)
    return np.int64(c2 if word == 2 else c3)
