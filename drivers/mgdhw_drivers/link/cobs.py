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
    runs = raw.split(b"\0")
    if len(max(runs, key=len)) < LONGEST_RUN:
        return b"".join([_CODES[len(run)] + run for run in runs])
    parts: list[bytes] = []
    for run in runs:
        start = 0
        while len(run) - start >= LONGEST_RUN:
            parts += (b"\xff", run[start : start + LONGEST_RUN])
            start += LONGEST_RUN
        rest = run[start:]
        parts += (_CODES[len(rest)], rest)
    return b"".join(parts)


def decode(stuffed: bytes) -> bytes:
    """What was encoded. Raises LinkCorrupt if nothing can have been."""
    runs: list[bytes] = []
    position, end, cut = 0, len(stuffed), False
    while position < end:
        code = stuffed[position]
        following = position + code
        if code == 0 or following > end:
            raise LinkCorrupt("a frame is not COBS")
        if cut:  # a run that was cut only for its length stands for no zero
            runs[-1] += stuffed[position + 1 : following]
        else:
            runs.append(stuffed[position + 1 : following])
        cut = code == 0xFF
        position = following
    return b"\0".join(runs)


_CODES = [bytes([length + 1]) for length in range(LONGEST_RUN)]
