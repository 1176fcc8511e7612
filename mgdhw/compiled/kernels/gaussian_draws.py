"""Gaussian draws in compiled code (`mgdhw.random.gaussian`), made of random words.

A vector of sixteen words holds 32 fields of 16 bits and becomes 32 draws of 16 bits in their places: lanes of pairs, as
`products.pair_products` takes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from mgdhw.compiled.kernels.int16_pairs import _SHORTS, _rounded_product
from mgdhw.compiled.kernels.philox import U32, philox_one
from mgdhw.compiled.kernels.simd import I32, LANES, _all, _gather, _llvm, gather, intrinsic
from mgdhw.compiled.kernels.vector_math import i32, leading_zeros, select, to_i32, to_u32, u32
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.compiled.target import has_feature
from mgdhw.random.gaussian import FAR_CELLS, SLABS
from mgdhw.random.gaussian_tables import BORDERS, FAR, RARE
from mgdhw.random.philox import Stream

TAIL = int(Stream.TAIL)
HAS_BYTE_LOOKUPS = has_feature("avx512vbmi")
"""Whether the target looks up 64 bytes in a table of 128, in its registers, in one instruction."""

if HAS_BYTE_LOOKUPS:
    llvm.initialize_native_asmparser()

_BYTES = ir.VectorType(ir.IntType(8), 4 * LANES)

_LOW = np.append(BORDERS[(np.arange(SLABS - 1) + 1) & ~1], 0).astype(np.int64)
_STEP = np.append(np.diff(BORDERS.astype(np.int64)), 0)
"""A slab's border, the lower one of the even and the upper one of the odd, and how far it is from one to the other; no
number but 0 for tail draws, beyond the last slab."""
_RARE = np.append(RARE, [0] * FAR_CELLS).astype(np.int64)
"""What is beyond, and 0 for what takes a second word."""
FIRST_FAR = 256 - FAR_CELLS
RARE_DRAWS = _RARE.astype(np.int32)
"""Magnitudes of tail draws, by what their fields have beside the slab."""
_FAR_BORDERS = FAR.astype(np.int32)


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
        rare: rests, and which are tail draws; or None: those are all 0.
    """

    def has(places: Any, bit: int) -> Any:
        return builder.icmp_unsigned("!=", builder.and_(places, _all(_BYTES, bit)), _all(_BYTES, 0))

    upper, eight = has(slabs, 64), _all(_SHORTS, 8)
    low, step = (
        [_looked_up(builder, part, slabs, [None, upper]) for part in (table & 255, table >> 8)]
        for table in (_LOW, _STEP)
    )
    if rare is not None:
        rests, tail = rare
        second, third = builder.and_(tail, has(rests, 64)), builder.and_(tail, has(rests, 128))
        where = [tail, second, third, builder.and_(second, third)]
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
    """Where magnitudes begin, and how far they go, of 32 fields; 0 and 0 for tail draws if not `rare`."""
    lanes = _llvm(I32)
    tail = _RARE if rare else 0 * _RARE
    entries = [int(low | step << 16) for low, step in zip(_LOW[:-1], _STEP[:-1], strict=True)] + tail.tolist()
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
    bits; rests; and which are tail draws."""
    eight = _all(_SHORTS, 8)
    slabs = builder.bitcast(_merged(builder, builder.lshr(fields[0], eight), fields[1]), _BYTES)
    rests = builder.bitcast(_merged(builder, fields[0], builder.shl(fields[1], eight)), _BYTES)
    tail = builder.icmp_unsigned("==", builder.or_(slabs, _all(_BYTES, 0x80)), _all(_BYTES, 0xFF))
    return slabs, rests, tail


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
        slabs, rests, tail = _slabs_of(builder, fields)
        far = builder.and_(tail, builder.icmp_unsigned(">=", rests, _all(_BYTES, FIRST_FAR)))
        if HAS_BYTE_LOOKUPS:
            lows, steps = _from_registers(builder, slabs, (rests, tail))
        else:
            lows, steps = zip(*(_from_memory(builder, arg) for arg in args), strict=True)
        draws = _drawn(builder, fields, lows, steps)
        return context.make_tuple(builder, sig.return_type, [*draws, builder.bitcast(far, ir.IntType(64))])

    return _DRAWS(one, other), codegen


@intrinsic
def central_pairs(typingctx: Any, one: Any, other: Any) -> Any:
    """The same, but 0 for all tail draws, one of 128, and which those are: in four fifths of the time. The caller makes
    them."""
    if one != U32 or other != U32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = [builder.bitcast(arg, _SHORTS) for arg in args]
        slabs, _, tail = _slabs_of(builder, fields)
        if HAS_BYTE_LOOKUPS:
            lows, steps = _from_registers(builder, slabs)
        else:
            lows, steps = zip(*(_from_memory(builder, arg, rare=False) for arg in args), strict=True)
        draws = _drawn(builder, fields, lows, steps)
        return context.make_tuple(builder, sig.return_type, [*draws, builder.bitcast(tail, ir.IntType(64))])

    return _DRAWS(one, other), codegen


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
        last: the counter's last word: stream + 256 layer + 65536 substream.
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
