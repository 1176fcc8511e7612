"""Vectors whose halves are about two things at once: lanes 0 ... 7 about the one, 8 ... 15 about the other."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import I32, LANES, _llvm, _pointer, _shuffled, intrinsic

HALF = LANES // 2
_NARROW = ir.VectorType(ir.IntType(16), LANES)


def _folded(builder: Any, one: Any, other: Any, lanes: list[int], away: int) -> Any:
    """Sums of those lanes of two vectors with others so far away."""
    return builder.add(
        _shuffled(builder, one, other, lanes), _shuffled(builder, one, other, [lane + away for lane in lanes])
    )


@intrinsic
def four_sums(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The lanes of four vectors summed to four each: lanes 4 k ... 4 k + 3 have one of a's, of b's, of c's, of d's."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fours, two, vectors = range(0, LANES, 4), (0, 1), (0, LANES)
        in_turn = [four + k + vector for four in fours for k in two for vector in vectors]
        in_pairs = [four + k + vector for four in fours for vector in vectors for k in two]
        one, other = (_folded(builder, args[k], args[k + 1], in_turn, 2) for k in (0, 2))
        return _folded(builder, one, other, in_pairs, 2)

    return I32(a, b, c, d), codegen


@intrinsic
def eight_sums(typingctx: Any, one: Any, more: Any, other: Any, yet_more: Any) -> Any:
    """Sums of eight vectors, from two times `four_sums`, into the lower half; those of eight others into the upper."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        four, vectors = range(4), (0, LANES)
        lower = [row + k + vector for vector in vectors for k in (0, 4) for row in four]
        even = [row + k + vector for vector in vectors for k in (0, 8) for row in four]
        one, other = (_folded(builder, args[k], args[k + 1], lower, 8) for k in (0, 2))
        return _folded(builder, one, other, even, 4)

    return I32(one, more, other, yet_more), codegen


@intrinsic
def half_totals(typingctx: Any, value: Any) -> Any:
    """Sums of the lanes of either half."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.VectorType(ir.IntType(32), HALF)
        kind = ir.FunctionType(ir.IntType(32), [half])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{HALF}i32")
        sums = [
            builder.call(function, [_shuffled(builder, args[0], args[0], list(range(k, k + HALF)))]) for k in (0, HALF)
        ]
        return context.make_tuple(builder, sig.return_type, sums)

    return types.UniTuple(types.int32, 2)(value), codegen


@intrinsic
def load_twice(typingctx: Any, array: Any, index: Any) -> Any:
    """Eight consecutive elements of 16 or 32 bits, from `index` on, in either half."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        width = array.dtype.bitwidth
        kind = ir.VectorType(ir.IntType(width), HALF)
        eight = builder.load(builder.bitcast(pointer, kind.as_pointer()), align=width // 8)
        wide = eight if width == 32 else builder.sext(eight, ir.VectorType(ir.IntType(32), HALF))
        return _shuffled(builder, wide, wide, list(range(HALF)) * 2)

    return I32(array, index), codegen


@intrinsic
def store_upper(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the upper half to eight consecutive elements of an array of int32."""
    if array.dtype != types.int32 or value != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        upper = _shuffled(builder, args[2], args[2], list(range(HALF, LANES)))
        builder.store(upper, builder.bitcast(pointer, upper.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def swapped(typingctx: Any, value: Any) -> Any:
    """Each half in the other's place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _shuffled(builder, args[0], args[0], [*range(HALF, LANES), *range(HALF)])

    return I32(value), codegen


@intrinsic
def as_pairs(typingctx: Any, value: Any) -> Any:
    """The numbers of either half in 16 bits each, as the first lanes of pairs of two vectors; zeros follow."""
    if value != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = builder.trunc(args[0], _NARROW)
        zeros = ir.Constant(_NARROW, [0] * LANES)
        halves = [
            builder.bitcast(
                _shuffled(builder, narrow, zeros, [*range(k, k + HALF), *([LANES] * (2 * LANES - HALF))]), _llvm(I32)
            )
            for k in (0, HALF)
        ]
        return context.make_tuple(builder, sig.return_type, halves)

    return types.UniTuple(I32, 2)(value), codegen
