"""Frames of values: costs and outputs, in the narrowest numbers that hold them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import LinkCorrupt

HEADER = struct.Struct("<IHBB")
KINDS = tuple(np.dtype(kind) for kind in ("<u2", "<u4", "<i8", "<f8", "<i2", "<i4"))
FLOAT_KIND = 3
NARROWEST = tuple((kind, np.iinfo(KINDS[kind]).min, np.iinfo(KINDS[kind]).max) for kind in (0, 4, 1, 5, 2))
"""Kinds of integers, the narrowest first, with the least and the greatest that each holds."""


def kind_of(values: NDArray[Any]) -> int:
    """Number of the narrowest kind that holds the values exactly."""
    if values.dtype.kind not in "iu":
        return FLOAT_KIND
    bits = int(np.bitwise_or.reduce(values))
    if 0 <= bits <= 0xFFFF:
        return 0  # what most costs are, seen in one pass
    low, high = int(values.min()), int(values.max())
    for kind, least, greatest in NARROWEST:
        if least <= low and high <= greatest:
            return kind
    raise LinkCorrupt(f"{high} is more than 64 bits hold")


def pack(first: int, values: NDArray[Any], max_payload: int, *, last: bool) -> list[bytes]:
    """Payloads for values, (n,) with n >= 1, whose first is number `first` of the answer."""
    kind = kind_of(values)
    raw = values.astype(KINDS[kind], copy=False)
    most = min(0xFFFF, (max_payload - HEADER.size) // raw.itemsize)
    payloads = []
    for start in range(0, raw.size, most):
        part = raw[start : start + most]
        ends = last and start + most >= raw.size
        payloads.append(HEADER.pack(first + start, part.size, kind, ends) + part.tobytes())
    return payloads


def unpack(payload: bytes) -> tuple[int, NDArray[Any], bool]:
    """Number of the first value, the values, and whether these are the last. Raises LinkCorrupt."""
    if len(payload) <= HEADER.size:
        raise LinkCorrupt("a frame of values has none")
    first, count, kind, last = HEADER.unpack_from(payload)
    if kind >= len(KINDS) or len(payload) != HEADER.size + count * KINDS[kind].itemsize:
        raise LinkCorrupt(f"a frame of {count} values of kind {kind} has {len(payload)} bytes")
    values = np.frombuffer(payload, KINDS[kind], count, HEADER.size)
    return first, values.astype(np.float64 if kind == FLOAT_KIND else np.int64), bool(last)
