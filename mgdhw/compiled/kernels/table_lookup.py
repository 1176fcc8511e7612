"""Small tables in registers: a gather from memory takes as long as thirty additions, this as long as seven."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mgdhw.compiled.kernels.simd import I32, LANES, _gather, _llvm, _pointer, intrinsic
from mgdhw.compiled.target import has_feature

ENTRIES = 256
"""Of a table."""
HAS_LOOKUPS = has_feature("avx512f")
"""Whether the target looks up sixteen numbers in a table of 32, in its registers, in one instruction."""


@intrinsic
def looked_up(typingctx: Any, table: Any, index: Any) -> Any:
    """Elements of a table of `ENTRIES` numbers of 32 bits."""
    if table.dtype != types.int32 or index != I32:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table, index, lanes = args[0], args[1], _llvm(I32)
        if not HAS_LOOKUPS:
            return _gather(builder, context.make_array(sig.args[0])(context, builder, table).data, index, lanes, 4)
        first = _pointer(context, builder, sig.args[0], table, ir.Constant(ir.IntType(64), 0))
        vectors = builder.bitcast(first, lanes.as_pointer())
        loaded = [
            builder.load(builder.gep(vectors, [ir.Constant(ir.IntType(64), number)]), align=4)
            for number in range(ENTRIES // LANES)
        ]
        kind = ir.FunctionType(lanes, [lanes] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.d.512")
        found = [
            builder.call(function, [low, index, high]) for low, high in zip(loaded[::2], loaded[1::2], strict=True)
        ]
        bit = 2 * LANES
        while len(found) > 1:
            set_ = builder.icmp_signed(
                "!=", builder.and_(index, ir.Constant(lanes, [bit] * LANES)), ir.Constant(lanes, [0] * LANES)
            )
            found = [builder.select(set_, high, low) for low, high in zip(found[::2], found[1::2], strict=True)]
            bit *= 2
        return found[0]

    return I32(table, index), codegen
