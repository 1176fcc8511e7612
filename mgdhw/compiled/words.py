"""Random words in compiled code, and the draws that are made of them: `mgdhw.random` in vectors.

A vector of sixteen words holds 32 fields of 16 bits and becomes 32 draws of 16 bits in their places: lanes of pairs, as
`simd.pair_products` takes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from mgdhw.compiled.options import INLINE, JIT
from mgdhw.compiled.simd import (
    I32,
    LANES,
    Vector,
    _all,
    _gather,
    _llvm,
    _shuffled,
    _splat,
    gather,
    i32,
    intrinsic,
    leading_zeros,
    select,
    to_i32,
    to_u32,
    u32,
)
from mgdhw.compiled.target import has_feature
from mgdhw.random.gaussian import FAR_CELLS, SLABS, STRENGTH_BITS
from mgdhw.random.gaussian_tables import BORDERS, FAR, RARE
from mgdhw.random.philox import Stream

TAIL = int(Stream.TAIL)
U32 = Vector(types.uint32)
HALF = Vector(types.uint64, LANES // 2)
"""Every second one of sixteen words, in 64 bits each: what a processor multiplies at once."""
HAS_BYTE_LOOKUPS = has_feature("avx512vbmi")
"""Whether the target looks up 64 bytes in a table of 128, in its registers, in one instruction."""
HAS_WIDE_PRODUCTS = has_feature("avx512bw")
"""Whether the target multiplies 32 numbers of 16 bits and rounds the upper halves in one instruction."""

if HAS_BYTE_LOOKUPS:
    llvm.initialize_native_asmparser()

_SHORTS, _BYTES = (ir.VectorType(ir.IntType(bits), 64 * 8 // bits) for bits in (16, 8))
_WIDE = ir.VectorType(ir.IntType(32), 2 * LANES)

# --- Philox ----------------------------------------------------------------------------------------------------------


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
    """Four words for each of sixteen counters, with one key for all: `draws.philox_lanes`."""
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


# --- draws -----------------------------------------------------------------------------------------------------------

_LOW = np.append(BORDERS[(np.arange(SLABS - 1) + 1) & ~1], 0).astype(np.int64)
_STEP = np.append(np.diff(BORDERS.astype(np.int64)), 0)
"""A slab's border, the lower one of the even and the upper one of the odd, and how far it is from one to the other; no
number but 0 for what lies beyond the last."""
_RARE = np.append(RARE, [0] * FAR_CELLS).astype(np.int64)
"""What is beyond, and 0 for what takes a second word."""
FIRST_FAR = 256 - FAR_CELLS
RARE_DRAWS = _RARE.astype(np.int32)
"""Magnitudes of draws beyond the last slab, by what their fields have beside the slab."""
_FAR_BORDERS = FAR.astype(np.int32)


def _rounded_product(builder: Any, one: Any, other: Any) -> Any:
    """(one · other + 2¹⁴) >> 15 of 32 numbers of 16 bits."""
    if HAS_WIDE_PRODUCTS:
        kind = ir.FunctionType(_SHORTS, [_SHORTS, _SHORTS])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pmul.hr.sw.512")
        return builder.call(function, [one, other])
    product = builder.mul(builder.sext(one, _WIDE), builder.sext(other, _WIDE))
    product = builder.add(product, _all(_WIDE, 1 << (STRENGTH_BITS - 1)))
    return builder.trunc(builder.ashr(product, _all(_WIDE, STRENGTH_BITS)), _SHORTS)


def _looked_up(builder: Any, values: Any, places: Any, where: list[Any], elsewhere: Any = None) -> Any:
    """Entries, of a byte each, of a table at 64 places in bytes.

    Args:
        values: of the table; each 64 of them lie in a register.
        where: for each 64, the places that they are for, if none that follow are; or None.
        elsewhere: what is at other places.
    """
    kind = ir.FunctionType(_BYTES, [_BYTES] * 2)
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.permvar.qi.512")
    for mask, some in zip(where, values.reshape(-1, 64).tolist(), strict=True):
        found = builder.call(function, [ir.Constant(_BYTES, some), places]) if any(some) else _all(_BYTES, 0)
        elsewhere = found if mask is None else builder.select(mask, found, elsewhere)
    return elsewhere


def _from_registers(builder: Any, slabs: Any, rare: Any = None) -> tuple[Any, Any]:
    """Where magnitudes begin, and how far they go, of the even ones of 64 fields in bytes, and of the odd ones.

    Args:
        rare: rests, and which are beyond the last slab; or None: there all is 0.
    """

    def has(places: Any, bit: int) -> Any:
        return builder.icmp_unsigned("!=", builder.and_(places, _all(_BYTES, bit)), _all(_BYTES, 0))

    upper, eight = has(slabs, 64), _all(_SHORTS, 8)
    low, step = (
        [_looked_up(builder, part, slabs, [None, upper]) for part in (table & 255, table >> 8)]
        for table in (_LOW, _STEP)
    )
    if rare is not None:
        rests, beyond = rare
        second, third = builder.and_(beyond, has(rests, 64)), builder.and_(beyond, has(rests, 128))
        where = [beyond, second, third, builder.and_(second, third)]
        low = [
            _looked_up(builder, part, rests, where, inner)
            for part, inner in zip((_RARE & 255, _RARE >> 8), low, strict=True)
        ]

    def whole(low: Any, high: Any) -> tuple[Any, Any]:
        low, high = builder.bitcast(low, _SHORTS), builder.bitcast(high, _SHORTS)
        return _merged(builder, low, builder.shl(high, eight)), _merged(builder, builder.lshr(low, eight), high)

    return whole(*low), whole(*step)


def _merged(builder: Any, low: Any, high: Any) -> Any:
    """Numbers of 16 bits from the low bytes of some and the high bytes of others."""
    if HAS_BYTE_LOOKUPS:  # LLVM would take it for a shuffle, which is slow
        kind = ir.FunctionType(_SHORTS, [_SHORTS] * 3)
        mask = _all(_SHORTS, 0xFF)
        return builder.asm(kind, "vpternlogd $$0xE4, $3, $2, $0", "=v,0,v,v", [low, high, mask], side_effect=False)
    return builder.or_(builder.and_(low, _all(_SHORTS, 0xFF)), builder.and_(high, _all(_SHORTS, 0xFF00)))


def _middle(builder: Any, fields: Any) -> Any:
    """(2 r + 1) · 2⁶ in even slabs, and 2¹⁵ less in odd ones, which thus go down from their upper borders: the lowest
    bit of a slab's number lies beside the rest and need not be taken away."""
    kind = ir.FunctionType(_SHORTS, [_SHORTS] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fshl.v{2 * LANES}i16")
    return builder.call(function, [fields, _all(_SHORTS, 1 << 15), _all(_SHORTS, 7)])


def _from_memory(builder: Any, pairs: Any, *, rare: bool = True) -> tuple[Any, Any]:
    """Where magnitudes begin, and how far they go, of 32 fields; 0 and 0 beyond the last slab if not `rare`."""
    lanes = _llvm(I32)
    beyond = _RARE if rare else 0 * _RARE
    entries = [int(low | step << 16) for low, step in zip(_LOW[:-1], _STEP[:-1], strict=True)] + beyond.tolist()
    table = ir.Constant(ir.ArrayType(ir.IntType(32), len(entries)), entries)
    name = "slabs" if rare else "near"
    first = builder.bitcast(cgutils.global_constant(builder.module, name, table), ir.IntType(32).as_pointer())

    def fetched(fields: Any) -> Any:
        slab = builder.and_(builder.lshr(fields, _all(lanes, 8)), _all(lanes, SLABS - 1))
        rest = builder.add(builder.and_(fields, _all(lanes, 255)), _all(lanes, SLABS - 1))
        last = builder.icmp_unsigned("==", slab, _all(lanes, SLABS - 1))
        return _gather(builder, first, builder.select(last, rest, slab), lanes, 4)

    half = _all(lanes, 16)
    one, other = fetched(pairs), fetched(builder.lshr(pairs, half))
    low = builder.or_(builder.and_(one, _all(lanes, 0xFFFF)), builder.shl(other, half))
    step = builder.or_(builder.lshr(one, half), builder.and_(other, _all(lanes, 0xFFFF0000)))
    return builder.bitcast(low, _SHORTS), builder.bitcast(step, _SHORTS)


def _slabs_of(builder: Any, fields: list[Any]) -> tuple[Any, Any, Any]:
    """Of two times 32 fields, in bytes in turn of the one and the other: slabs, which have the signs for their highest
    bits; rests; and which are beyond the last slab."""
    eight = _all(_SHORTS, 8)
    slabs = builder.bitcast(_merged(builder, builder.lshr(fields[0], eight), fields[1]), _BYTES)
    rests = builder.bitcast(_merged(builder, fields[0], builder.shl(fields[1], eight)), _BYTES)
    beyond = builder.icmp_unsigned("==", builder.or_(slabs, _all(_BYTES, 0x80)), _all(_BYTES, 0xFF))
    return slabs, rests, beyond


def _drawn(builder: Any, fields: list[Any], lows: Any, steps: Any) -> list[Any]:
    """Draws, from where their magnitudes begin, and how far those go."""
    draws = []
    for field, low, step in zip(fields, lows, steps, strict=True):
        magnitude = builder.add(low, _rounded_product(builder, step, _middle(builder, field)))
        negative = builder.icmp_signed("<", field, _all(_SHORTS, 0))
        draws.append(builder.bitcast(builder.select(negative, builder.neg(magnitude), magnitude), _llvm(I32)))
    return draws


_DRAWS = types.Tuple((I32, I32, types.uint64))


@intrinsic
def gaussian_pairs(typingctx: Any, one: Any, other: Any) -> Any:
    """`gaussian.gaussians` of two times 32 fields, as lanes of pairs, but 0 where a draw takes a second word; and
    which do: bit 2 i stands for field i of the one, bit 2 i + 1 for field i of the other."""
    if one != U32 or other != U32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = [builder.bitcast(arg, _SHORTS) for arg in args]
        slabs, rests, beyond = _slabs_of(builder, fields)
        far = builder.and_(beyond, builder.icmp_unsigned(">=", rests, _all(_BYTES, FIRST_FAR)))
        if HAS_BYTE_LOOKUPS:
            lows, steps = _from_registers(builder, slabs, (rests, beyond))
        else:
            lows, steps = zip(*(_from_memory(builder, arg) for arg in args), strict=True)
        draws = _drawn(builder, fields, lows, steps)
        return context.make_tuple(builder, sig.return_type, [*draws, builder.bitcast(far, ir.IntType(64))])

    return _DRAWS(one, other), codegen


@intrinsic
def near_pairs(typingctx: Any, one: Any, other: Any) -> Any:
    """The same, but 0 for all draws beyond the last slab, and which those are: in four fifths of the time, if somebody
    else takes care of one draw in 128."""
    if one != U32 or other != U32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = [builder.bitcast(arg, _SHORTS) for arg in args]
        slabs, _, beyond = _slabs_of(builder, fields)
        if HAS_BYTE_LOOKUPS:
            lows, steps = _from_registers(builder, slabs)
        else:
            lows, steps = zip(*(_from_memory(builder, arg, rare=False) for arg in args), strict=True)
        draws = _drawn(builder, fields, lows, steps)
        return context.make_tuple(builder, sig.return_type, [*draws, builder.bitcast(beyond, ir.IntType(64))])

    return _DRAWS(one, other), codegen


@intrinsic
def scaled_pairs(typingctx: Any, pairs: Any, strength: Any) -> Any:
    """`mgdhw.random.gaussian.scaled` of lanes of pairs; the strength is the same for all."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        factor = _splat(builder, context.cast(builder, args[1], sig.args[1], types.int16), 2 * LANES)
        product = _rounded_product(builder, builder.bitcast(args[0], _SHORTS), factor)
        return builder.bitcast(product, _llvm(I32))

    return I32(pairs, strength), codegen


@intrinsic
def add_pairs(typingctx: Any, one: Any, other: Any) -> Any:
    """Sums of lanes of pairs."""
    if one != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        sums = builder.add(*(builder.bitcast(arg, _SHORTS) for arg in args))
        return builder.bitcast(sums, _llvm(I32))

    return I32(one, other), codegen


# --- one at a time ----------------------------------------------------------------------------------------------------


@intrinsic
def field_of(typingctx: Any, one: Any, other: Any, bit: Any) -> Any:
    """The field that a bit of `gaussian_pairs` stands for."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shorts = [builder.bitcast(arg, _SHORTS) for arg in args[:2]]
        every = ir.Constant(ir.VectorType(ir.IntType(32), 4 * LANES), list(range(4 * LANES)))
        bit = context.cast(builder, args[2], sig.args[2], types.int32)
        place = builder.or_(
            builder.lshr(bit, ir.Constant(bit.type, 1)),
            builder.shl(builder.and_(bit, ir.Constant(bit.type, 1)), ir.Constant(bit.type, 5)),
        )
        field = builder.extract_element(builder.shuffle_vector(*shorts, every), place)
        return builder.zext(field, ir.IntType(64))

    return types.int64(one, other, bit), codegen


@intrinsic
def lowest_bit(typingctx: Any, word: Any) -> Any:
    """The number of the lowest bit that is set in a word of 64; 64 if none is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(word), codegen


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


@njit(**JIT)
def between(low, high, rest):
    """The middle of one of the 256 equal parts of a slab."""
    return low + (((high - low) * (2 * rest + 1) + 256) >> 9)


@njit(**JIT)
def far_magnitude(word):
    """`mgdhw.random.gaussian.far_magnitudes`, of one word."""
    word = max(word, np.int64(1))
    length = np.int64(32)
    while word >> (length - 1) == 0:
        length -= 1
    after = (word << (33 - length)) & np.int64(0xFFFFFFFF)
    slab = 16 * (length - 1) + (after >> 28)
    return between(np.int64(FAR[slab]), np.int64(FAR[slab + 1]), (after >> 20) & 255)


@njit(**JIT)
def far_draw(field, key0, key1, last, step, index):
    """The draw of a field that takes a second word.

    Args:
        last: the counter's last word: stream + 256 layer + 65536 part.
        index: of the draw.
    """
    purpose = TAIL + (last & 0xFFFF00) + ((last & 255) << 24)
    low, high = step & np.int64(0xFFFFFFFF), (step >> 32) & np.int64(0xFFFFFFFF)
    magnitude = far_magnitude(philox_one(low, high, index >> 2, purpose, key0, key1, index & 3))
    return -magnitude if field >> 15 else magnitude


@njit(**INLINE)
def far_magnitudes(words):
    """`mgdhw.random.gaussian.far_magnitudes`, of sixteen words."""
    words = to_i32(select(words == u32(0), u32(1), words))
    zeros = leading_zeros(words)
    after = (words << zeros) << i32(1)
    slab = ((i32(31) - zeros) << i32(4)) + to_i32(to_u32(after) >> u32(28))
    low, rest = gather(_FAR_BORDERS, slab), (after >> i32(20)) & i32(255)
    way = (gather(_FAR_BORDERS, slab + i32(1)) - low) * (rest + rest + i32(1))
    return low + ((way + i32(256)) >> i32(9))
