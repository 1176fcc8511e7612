"""Limits on the size of unpacked files: what the header declares, if it is plausible and fits the memory.

A few kilobytes of deflated zeros unpack to gigabytes. Before anything is unpacked, its declared size is checked against
the packed size and the available memory.
"""

from __future__ import annotations

import os
from pathlib import Path

from mgdhw.errors import DatasetError

DEFLATE_RATIO = 1032
"""Deflate packs at most so many bytes into one (https://zlib.net/zlib_tech.html)."""
_UNKNOWN_MEMORY = 1 << 34


def check_room(path: Path, what: str, promised: int) -> None:
    """Raise DatasetError if an array needs more than half of this machine's memory."""
    most = _memory() // 2
    if promised > most:
        raise DatasetError(
            f"{path}: {what} needs {promised >> 20:,} MiB, more than half of this machine's memory"
            f" ({most >> 20:,} MiB); use fewer samples, or bytes instead of floats"
        )


def can_hold(packed: int, promised: int) -> bool:
    """Whether the packed bytes can unpack to the declared size; with some tolerance for small streams."""
    return promised <= DEFLATE_RATIO * (packed + 64)


def _memory() -> int:
    """Bytes of memory in this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return _UNKNOWN_MEMORY
