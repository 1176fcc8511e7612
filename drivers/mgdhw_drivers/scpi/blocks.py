"""Arbitrary blocks of IEEE 488.2: `#3100` and 100 bytes, or `#0` and bytes up to the end of the message."""

from __future__ import annotations

from typing import NamedTuple

HEADER_DIGITS = 9
"""Most digits of a length."""


class BlockStart(NamedTuple):
    """Where a block's bytes begin, and how many they are; None for a block of indefinite length."""

    begin: int
    length: int | None


def block_start(message: bytes | bytearray, position: int) -> BlockStart | None:
    """The block whose `#` is at `position`; None if what follows is no block (`#H1F`, for example).

    Raises:
        IndexError: the message ends before this can be told.
    """
    first = message[position + 1] - ord("0")
    if first == 0:
        return BlockStart(position + 2, None)
    if not 1 <= first <= HEADER_DIGITS:
        return None
    digits = message[position + 2 : position + 2 + first]
    if digits and not digits.isdigit():
        return None
    if len(digits) < first:
        raise IndexError("the length of the block is cut off")
    return BlockStart(position + 2 + first, int(digits))


def definite_block(data: bytes) -> bytes:
    """Bytes as a block of definite length.

    Raises:
        ValueError: a gigabyte or more, which no such block can hold.
    """
    length = str(len(data))
    if len(length) > HEADER_DIGITS:
        raise ValueError(f"{len(data):,} bytes are too many for one block")
    return b"#%d%s" % (len(length), length.encode()) + data
