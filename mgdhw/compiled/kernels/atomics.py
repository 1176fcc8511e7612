"""Counters that threads of one team share (`team` of the simulated chip's engine)."""

from __future__ import annotations

from typing import Any

from numba import types

from mgdhw.compiled.kernels.simd import _pointer, intrinsic


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
