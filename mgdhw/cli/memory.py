"""How this process uses memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys

MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of glibc's malloc.h."""
LARGE = 1 << 20


def give_back_large_arrays() -> None:
    """Let arrays of a mebibyte and more go back to the system when they are freed.

    glibc raises that limit by itself, up to 32 MiB, whenever a large one is freed, and keeps what is smaller: a chip of
    a million parameters then takes a sixth more memory than it needs. Other systems' allocators are left alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)
