"""How much a file may make of itself: what its header promises, and no more than its bytes can hold.

A few kilobytes of deflated zeros unpack to gigabytes. Nothing is unpacked before it is known how long it claims to be,
whether so many bytes can be packed in the file at all, and whether there is room for them.
"""

from __future__ import annotations

import os
from pathlib import Path

from mgdhw.errors import DatasetError

DEFLATE_RATIO = 1032
"""Deflate packs at most so many bytes into one (https://zlib.net/zlib_tech.html)."""
_UNKNOWN_MEMORY = 1 << 34


def check_room(path: Path, what: str, promised: int) -> None:
    """Raise DatasetError where an array takes more than half of this machine's memory."""
    most = _memory() // 2
    if promised > most:
        raise DatasetError(
            f"{path}: {what} would take {promised >> 20:,} MiB, more than half of this machine's memory"
            f" ({most >> 20:,} MiB); keep fewer samples, or bytes instead of floats"
        )


def can_hold(packed: int, promised: int) -> bool:
    """Whether so many packed bytes can unpack to what is promised; small streams are given some room."""
    return promised <= DEFLATE_RATIO * (packed + 64)


def _memory() -> int:
    """Bytes of memory in this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return _UNKNOWN_MEMORY
