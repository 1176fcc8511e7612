"""More of lanes of pairs (`simd.pair_products`): 32 numbers of 16 bits, scaled, clipped and chosen one by one."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.simd import I32, LANES, _llvm, _pointer, _splat, intrinsic
from mgdhw.compiled.words import _SHORTS, HAS_WIDE_PRODUCTS, _rounded_product

_SIGNS = ir.VectorType(ir.IntType(1), 2 * LANES)


@intrinsic
def scale_pairs(typingctx: Any, pairs: Any, strengths: Any) -> Any:
    """`mgdhw.random.gaussian.scaled`, with a strength for each number."""
    if pairs != I32 or strengths != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        product = _rounded_product(builder, *(builder.bitcast(arg, _SHORTS) for arg in args))
        return builder.bitcast(product, _llvm(I32))

    return I32(pairs, strengths), codegen


@intrinsic
def shift_pairs(typingctx: Any, pairs: Any, bits: Any) -> Any:
    """Numbers times 2ᵇ."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = _splat(builder, context.cast(builder, args[1], sig.args[1], types.int16), 2 * LANES)
        return builder.bitcast(builder.shl(builder.bitcast(args[0], _SHORTS), count), _llvm(I32))

    return I32(pairs, bits), codegen


@intrinsic
def clip_pairs(typingctx: Any, pairs: Any, top: Any) -> Any:
    """Numbers within -top ... top."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        high = context.cast(builder, args[1], sig.args[1], types.int16)
        above, below = (_splat(builder, value, 2 * LANES) for value in (high, builder.neg(high)))
        kind = ir.FunctionType(_SHORTS, [_SHORTS, _SHORTS])
        least, most = (
            cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{2 * LANES}i16")
            for name in ("smin", "smax")
        )
        clipped = builder.call(most, [builder.call(least, [builder.bitcast(args[0], _SHORTS), above]), below])
        return builder.bitcast(clipped, _llvm(I32))

    return I32(pairs, top), codegen


@intrinsic
def choose_pairs(typingctx: Any, bits: Any, one: Any, other: Any) -> Any:
    """`one` where a number's bit is set, `other` elsewhere."""
    if one != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        mask = builder.bitcast(context.cast(builder, args[0], sig.args[0], types.uint32), _SIGNS)
        chosen = builder.select(mask, *(builder.bitcast(arg, _SHORTS) for arg in args[1:]))
        return builder.bitcast(chosen, _llvm(I32))

    return I32(bits, one, other), codegen


@intrinsic
def perturbed_pairs(typingctx: Any, bits: Any, pairs: Any, change: Any, top: Any) -> Any:
    """Numbers plus their change where a number's bit is set, less it elsewhere, within -top - 1 ... top."""
    if pairs != I32 or change != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        mask = builder.bitcast(context.cast(builder, args[0], sig.args[0], types.uint32), _SIGNS)
        number, more = (builder.bitcast(arg, _SHORTS) for arg in args[1:3])
        high = context.cast(builder, args[3], sig.args[3], types.int16)
        above, below = (_splat(builder, value, 2 * LANES) for value in (high, builder.not_(high)))
        kind = ir.FunctionType(_SHORTS, [_SHORTS, _SHORTS])

        def called(name: str, *both: Any) -> Any:
            full = f"llvm.{name}.v{2 * LANES}i16"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), both)

        moved = called("sadd.sat", number, builder.select(mask, more, builder.neg(more)))
        return builder.bitcast(called("smax", called("smin", moved, above), below), _llvm(I32))

    return I32(bits, pairs, change, top), codegen


def _multiplied(builder: Any, one: Any, other: Any) -> Any:
    """Sums of two products of 16-bit numbers, in the one instruction, which LLVM else takes apart if it can."""
    kind = ir.FunctionType(_llvm(I32), [_SHORTS, _SHORTS])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pmaddw.d.512")
    return builder.call(function, [builder.bitcast(arg, _SHORTS) for arg in (one, other)])


@intrinsic
def narrow_products(typingctx: Any, one: Any, other: Any) -> Any:
    """Products of lanes whose numbers 16 bits would hold: in half the time of others."""
    if one != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not HAS_WIDE_PRODUCTS:
            return builder.mul(*args)
        return _multiplied(builder, args[0], builder.and_(args[1], ir.Constant(_llvm(I32), [0xFFFF] * LANES)))

    return I32(one, other), codegen


@intrinsic
def upper_products(typingctx: Any, pairs: Any, other: Any) -> Any:
    """Products of the upper numbers of pairs with lanes whose numbers 16 bits would hold."""
    if pairs != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.Constant(_llvm(I32), [16] * LANES)
        if not HAS_WIDE_PRODUCTS:
            return builder.mul(builder.ashr(args[0], half), args[1])
        return _multiplied(builder, args[0], builder.shl(args[1], half))

    return I32(pairs, other), codegen


@intrinsic
def unequal(typingctx: Any, one: Any, other: Any, index: Any) -> Any:
    """Where 32 elements of two arrays of int16, from `index` on, differ: bit i is the i-th."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[2], sig.args[2], types.intp)
        loaded = []
        for number in range(2):
            pointer = _pointer(context, builder, sig.args[number], args[number], index)
            loaded.append(builder.load(builder.bitcast(pointer, _SHORTS.as_pointer()), align=2))
        return builder.bitcast(builder.icmp_unsigned("!=", *loaded), ir.IntType(32))

    return types.uint32(one, other, index), codegen
