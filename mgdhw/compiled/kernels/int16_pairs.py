"""Sixteen lanes of two 16-bit numbers each (as `products.pair_products` takes them): scaled, clipped, selected."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import I32, LANES, _all, _llvm, _pointer, _splat, intrinsic
from mgdhw.compiled.target import has_feature
from mgdhw.random.gaussian import STRENGTH_BITS

HAS_WIDE_PRODUCTS = has_feature("avx512bw")
"""Whether the target multiplies 32 numbers of 16 bits and rounds the upper halves in one instruction."""

_SHORTS = ir.VectorType(ir.IntType(16), 2 * LANES)
_WIDE = ir.VectorType(ir.IntType(32), 2 * LANES)
_SIGNS = ir.VectorType(ir.IntType(1), 2 * LANES)


def _rounded_product(builder: Any, one: Any, other: Any) -> Any:
    """(one · other + 2¹⁴) >> 15 of 32 numbers of 16 bits."""
    if HAS_WIDE_PRODUCTS:
        kind = ir.FunctionType(_SHORTS, [_SHORTS, _SHORTS])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pmul.hr.sw.512")
        return builder.call(function, [one, other])
    product = builder.mul(builder.sext(one, _WIDE), builder.sext(other, _WIDE))
    product = builder.add(product, _all(_WIDE, 1 << (STRENGTH_BITS - 1)))
    return builder.trunc(builder.ashr(product, _all(_WIDE, STRENGTH_BITS)), _SHORTS)


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
