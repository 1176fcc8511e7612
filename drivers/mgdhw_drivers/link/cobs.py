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
    if max(map(len, runs)) < LONGEST_RUN:
        return b"".join([_CODES[len(run)] + run if run else b"\1" for run in runs])  # most are empty in a request
    parts: list[bytes] = []
    for run in runs:
        rest = run
        while len(rest) >= LONGEST_RUN:
            parts.append(b"\xff" + rest[:LONGEST_RUN])
            rest = rest[LONGEST_RUN:]
        parts.append(_CODES[len(rest)] + rest)
    return b"".join(parts)


def decode(stuffed: bytes) -> bytes:
    """What was encoded. Raises LinkCorrupt if nothing can have been."""
    raw = bytearray(stuffed)
    cuts: list[int] = []
    position, end = 0, len(raw)
    while position < end:
        code = raw[position]
        if code == 0:
            break
        raw[position] = 0
        position += code
        if code == 0xFF:
            cuts.append(position)
    if position != end:
        raise LinkCorrupt("a frame is not COBS")
    for cut in reversed(cuts):  # a run that was cut only for its length stands for no zero
        del raw[cut : cut + 1]
    return bytes(raw[1:])


_CODES = [bytes([length + 1]) for length in range(LONGEST_RUN)]
