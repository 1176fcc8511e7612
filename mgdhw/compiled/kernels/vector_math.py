"""Arithmetic on vectors of sixteen numbers (`simd`): conversions, selection, rounding, sums, and the bits of a word."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import I32, LANES, MASK, Vector, _llvm, _shuffled, _splat, intrinsic
from mgdhw.compiled.target import has_feature

# --- from and to scalars, and between kinds --------------------------------------------------------------------------


def _splatter(kind: Any) -> Any:
    @intrinsic
    def splat(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _splat(builder, context.cast(builder, args[0], sig.args[0], kind), LANES)

        return Vector(kind)(value), codegen

    return splat


i16, i32, i64 = _splatter(types.int16), _splatter(types.int32), _splatter(types.int64)
u32, u64 = _splatter(types.uint32), _splatter(types.uint64)
f32, f64 = _splatter(types.float32), _splatter(types.float64)


def _converter(kind: Any) -> Any:
    @intrinsic
    def convert(typingctx: Any, value: Any) -> Any:
        if not isinstance(value, Vector):
            return None
        target = Vector(kind, value.lanes)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            source, to = value.kind, _llvm(target)
            if isinstance(kind, types.Float):
                return (builder.sitofp if source.signed else builder.uitofp)(args[0], to)
            if isinstance(source, types.Float):
                return (builder.fptosi if kind.signed else builder.fptoui)(args[0], to)
            if kind.bitwidth < source.bitwidth:
                return builder.trunc(args[0], to)
            if kind.bitwidth == source.bitwidth:
                return args[0]
            return (builder.sext if source.signed else builder.zext)(args[0], to)

        return target(value), codegen

    return convert


to_i16, to_i32, to_i64 = _converter(types.int16), _converter(types.int32), _converter(types.int64)
to_u32, to_u64, to_f64 = _converter(types.uint32), _converter(types.uint64), _converter(types.float64)


@intrinsic
def lane_numbers(typingctx: Any) -> Any:
    """0, 1, ... 15."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_llvm(I32), list(range(LANES)))

    return I32(), codegen


@intrinsic
def select(typingctx: Any, mask: Any, one: Any, other: Any) -> Any:
    """`one` where the mask is set, `other` elsewhere."""
    if one != other:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return one(mask, one, other), codegen


@intrinsic
def mask_of(typingctx: Any, bits: Any) -> Any:
    """Mask whose lane i is bit i of an unsigned integer."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = context.cast(builder, args[0], sig.args[0], types.uint16)
        return builder.bitcast(word, _llvm(MASK))

    return MASK(bits), codegen


@intrinsic
def any_of(typingctx: Any, mask: Any) -> Any:
    """Whether any lane of a mask is set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", word, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(mask), codegen


@intrinsic
def floor(typingctx: Any, value: Any) -> Any:
    """The largest whole numbers that are not above."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f64")
        return builder.call(function, args)

    return value(value), codegen


HAS_ROUNDING = has_feature("avx512f")
"""Whether the target converts numbers with a rounding of their own."""


@intrinsic
def floor_to_i32(typingctx: Any, value: Any) -> Any:
    """`to_i32(floor(value))` of numbers that 32 bits hold."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not HAS_ROUNDING:
            kind = ir.FunctionType(args[0].type, [args[0].type])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f64")
            return builder.fptosi(builder.call(function, args), _llvm(I32))
        eight, byte, word = ir.VectorType(ir.IntType(32), 8), ir.IntType(8), ir.IntType(32)
        kind = ir.FunctionType(eight, [ir.VectorType(ir.DoubleType(), 8), eight, byte, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.mask.cvtpd2dq.512")
        down = [ir.Constant(eight, ir.Undefined), ir.Constant(byte, -1), ir.Constant(word, 9)]
        halves = (_shuffled(builder, args[0], args[0], list(range(first, first + 8))) for first in (0, 8))
        whole = [builder.call(function, [half, *down]) for half in halves]
        return _shuffled(builder, whole[0], whole[1], list(range(LANES)))

    return I32(value), codegen


@intrinsic
def sqrt(typingctx: Any, value: Any) -> Any:
    """Square roots, correctly rounded."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, args)

    return value(value), codegen


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """Sum of the lanes of whole numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.vector.reduce.add.v{kind.count}i{kind.element.width}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind.element, [kind]), name)
        return builder.call(function, args)

    return value.kind(value), codegen


@intrinsic
def multiply_add(typingctx: Any, one: Any, other: Any, sums: Any) -> Any:
    """one * other + sums, in one operation where the processor has it: for numbers that decide no bit."""
    if not (one == other == sums):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        suffix = "f64" if isinstance(kind.element, ir.DoubleType) else "f32"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{kind.count}{suffix}"
        )
        return builder.call(function, args)

    return one(one, other, sums), codegen


# --- bits ------------------------------------------------------------------------------------------------------------


@intrinsic
def leading_zeros(typingctx: Any, value: Any) -> Any:
    """Zero bits above the highest one of each lane (of 32 bits)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.ctlz.v{LANES}i32")
        return builder.call(function, [args[0], ir.Constant(ir.IntType(1), 0)])

    return value(value), codegen


@intrinsic
def lowest_bit(typingctx: Any, word: Any) -> Any:
    """The number of the lowest bit that is set in a word of 64; 64 if none is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(word), codegen
