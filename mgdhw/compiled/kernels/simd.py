"""Vectors of sixteen numbers in compiled code: their type, operators, loads and stores, as explicit instructions.

`load`, `store`, `gather` and the operators below become LLVM vector instructions, so a kernel runs at the width of
whatever processor it is compiled for, and gives the same bits on all: lanes do integer arithmetic, or single IEEE 754
operations (no contraction, no re-ordering).
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from llvmlite.ir import instructions
from numba import extending, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

LANES = 16

intrinsic: Any = extending.intrinsic
"""numba calls what it decorates with a typing context that callers don't give; type checkers cannot know."""


class Vector(types.Type):
    """Sixteen numbers (or truth values) of one kind; `lanes` differs for the halves of a pairwise product."""

    def __init__(self, kind: Any, lanes: int = LANES) -> None:
        self.kind, self.lanes = kind, lanes
        super().__init__(name=f"Vector({kind}, {lanes})")


def _llvm(vector: Vector) -> Any:
    kind = vector.kind
    if isinstance(kind, types.Float):
        scalar = ir.DoubleType() if kind.bitwidth == 64 else ir.FloatType()
    else:
        scalar = ir.IntType(1 if kind == types.boolean else kind.bitwidth)
    return ir.VectorType(scalar, vector.lanes)


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, _llvm(fe_type))


I32 = Vector(types.int32)
MASK = Vector(types.boolean)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    one = builder.insert_element(
        ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
    )
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(one.type, ir.Undefined), zeros)


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _shuffled(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    """Those lanes of two vectors, the other's after the one's."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


# --- operators -------------------------------------------------------------------------------------------------------


def _right_shift(builder: Any, kind: Any, a: Any, b: Any) -> Any:
    return builder.ashr(a, b) if kind.signed else builder.lshr(a, b)


_INTEGER = {
    operator.add: lambda builder, kind, a, b: builder.add(a, b),
    operator.sub: lambda builder, kind, a, b: builder.sub(a, b),
    operator.mul: lambda builder, kind, a, b: builder.mul(a, b),
    operator.and_: lambda builder, kind, a, b: builder.and_(a, b),
    operator.or_: lambda builder, kind, a, b: builder.or_(a, b),
    operator.xor: lambda builder, kind, a, b: builder.xor(a, b),
    operator.lshift: lambda builder, kind, a, b: builder.shl(a, b),
    operator.rshift: _right_shift,
}
_FLOAT = {
    operator.add: lambda builder, a, b: builder.fadd(a, b),
    operator.sub: lambda builder, a, b: builder.fsub(a, b),
    operator.mul: lambda builder, a, b: builder.fmul(a, b),
    operator.truediv: lambda builder, a, b: builder.fdiv(a, b),
}
_COMPARE = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}


def _compare(builder: Any, kind: Any, sign: str, a: Any, b: Any) -> Any:
    if isinstance(kind, types.Float):
        return builder.fcmp_ordered(sign, a, b)
    return builder.icmp_signed(sign, a, b) if kind.signed else builder.icmp_unsigned(sign, a, b)


def _template(function: Any, compare: bool) -> None:
    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(Vector(types.boolean, args[0].lanes) if compare else args[0], *args)
            return None

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0].kind
        if compare:
            return _compare(builder, kind, _COMPARE[function], *args)
        if isinstance(kind, types.Float):
            return _FLOAT[function](builder, *args)
        return _INTEGER[function](builder, types.int32 if kind == types.boolean else kind, *args)

    lower_builtin(function, Vector, Vector)(lower)


for _function in (*_INTEGER, operator.truediv):
    _template(_function, compare=False)
for _function in _COMPARE:
    _template(_function, compare=True)


# --- memory ----------------------------------------------------------------------------------------------------------


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


class _Addresses(instructions.Instruction):  # type: ignore[misc]
    """`getelementptr` with a vector of indices, which llvmlite's own does not take."""

    def __init__(self, parent: Any, kind: Any, operands: Any) -> None:
        super().__init__(parent, kind, "getelementptr", operands, name="addresses")

    def descr(self, buf: Any) -> None:
        """Its text."""
        base, index = self.operands
        element = base.type.pointee
        buf.append(
            f"getelementptr {element}, {base.type} {base.get_reference()}, {index.type} {index.get_reference()}\n"
        )


def _gather(builder: Any, data: Any, index: Any, result: Any, align: int) -> Any:
    wide = builder.sext(index, ir.VectorType(ir.IntType(64), LANES))
    pointers = _Addresses(builder.block, ir.VectorType(data.type, LANES), [data, wide])
    builder._insert(pointers)
    mask = ir.VectorType(ir.IntType(1), LANES)
    suffix = {"i32": "i32", "i64": "i64", "double": "f64"}[str(result.element)]
    kind = ir.FunctionType(result, [pointers.type, ir.IntType(32), mask, result])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.gather.v{LANES}{suffix}.v{LANES}p0")
    every = ir.Constant(mask, [1] * LANES)
    alignment = ir.Constant(ir.IntType(32), align)
    return builder.call(function, [pointers, alignment, every, ir.Constant(result, ir.Undefined)])


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Sixteen consecutive elements of a one-dimensional array, from `index` on."""
    vector = Vector(array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        return builder.load(builder.bitcast(pointer, _llvm(vector).as_pointer()), align=array.dtype.bitwidth // 8)

    return vector(array, index), codegen


@intrinsic
def broadcast(typingctx: Any, array: Any, index: Any) -> Any:
    """An element of a one-dimensional array in all lanes."""
    vector = Vector(array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        return _splat(builder, builder.load(_pointer(context, builder, sig.args[0], args[0], index)), LANES)

    return vector(array, index), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen consecutive elements."""
    if not (isinstance(value, Vector) and value.kind == array.dtype):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def gather(typingctx: Any, array: Any, index: Any) -> Any:
    """Elements of a one-dimensional array (of 32 or 64 bits each) at a vector of indices."""
    if not isinstance(index, Vector):
        return None
    vector = Vector(array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return _gather(builder, data, args[1], _llvm(vector), array.dtype.bitwidth // 8)

    return vector(array, index), codegen


@intrinsic
def load_pairs(typingctx: Any, array: Any, index: Any) -> Any:
    """32 consecutive elements of an array of int16, as 16 lanes of pairs."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        return builder.load(builder.bitcast(pointer, _llvm(I32).as_pointer()), align=2)

    return I32(array, index), codegen


@intrinsic
def store_pairs(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write 32 consecutive elements of an array of int16."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def bits_at(typingctx: Any, words: Any, bit: Any) -> Any:
    """32 consecutive bits of an array of uint32, from any bit on; reads two words."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bit = context.cast(builder, args[1], sig.args[1], types.intp)
        index = builder.lshr(bit, ir.Constant(bit.type, 5))
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        both = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=4)
        shift = builder.and_(bit, ir.Constant(bit.type, 31))
        return builder.trunc(builder.lshr(both, shift), ir.IntType(32))

    return types.uint32(words, bit), codegen


@intrinsic
def gather_words(typingctx: Any, array: Any, index: Any) -> Any:
    """32-bit words of an array of bytes, each from any byte on: lane i has the four bytes at index i."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return _gather(builder, builder.bitcast(data, ir.IntType(8).as_pointer()), args[1], _llvm(I32), 1)

    return I32(array, index), codegen
