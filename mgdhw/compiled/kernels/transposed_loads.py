"""Samples that lie one after the other in memory, taken side by side: pairs of inputs of several in a vector."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.cell_records import _turned
from mgdhw.compiled.kernels.simd import I32, LANES, _llvm, _pointer, _shuffled, intrinsic

BYTES = 16
"""Of a sample that are taken at a time."""
PARTS = 4
"""So many such pieces fill a vector; and so many samples are few."""


def _pieces(context: Any, builder: Any, sig: Any, args: Any, lanes: list[int], size: int) -> list[Any]:
    """So many elements of some samples' each, as vectors.

    Args:
        sig, args: array, where each sample begins in it, the first one's number, how far from there.
    """
    array, places, start, offset = args
    start, offset = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3))
    kind = ir.VectorType(ir.IntType(sig.args[0].dtype.bitwidth), size)
    pieces = []
    for lane in lanes:
        place = builder.load(_pointer(context, builder, sig.args[1], places, builder.add(start, start.type(lane))))
        pointer = _pointer(context, builder, sig.args[0], array, builder.add(place, offset))
        pieces.append(builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1))
    return pieces


def _joined(builder: Any, pieces: list[Any]) -> Any:
    """Vectors of one size, one after the other."""
    while len(pieces) > 1:
        size = 2 * pieces[0].type.count
        pieces = [
            _shuffled(builder, one, other, list(range(size)))
            for one, other in zip(pieces[::2], pieces[1::2], strict=True)
        ]
    return pieces[0]


def _spread(builder: Any, fours: Any) -> list[Any]:
    """Lanes of four bytes as two lanes of pairs."""
    nothing = ir.Constant(ir.VectorType(ir.IntType(8), 4 * LANES), [0] * (4 * LANES))
    every = builder.bitcast(fours, nothing.type)
    zero = 4 * LANES
    pairs = []
    for first in (0, 2):
        lanes = [k for lane in range(LANES) for k in (4 * lane + first, zero, 4 * lane + first + 1, zero)]
        pairs.append(builder.bitcast(_shuffled(builder, every, nothing, lanes), _llvm(I32)))
    return pairs


@intrinsic
def column_pairs(typingctx: Any, array: Any, places: Any, start: Any, offset: Any) -> Any:
    """The next inputs of sixteen samples, BYTES of each: vectors with a pair of each sample's.

    Args:
        array: all samples, unsigned bytes or signed numbers of 16 bits, and BYTES beyond.
        places, start: array of int64, from whose element `start` on it says where each sample begins.
        offset: number of the first input.
    """
    size = array.dtype.bitwidth // 8
    count = BYTES // (2 * size)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = []
        for first in range(PARTS):
            lanes = list(range(first, LANES, PARTS))
            pieces = _pieces(context, builder, sig, args, lanes, BYTES // size)
            rows.append(builder.bitcast(_joined(builder, pieces), _llvm(I32)))
        columns = _turned(builder, rows)
        if size == 1:
            columns = [pairs for four in columns for pairs in _spread(builder, four)]
        return context.make_tuple(builder, sig.return_type, columns)

    return types.UniTuple(I32, count)(array, places, start, offset), codegen


@intrinsic
def store_columns(typingctx: Any, pairs: Any, array: Any, index: Any, stride: Any, count: Any) -> Any:
    """Write the first of some vectors of pairs to an array of int16, the first one from `index` on.

    Args:
        stride: elements from one to the next.
        count: how many are written.
    """
    if array.dtype != types.int16:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index, stride, count = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3, 4))
        for number, value in enumerate(cgutils.unpack_tuple(builder, args[0])):
            with builder.if_then(builder.icmp_signed(">", count, count.type(number)), likely=True):
                pointer = _pointer(context, builder, sig.args[1], args[1], index)
                builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=2)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(pairs, array, index, stride, count), codegen


@intrinsic
def row_pairs(typingctx: Any, array: Any, places: Any, start: Any, offset: Any) -> Any:
    """Eight inputs of four samples: four pairs of each, one sample after the other. Arguments as `column_pairs`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        joined = _joined(builder, _pieces(context, builder, sig, args, list(range(PARTS)), 2 * LANES // PARTS))
        if array.dtype.bitwidth == 8:
            joined = builder.zext(joined, ir.VectorType(ir.IntType(16), 2 * LANES))
        return builder.bitcast(joined, _llvm(I32))

    return I32(array, places, start, offset), codegen


@intrinsic
def store_fours(typingctx: Any, value: Any, array: Any, index: Any, stride: Any, count: Any) -> Any:
    """Write every fourth lane from the first one on, four of them, to an array of int32; then from the second one on.

    Args:
        index: of the first.
        stride: from the first of one four to that of the next.
        count: how many fours are written.
    """
    if value != I32 or array.dtype != types.int32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        index, stride, count = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (2, 3, 4))
        for first in range(PARTS):
            with builder.if_then(builder.icmp_signed(">", count, count.type(first)), likely=True):
                four = _shuffled(builder, args[0], args[0], list(range(first, LANES, PARTS)))
                pointer = _pointer(context, builder, sig.args[1], args[1], index)
                builder.store(four, builder.bitcast(pointer, four.type.as_pointer()), align=4)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(value, array, index, stride, count), codegen
