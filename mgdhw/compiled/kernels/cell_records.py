"""Records of eight words of 32 bits in compiled code: sixteen of them at a time as vectors of
words, and the numbers of chosen ones packed."""

from __future__ import annotations

from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.int16_pairs import HAS_WIDE_PRODUCTS, _multiplied
from mgdhw.compiled.kernels.philox import HALF
from mgdhw.compiled.kernels.simd import I32, LANES, MASK, _all, _llvm, _pointer, _shuffled, _splat, intrinsic
from mgdhw.compiled.target import has_feature

HAS_COMPRESS = has_feature("avx512f")
"""Whether the target moves chosen lanes to the front in one instruction."""
if HAS_COMPRESS:
    llvm.initialize_native_asmparser()

WORDS = 8
"""Of a record."""


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """Each four neighbouring lanes of four vectors, as a matrix of four rows, the other way round."""
    within = [4 * group for group in range(LANES // 4)]
    turned = []
    for first in (0, 2):
        both = [g + k for g in within for k in (first, LANES + first, first + 1, LANES + first + 1)]
        upper, lower = (_shuffled(builder, rows[k], rows[k + 1], both) for k in (0, 2))
        for k in (0, 2):
            lanes = [g + lane for g in within for lane in (k, k + 1, LANES + k, LANES + k + 1)]
            turned.append(_shuffled(builder, upper, lower, lanes))
    return turned


@intrinsic
def turned(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Each four neighbouring lanes of four vectors, as a matrix of four rows, the other way round."""
    if not a == b == c == d == I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_tuple(builder, sig.return_type, _turned(builder, list(args)))

    return types.UniTuple(I32, 4)(a, b, c, d), codegen


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Columns of a matrix of sixteen rows of eight words, of which vector k holds rows k and k + 8."""
    # Rows 0-3 and 8-11, 4-7 and 12-15: column 0 beside 4, 1 beside 5 ...
    fours = [_turned(builder, rows[first : first + 4]) for first in (0, 4)]
    columns: list[Any] = [None] * WORDS
    for column, (upper, lower) in enumerate(zip(*fours, strict=True)):
        for half in range(2):
            groups = [half, half + LANES // 4, half + 2, half + 2 + LANES // 4]
            columns[column + 4 * half] = _shuffled(builder, upper, lower, [4 * g + k for g in groups for k in range(4)])
    return columns


@intrinsic
def fields_of(typingctx: Any, records: Any, numbers: Any, start: Any) -> Any:
    """Sixteen records taken apart: a vector of each of their words.

    Args:
        records: array of words, one record after the other.
        numbers, start: which ones: an array of int32, from its element `start` on.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = context.cast(builder, args[2], sig.args[2], types.intp)
        record = ir.VectorType(ir.IntType(32), WORDS)

        def words(lane: int) -> Any:
            place = builder.add(start, ir.Constant(start.type, lane))
            number = builder.zext(builder.load(_pointer(context, builder, sig.args[1], args[1], place)), start.type)
            first = builder.shl(number, ir.Constant(start.type, WORDS.bit_length() - 1))
            pointer = _pointer(context, builder, sig.args[0], args[0], first)
            return builder.load(builder.bitcast(pointer, record.as_pointer()), align=4)

        rows = [_shuffled(builder, words(lane), words(lane + WORDS), list(range(LANES))) for lane in range(WORDS)]
        return context.make_tuple(builder, sig.return_type, _transposed(builder, rows))

    return types.UniTuple(I32, WORDS)(records, numbers, start), codegen


def _prefetcher(writing: bool, near: int) -> Any:
    """An intrinsic that asks for an element of an array.

    Args:
        writing: it will be written, so that no other core may keep it.
        near: 3 for the nearest cache, 2 for the second.
    """

    @intrinsic
    def prefetcher(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            index = context.cast(builder, args[1], sig.args[1], types.intp)
            place = _pointer(context, builder, sig.args[0], args[0], index)
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [pointer, *(ir.Constant(number, value) for value in (int(writing), near, 1))])
            return context.get_dummy_value()

        return types.void(array, index), codegen

    return prefetcher


prefetch = _prefetcher(writing=True, near=3)
"""Have an element of an array ready soon, for writing; any index will do."""
prefetch_later = _prefetcher(writing=False, near=2)
"""Have it in the second cache, for reading."""


@intrinsic
def store_chosen(typingctx: Any, array: Any, index: Any, bits: Any, value: Any) -> Any:
    """Write the lanes whose bit is set, one after the other; up to sixteen elements from `index` on are overwritten."""
    if value != I32 or array.dtype != types.int32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _pointer(context, builder, sig.args[0], args[0], index)
        vector, word = args[3], context.cast(builder, args[2], sig.args[2], types.uint16)
        mask = builder.bitcast(word, _llvm(MASK))
        if HAS_COMPRESS:
            kind = ir.FunctionType(vector.type, [vector.type, mask.type])
            text = "vpcompressd $1, $0 {$2} {z}"
            packed = builder.asm(kind, text, "=v,v,^Yk", [vector, mask], side_effect=False)
            builder.store(packed, builder.bitcast(pointer, vector.type.as_pointer()), align=4)
        else:
            kind = ir.FunctionType(ir.VoidType(), [vector.type, pointer.type, mask.type])
            name = f"llvm.masked.compressstore.v{LANES}i32"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [vector, pointer, mask])
        return context.get_dummy_value()

    return types.void(array, index, bits, value), codegen


@intrinsic
def shifted_product(typingctx: Any, one: Any, other: Any, more: Any, bits: Any) -> Any:
    """(one · other + more) >> b of sixteen numbers of 32 bits, the product having 64; the lower 32 bits of it."""
    if one != I32 or other != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = _llvm(HALF)
        word = _all(kind, 32)
        half, shift = (
            _splat(builder, context.cast(builder, args[number], sig.args[number], types.int64), HALF.lanes)
            for number in (2, 3)
        )
        wide = [builder.bitcast(arg, kind) for arg in args[:2]]

        def shifted(factors: list[Any]) -> Any:
            return builder.ashr(builder.add(builder.mul(*factors), half), shift)

        even = shifted([builder.ashr(builder.shl(factor, word), word) for factor in wide])
        odd = builder.shl(shifted([builder.ashr(factor, word) for factor in wide]), word)
        lanes = [LANES * (lane & 1) + lane for lane in range(LANES)]
        return _shuffled(builder, builder.bitcast(even, _llvm(I32)), builder.bitcast(odd, _llvm(I32)), lanes)

    return I32(one, other, more, bits), codegen


@intrinsic
def count_bits(typingctx: Any, word: Any) -> Any:
    """How many bits of a word of 32 are set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[0], sig.args[0], types.uint32)
        return builder.zext(builder.ctpop(value), ir.IntType(64))

    return types.int64(word), codegen


@intrinsic
def differences(typingctx: Any, one: Any, other: Any, index: Any) -> Any:
    """32 elements of an array of int16 less those of another, from `index` on: two vectors of 32 bits."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[2], sig.args[2], types.intp)
        wide = []
        narrow = ir.VectorType(ir.IntType(16), LANES)
        for number in range(2):
            for half in (0, LANES):
                place = builder.add(index, ir.Constant(index.type, half))
                pointer = _pointer(context, builder, sig.args[number], args[number], place)
                loaded = builder.load(builder.bitcast(pointer, narrow.as_pointer()), align=2)
                wide.append(builder.sext(loaded, _llvm(I32)))
        pairs = [builder.sub(wide[half], wide[2 + half]) for half in range(2)]
        return context.make_tuple(builder, sig.return_type, pairs)

    return types.UniTuple(I32, 2)(one, other, index), codegen


@intrinsic
def sum_pairs(typingctx: Any, pairs: Any) -> Any:
    """Sums of the two numbers of each pair."""
    if pairs != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if HAS_WIDE_PRODUCTS:
            return _multiplied(builder, args[0], _all(_llvm(I32), 0x00010001))
        half = _all(_llvm(I32), 16)
        return builder.add(builder.ashr(builder.shl(args[0], half), half), builder.ashr(args[0], half))

    return I32(pairs), codegen


@intrinsic
def store_twos(typingctx: Any, array: Any, index: Any, one: Any, other: Any) -> Any:
    """Write 32 consecutive elements: lanes of two vectors in turn."""
    if one != I32 or other != I32 or array.dtype != types.int32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], sig.args[1], types.intp)
        for first in (0, LANES):
            lanes = [(first + k) // 2 + LANES * (k & 1) for k in range(LANES)]
            pointer = _pointer(context, builder, sig.args[0], args[0], builder.add(index, index.type(first)))
            value = _shuffled(builder, args[2], args[3], lanes)
            builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, index, one, other), codegen


@intrinsic
def bits_of(typingctx: Any, mask: Any) -> Any:
    """The mask as a number, whose bit i is lane i."""
    if mask != MASK:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(32))

    return types.uint32(mask), codegen
