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


class Gathered:
    """The values of one answer, as its frames come. Never more than were asked for.

    Args:
        wanted: how many were asked for, at least one.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0
        """How many have come, without a gap."""
        self.has_gap = False
        """Whether a frame was lost: what follows is of no use."""
        self._values: NDArray[Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all have come."""
        return self.count == self.wanted

    def take(self, payload: bytes) -> bool:
        """Take in a frame; whether there was anything new in it.

        Raises:
            LinkCorrupt: it is no frame of values, or does not belong to such an answer: there are more values than were
                asked for, it says that it is the last one where it is not, or numbers are of another kind than before.
        """
        first, part, last = unpack(payload)
        if first != self.count:
            self.has_gap = first > self.count
            return False  # the line has said it twice, or has lost what was before it
        count = first + part.size
        if count > self.wanted or last != (count == self.wanted):
            raise LinkCorrupt(
                f"the answer has {'' if last else 'more than '}{count:,} values where {self.wanted:,} were asked for"
            )
        if self._values is None and last:
            self._values = part  # most answers are one frame
        elif self._values is None:
            self._values = np.empty(self.wanted, dtype=part.dtype)
        if self._values.dtype != part.dtype:
            raise LinkCorrupt("the answer has integers and floats")
        if self._values is not part:
            self._values[first:count] = part
        self.count = count
        return True

    def values(self) -> NDArray[Any]:
        """Those that have come."""
        return _NONE if self._values is None else self._values[: self.count]


_NONE: NDArray[Any] = np.zeros(0, dtype=np.int64)
