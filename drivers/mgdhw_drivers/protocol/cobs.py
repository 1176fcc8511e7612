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
    if len(raw) < LONGEST_RUN:
        return b"".join([_CODES[len(run)] + run if run else b"\1" for run in runs])  # many are empty
    stuffed = bytearray(b"\0" + raw)
    position = 0
    for size in map(len, runs):
        left = size
        while left >= LONGEST_RUN:
            stuffed[position] = 0xFF
            position += LONGEST_RUN + 1
            stuffed.insert(position, 0)
            left -= LONGEST_RUN
        stuffed[position] = left + 1
        position += left + 1
    return bytes(stuffed)


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
