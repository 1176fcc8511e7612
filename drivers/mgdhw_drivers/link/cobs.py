"""Consistent overhead byte stuffing: bytes without a zero among them.

Source: Cheshire & Baker, "Consistent overhead byte stuffing", IEEE/ACM Transactions on Networking 7 (1999).
"""

from __future__ import annotations

from mgdhw.errors import LinkCorrupt

LONGEST_RUN = 254


def encoded_size(size: int) -> int:
    """Most bytes that so many may become."""
    return size + size // LONGEST_RUN + 1


def encode(raw: bytes) -> bytes:
    """Bytes as runs without zeros, each preceded by its length + 1."""
    parts: list[bytes] = []
    for run in raw.split(b"\0"):
        start = 0
        while len(run) - start >= LONGEST_RUN:
            parts += (b"\xff", run[start : start + LONGEST_RUN])
            start += LONGEST_RUN
        rest = run[start:]
        parts += (_CODES[len(rest)], rest)
    return b"".join(parts)


def decode(stuffed: bytes) -> bytes:
    """What was encoded. Raises LinkCorrupt if nothing can have been."""
    parts: list[bytes] = []
    position, end, code = 0, len(stuffed), 0xFF
    while position < end:
        if code != 0xFF:  # a run that was cut only for its length stands for no zero
            parts.append(b"\0")
        code = stuffed[position]
        following = position + code
        if code == 0 or following > end:
            raise LinkCorrupt("a frame is not COBS")
        parts.append(stuffed[position + 1 : following])
        position = following
    return b"".join(parts)


_CODES = [bytes([length + 1]) for length in range(LONGEST_RUN)]
