"""Random words in compiled code, and the draws that are made of them: `mgdhw.philox` and `mgdhw.noise` in vectors.

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
from mgdhw.compiled.simd import I32, LANES, Vector, _all, _gather, _llvm, _shuffled, _splat, intrinsic
from mgdhw.noise import FAR_CELLS, SLABS, STRENGTH_BITS
from mgdhw.noise_tables import BORDERS, FAR, RARE
from mgdhw.philox import Stream

TAIL = int(Stream.TAIL)
U32 = Vector(types.uint32)
HALF = Vector(types.uint64, LANES // 2)
"""Every second one of sixteen words, in 64 bits each: what a processor multiplies at once."""
HAS_BYTE_LOOKUPS = bool(llvm.get_host_cpu_features().get("avx512vbmi"))
"""Whether this processor looks up 64 bytes in a table of 128, in its registers, in one instruction."""
HAS_WIDE_PRODUCTS = bool(llvm.get_host_cpu_features().get("avx512bw"))
"""Whether this processor multiplies 32 numbers of 16 bits and rounds the upper halves in one instruction."""

if HAS_BYTE_LOOKUPS:
    llvm.initialize_native_asmparser()

_SHORTS, _BYTES = (ir.VectorType(ir.IntType(bits), 64 * 8 // bits) for bits in (16, 8))
_WIDE = ir.VectorType(ir.IntType(32), 2 * LANES)

# --- Philox ----------------------------------------------------------------------------------------------------------


@intrinsic
def even(typingctx: Any, words: Any) -> Any:
    """Lanes 0, 2, ... in the lower halves of 64 bits; the upper halves mean nothing."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _llvm(HALF))

    return HALF(words), codegen


@intrinsic
def odd(typingctx: Any, words: Any) -> Any:
    """Lanes 1, 3, ... in 64 bits each."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.lshr(builder.bitcast(args[0], _llvm(HALF)), ir.Constant(_llvm(HALF), [32] * HALF.lanes))

    return HALF(words), codegen


@intrinsic
def zipped(typingctx: Any, even: Any, odd: Any) -> Any:
    """Sixteen words again, from the lower halves."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # A shuffle: the shift that would do makes LLVM multiply a product by more, in 64 bits, which is slow.
        one, other = (builder.bitcast(arg, _llvm(U32)) for arg in args)
        lanes = [lane + which for lane in range(0, LANES, 2) for which in (0, LANES)]
        return _shuffled(builder, one, other, lanes)

    return U32(even, odd), codegen


@intrinsic
def upper(typingctx: Any, words: Any) -> Any:
    """The upper halves of 64 bits in both halves: a shuffle, which has another port than products and shifts."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.bitcast(args[0], _llvm(U32))
        return builder.bitcast(_shuffled(builder, value, value, [lane | 1 for lane in range(LANES)]), _llvm(HALF))

    return HALF(words), codegen


@intrinsic
def half(typingctx: Any, value: Any) -> Any:
    """One number in all lanes of a half."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, context.cast(builder, args[0], sig.args[0], types.uint64), HALF.lanes)

    return HALF(value), codegen


@njit(**INLINE)
def _philox_half(c0, c1, c2, c3, k0, k1):
    low = half(0xFFFFFFFF)
    for _ in range(10):
        p0 = (c0 & low) * half(0xD2511F53)
        p1 = (c2 & low) * half(0xCD9E8D57)
        c0, c1, c2, c3 = upper(p1) ^ c1 ^ k0, p1, upper(p0) ^ c3 ^ k1, p0
        k0 = k0 + half(0x9E3779B9)
        k1 = k1 + half(0xBB67AE85)
    return c0, c1, c2, c3


@njit(**JIT)
def philox(c0, c1, c2, c3, k0, k1):
    """`draws.philox_lanes`, every second lane by itself, so that products need not be taken apart."""
    e0, e1, e2, e3 = _philox_half(even(c0), even(c1), even(c2), even(c3), even(k0), even(k1))
    o0, o1, o2, o3 = _philox_half(odd(c0), odd(c1), odd(c2), odd(c3), odd(k0), odd(k1))
    return zipped(e0, o0), zipped(e1, o1), zipped(e2, o2), zipped(e3, o3)


@njit(**INLINE)
def philox_of_key(c0, c1, c2, c3, key0, key1):
    """The same with one key for all lanes: in a loop, the keys of all rounds are computed once."""
    k0, k1 = half(key0), half(key1)
    e0, e1, e2, e3 = _philox_half(even(c0), even(c1), even(c2), even(c3), k0, k1)
    o0, o1, o2, o3 = _philox_half(odd(c0), odd(c1), odd(c2), odd(c3), k0, k1)
    return zipped(e0, o0), zipped(e1, o1), zipped(e2, o2), zipped(e3, o3)


@njit(**INLINE)
def philox_twice(c, d, key0, key1):
    """`philox_of_key` of two times four vectors. They take turns, round by round, so that none waits for another."""
    low, shift, m0, m1 = half(0xFFFFFFFF), half(32), half(0xD2511F53), half(0xCD9E8D57)
    k0, k1 = half(key0), half(key1)
    a0, a1, a2, a3 = even(c[0]), even(c[1]), even(c[2]), even(c[3])
    b0, b1, b2, b3 = odd(c[0]), odd(c[1]), odd(c[2]), odd(c[3])
    e0, e1, e2, e3 = even(d[0]), even(d[1]), even(d[2]), even(d[3])
    f0, f1, f2, f3 = odd(d[0]), odd(d[1]), odd(d[2]), odd(d[3])
    for _ in range(10):
        p0, p1 = (a0 & low) * m0, (a2 & low) * m1
        q0, q1 = (b0 & low) * m0, (b2 & low) * m1
        r0, r1 = (e0 & low) * m0, (e2 & low) * m1
        s0, s1 = (f0 & low) * m0, (f2 & low) * m1
        a0, a1, a2, a3 = (p1 >> shift) ^ a1 ^ k0, p1, (p0 >> shift) ^ a3 ^ k1, p0
        b0, b1, b2, b3 = (q1 >> shift) ^ b1 ^ k0, q1, (q0 >> shift) ^ b3 ^ k1, q0
        e0, e1, e2, e3 = (r1 >> shift) ^ e1 ^ k0, r1, (r0 >> shift) ^ e3 ^ k1, r0
        f0, f1, f2, f3 = (s1 >> shift) ^ f1 ^ k0, s1, (s0 >> shift) ^ f3 ^ k1, s0
        k0 = k0 + half(0x9E3779B9)
        k1 = k1 + half(0xBB67AE85)
    return (
        (zipped(a0, b0), zipped(a1, b1), zipped(a2, b2), zipped(a3, b3)),
        (zipped(e0, f0), zipped(e1, f1), zipped(e2, f2), zipped(e3, f3)),
    )


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

_LOW = np.append(BORDERS[:-1], 0).astype(np.int64)
_STEP = np.append(np.diff(BORDERS.astype(np.int64)), 0)
"""A slab's lower border, and how far it is to the next; both 0 for what lies beyond the last."""
_RARE = np.append(RARE, [0] * FAR_CELLS).astype(np.int64)
"""What is beyond, and 0 for what takes a second word."""
_FIRST_FAR = 256 - FAR_CELLS


def _rounded_product(builder: Any, one: Any, other: Any) -> Any:
    """(one · other + 2¹⁴) >> 15 of 32 numbers of 16 bits."""
    if HAS_WIDE_PRODUCTS:
        kind = ir.FunctionType(_SHORTS, [_SHORTS, _SHORTS])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pmul.hr.sw.512")
        return builder.call(function, [one, other])
    product = builder.mul(builder.sext(one, _WIDE), builder.sext(other, _WIDE))
    product = builder.add(product, _all(_WIDE, 1 << (STRENGTH_BITS - 1)))
    return builder.trunc(builder.ashr(product, _all(_WIDE, STRENGTH_BITS)), _SHORTS)


def _looked_up(builder: Any, table: Any, places: Any) -> tuple[Any, Any]:
    """Low and high bytes of entries of a table of 128, at 64 places in bytes, whose highest bits mean nothing."""
    kind = ir.FunctionType(_BYTES, [_BYTES] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.qi.512")

    def each(values: Any) -> Any:
        low, high = (ir.Constant(_BYTES, [int(value) for value in part]) for part in (values[:64], values[64:]))
        return builder.call(function, [low, places, high])

    return each(table & 255), each(table >> 8)


def _from_registers(builder: Any, slabs: Any, rests: Any, beyond: Any) -> tuple[Any, Any]:
    """Where magnitudes begin, and how far they go, of the even ones of 64 fields in bytes, and of the odd ones."""
    in_rare = zip(*(_looked_up(builder, part, rests) for part in (_RARE[:128], _RARE[128:])), strict=True)
    upper = builder.icmp_signed("<", rests, _all(_BYTES, 0))
    low = [
        builder.select(beyond, builder.select(upper, later, sooner), inner)
        for inner, (sooner, later) in zip(_looked_up(builder, _LOW, slabs), in_rare, strict=True)
    ]
    eight = _all(_SHORTS, 8)

    def whole(low: Any, high: Any) -> tuple[Any, Any]:
        low, high = builder.bitcast(low, _SHORTS), builder.bitcast(high, _SHORTS)
        return _merged(builder, low, builder.shl(high, eight)), _merged(builder, builder.lshr(low, eight), high)

    return whole(*low), whole(*_looked_up(builder, _STEP, slabs))


def _merged(builder: Any, low: Any, high: Any) -> Any:
    """Numbers of 16 bits from the low bytes of some and the high bytes of others."""
    if HAS_BYTE_LOOKUPS:  # LLVM would take it for a shuffle, which is slow
        kind = ir.FunctionType(_SHORTS, [_SHORTS] * 3)
        mask = _all(_SHORTS, 0xFF)
        return builder.asm(kind, "vpternlogd $$0xE4, $3, $2, $0", "=v,0,v,v", [low, high, mask], side_effect=False)
    return builder.or_(builder.and_(low, _all(_SHORTS, 0xFF)), builder.and_(high, _all(_SHORTS, 0xFF00)))


def _from_memory(builder: Any, pairs: Any) -> tuple[Any, Any]:
    """Where magnitudes begin, and how far they go, of 32 fields."""
    lanes = _llvm(I32)
    entries = [int(low | step << 16) for low, step in zip(_LOW[:-1], _STEP[:-1], strict=True)] + _RARE.tolist()
    table = ir.Constant(ir.ArrayType(ir.IntType(32), len(entries)), entries)
    first = builder.bitcast(cgutils.global_constant(builder.module, "slabs", table), ir.IntType(32).as_pointer())

    def fetched(fields: Any) -> Any:
        slab = builder.and_(builder.lshr(fields, _all(lanes, 8)), _all(lanes, SLABS - 1))
        rest = builder.add(builder.and_(fields, _all(lanes, 255)), _all(lanes, SLABS - 1))
        beyond = builder.icmp_unsigned("==", slab, _all(lanes, SLABS - 1))
        return _gather(builder, first, builder.select(beyond, rest, slab), lanes, 4)

    half = _all(lanes, 16)
    one, other = fetched(pairs), fetched(builder.lshr(pairs, half))
    low = builder.or_(builder.and_(one, _all(lanes, 0xFFFF)), builder.shl(other, half))
    step = builder.or_(builder.lshr(one, half), builder.and_(other, _all(lanes, 0xFFFF0000)))
    return builder.bitcast(low, _SHORTS), builder.bitcast(step, _SHORTS)


@intrinsic
def gaussian_pairs(typingctx: Any, one: Any, other: Any) -> Any:
    """`mgdhw.noise.gaussians` of two times 32 fields, as lanes of pairs, but 0 where a draw takes a second word; and
    which do: bit 2 i stands for field i of the one, bit 2 i + 1 for field i of the other."""
    if one != U32 or other != U32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields, eight = [builder.bitcast(arg, _SHORTS) for arg in args], _all(_SHORTS, 8)
        # Bytes in turn of the one and the other; the slabs' have the signs for their highest bits.
        slabs = builder.bitcast(_merged(builder, builder.lshr(fields[0], eight), fields[1]), _BYTES)
        rests = builder.bitcast(_merged(builder, fields[0], builder.shl(fields[1], eight)), _BYTES)
        beyond = builder.icmp_unsigned("==", builder.or_(slabs, _all(_BYTES, 0x80)), _all(_BYTES, 0xFF))
        far = builder.and_(beyond, builder.icmp_unsigned(">=", rests, _all(_BYTES, _FIRST_FAR)))
        if HAS_BYTE_LOOKUPS:
            lows, steps = _from_registers(builder, slabs, rests, beyond)
        else:
            lows, steps = zip(*(_from_memory(builder, arg) for arg in args), strict=True)
        draws = []
        for field, low, step in zip(fields, lows, steps, strict=True):
            rest = builder.and_(builder.shl(field, _all(_SHORTS, 7)), _all(_SHORTS, 0x7F80))
            middle = builder.or_(rest, _all(_SHORTS, 0x40))  # (2 r + 1) · 2⁶
            magnitude = builder.add(low, _rounded_product(builder, step, middle))
            negative = builder.icmp_signed("<", field, _all(_SHORTS, 0))
            draws.append(builder.bitcast(builder.select(negative, builder.neg(magnitude), magnitude), _llvm(I32)))
        return context.make_tuple(builder, sig.return_type, [*draws, builder.bitcast(far, ir.IntType(64))])

    return types.Tuple((I32, I32, types.uint64))(one, other), codegen


@intrinsic
def scaled_pairs(typingctx: Any, pairs: Any, strength: Any) -> Any:
    """`mgdhw.noise.scaled` of lanes of pairs; the strength is the same for all."""

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
    """The number of the lowest bit that is set in a word of 64, one of which is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

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
    """`mgdhw.noise.far_magnitudes`, of one word."""
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
