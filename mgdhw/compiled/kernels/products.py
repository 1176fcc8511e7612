"""Products of groups: pairs of 16-bit numbers, fours of 8-bit numbers; and what makes such numbers of others."""

from __future__ import annotations

from functools import reduce
from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import I32, LANES, _llvm, _pointer, _shuffled, _splat, intrinsic
from mgdhw.compiled.target import has_feature

HAS_BYTE_PRODUCTS = has_feature("avx512vnni")
"""Whether the target multiplies and adds fours of bytes, or pairs of 16 bits, in one instruction."""
if HAS_BYTE_PRODUCTS:
    llvm.initialize_native_asmparser()  # the instruction's LLVM name changes from version to version; its own doesn't


def _added(builder: Any, name: str, sums: Any, one: Any, other: Any) -> Any:
    """What the instruction of that name makes of three vectors."""
    kind = ir.FunctionType(sums.type, [sums.type] * 3)
    return builder.asm(kind, f"{name} $3, $2, $0", "=v,0,v,v", [sums, one, other], side_effect=False)


def sum_of_products(builder: Any, sums: Any, one: Any, other: Any) -> Any:
    """Sums plus products of pairs; of itself, LLVM takes a multiplication and an addition for most of them."""
    if HAS_BYTE_PRODUCTS:
        return _added(builder, "vpdpwssd", sums, other, one)
    return builder.add(sums, _pair_products(builder, one, other))


def _pair_products(builder: Any, one: Any, other: Any) -> Any:
    narrow, wide = (ir.VectorType(ir.IntType(bits), 2 * LANES) for bits in (16, 32))
    a, b = (builder.sext(builder.bitcast(arg, narrow), wide) for arg in (one, other))
    return _group_sums(builder, builder.mul(a, b), 2)


def _group_sums(builder: Any, products: Any, size: int) -> Any:
    """Sums of groups of neighbours."""
    nothing = ir.Constant(products.type, ir.Undefined)
    parts = [
        builder.shuffle_vector(products, nothing, ir.Constant(_llvm(I32), [size * lane + k for lane in range(LANES)]))
        for k in range(size)
    ]
    return reduce(builder.add, parts)


@intrinsic
def pair_products(typingctx: Any, one: Any, other: Any) -> Any:
    """Lane i: one₂ᵢ · other₂ᵢ + one₂ᵢ₊₁ · other₂ᵢ₊₁, of 32 signed 16-bit numbers in 16 lanes of 32 bits (the first in
    the low half)."""
    if one != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _pair_products(builder, *args)

    return I32(one, other), codegen


@intrinsic
def group_size(typingctx: Any, weights: Any) -> Any:
    """How many weights of an array `add_products` takes at a time: two of 16 bits, or four of 8."""
    size = 32 // weights.dtype.bitwidth

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), size)

    return types.int64(weights), codegen


@intrinsic
def add_products(typingctx: Any, sums: Any, weights: Any, index: Any, x: Any) -> Any:
    """Sums plus the products of a group of weights, the same in every lane, with each lane's group of inputs.

    Weights of 16 bits meet signed inputs of 16 bits; weights of 8 bits unsigned inputs of 8.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[2], sig.args[2], types.intp)
        pointer = _pointer(context, builder, sig.args[1], args[1], index)
        align = weights.dtype.bitwidth // 8
        group = _splat(builder, builder.load(builder.bitcast(pointer, ir.IntType(32).as_pointer()), align=align), LANES)
        if weights.dtype == types.int16:
            return sum_of_products(builder, args[0], group, args[3])
        if HAS_BYTE_PRODUCTS:
            return _added(builder, "vpdpbusd", args[0], args[3], group)
        narrow, wide = (ir.VectorType(ir.IntType(bits), 4 * LANES) for bits in (8, 32))
        product = builder.mul(
            builder.zext(builder.bitcast(args[3], narrow), wide), builder.sext(builder.bitcast(group, narrow), wide)
        )
        return builder.add(args[0], _group_sums(builder, product, 4))

    return I32(sums, weights, index, x), codegen


@intrinsic
def add_fours(typingctx: Any, sums: Any, weights: Any, index: Any, x: Any) -> Any:
    """Sums plus the products of four pairs of weights of 16 bits, the same in each four lanes, with each lane's pair of
    inputs (`add_products` has one pair in all lanes)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[2], sig.args[2], types.intp)
        pointer = _pointer(context, builder, sig.args[1], args[1], index)
        four = ir.VectorType(ir.IntType(32), 4)
        loaded = builder.load(builder.bitcast(pointer, four.as_pointer()), align=2)
        group = _shuffled(builder, loaded, loaded, [lane % 4 for lane in range(LANES)])
        return sum_of_products(builder, args[0], group, args[3])

    return I32(sums, weights, index, x), codegen


@intrinsic
def narrow_bytes(typingctx: Any, wide: Any, index: Any, narrow: Any) -> Any:
    """Copy 32 numbers, from `index` on, from an array of int16 to one of int8."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        source = _pointer(context, builder, sig.args[0], args[0], index)
        target = _pointer(context, builder, sig.args[2], args[2], index)
        wide, small = (ir.VectorType(ir.IntType(bits), 2 * LANES) for bits in (16, 8))
        numbers = builder.load(builder.bitcast(source, wide.as_pointer()), align=2)
        builder.store(builder.trunc(numbers, small), builder.bitcast(target, small.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(wide, index, narrow), codegen


@intrinsic
def add_signs(typingctx: Any, pairs: Any, bits: Any, amplitude: Any) -> Any:
    """32 16-bit numbers in lanes of pairs, each plus `amplitude` where its bit is set and minus it where not."""
    if pairs != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = ir.VectorType(ir.IntType(16), 2 * LANES)
        word = context.cast(builder, args[1], sig.args[1], types.uint32)
        mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), 2 * LANES))
        size = context.cast(builder, args[2], sig.args[2], types.int16)
        plus, minus = (_splat(builder, value, 2 * LANES) for value in (size, builder.neg(size)))
        moved = builder.add(builder.bitcast(args[0], narrow), builder.select(mask, plus, minus))
        return builder.bitcast(moved, _llvm(I32))

    return I32(pairs, bits, amplitude), codegen


@intrinsic
def short_product(typingctx: Any, w: Any, row: Any, bits: Any, amplitude: Any, x: Any, at: Any) -> Any:
    """Σ (w + θ̃) x over eight int16 of each array, from w[row] and x[at] on; θ̃ is one amplitude, its sign a bit."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow, wide = (ir.VectorType(ir.IntType(width), 8) for width in (16, 32))

        def eight(number: int) -> Any:
            index = context.cast(builder, args[number + 1], sig.args[number + 1], types.intp)
            pointer = _pointer(context, builder, sig.args[number], args[number], index)
            return builder.load(builder.bitcast(pointer, narrow.as_pointer()), align=2)

        word = context.cast(builder, args[2], sig.args[2], types.uint8)
        mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), 8))
        size = context.cast(builder, args[3], sig.args[3], types.int16)
        plus, minus = (_splat(builder, value, 8) for value in (size, builder.neg(size)))
        moved = builder.add(eight(0), builder.select(mask, plus, minus))
        product = builder.mul(builder.sext(moved, wide), builder.sext(eight(4), wide))
        kind = ir.FunctionType(ir.IntType(32), [wide])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "llvm.vector.reduce.add.v8i32"), [product]
        )

    return types.int32(w, row, bits, amplitude, x, at), codegen


@intrinsic
def perturb_bytes(typingctx: Any, stored: Any, index: Any, bits: Any, amplitude: Any, moved: Any) -> Any:
    """Copy 32 int8, from `index` on, each plus `amplitude` where its bit is set and minus it where not."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        small = ir.VectorType(ir.IntType(8), 2 * LANES)
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        source = _pointer(context, builder, sig.args[0], args[0], index)
        target = _pointer(context, builder, sig.args[4], args[4], index)
        word = context.cast(builder, args[2], sig.args[2], types.uint32)
        mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), 2 * LANES))
        size = context.cast(builder, args[3], sig.args[3], types.int8)
        plus, minus = (_splat(builder, value, 2 * LANES) for value in (size, builder.neg(size)))
        numbers = builder.load(builder.bitcast(source, small.as_pointer()), align=1)
        result = builder.add(numbers, builder.select(mask, plus, minus))
        builder.store(result, builder.bitcast(target, small.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(stored, index, bits, amplitude, moved), codegen
