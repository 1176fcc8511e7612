"""Vectors of sixteen numbers inside compiled code: what numba leaves to chance, said outright.

`load`, `store`, `gather` and the operators below become LLVM vector instructions, so a kernel runs at the width of
whatever processor it is compiled for, and gives the same bits on all: lanes do integer arithmetic, or single IEEE 754
operations (no contraction, no re-ordering).
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

from llvmlite import binding as llvm
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


# --- from and to scalars, and between kinds --------------------------------------------------------------------------


def _splatter(kind: Any) -> Any:
    @intrinsic
    def splat(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _splat(builder, context.cast(builder, args[0], sig.args[0], kind), LANES)

        return Vector(kind)(value), codegen

    return splat


i16, i32, i64 = _splatter(types.int16), _splatter(types.int32), _splatter(types.int64)
u32, u64, f64 = _splatter(types.uint32), _splatter(types.uint64), _splatter(types.float64)


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


HAS_ROUNDING = bool(llvm.get_host_cpu_features().get("avx512f"))
"""Whether this processor converts numbers with a rounding of their own."""


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


# --- products of groups: pairs of 16-bit numbers, fours of 8-bit numbers ----------------------------------------------

HAS_BYTE_PRODUCTS = bool(llvm.get_host_cpu_features().get("avx512vnni"))
"""Whether this processor multiplies and adds fours of bytes, or pairs of 16 bits, in one instruction."""
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
def load_pairs(typingctx: Any, array: Any, index: Any) -> Any:
    """32 consecutive elements of an array of int16, as 16 lanes of pairs."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        return builder.load(builder.bitcast(pointer, _llvm(I32).as_pointer()), align=2)

    return I32(array, index), codegen


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
def store_pairs(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write 32 consecutive elements of an array of int16."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def move_bytes(typingctx: Any, stored: Any, index: Any, bits: Any, amplitude: Any, moved: Any) -> Any:
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


# --- single words ----------------------------------------------------------------------------------------------------


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


@intrinsic
def leading_zeros(typingctx: Any, value: Any) -> Any:
    """Zero bits above the highest one of each lane (of 32 bits)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.ctlz.v{LANES}i32")
        return builder.call(function, [args[0], ir.Constant(ir.IntType(1), 0)])

    return value(value), codegen


# --- threads that wait for each other --------------------------------------------------------------------------------


@intrinsic
def add_atomically(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Add to an element of an array of int64 that other threads change, too; what they wrote before is seen after."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        return builder.atomic_rmw("add", pointer, value, "seq_cst")

    return types.int64(array, index, value), codegen


@intrinsic
def read_atomically(typingctx: Any, array: Any, index: Any) -> Any:
    """An element of an array of int64 that other threads change, and with it all that they wrote before."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, index), codegen
