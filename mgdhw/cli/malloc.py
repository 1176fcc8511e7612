"""Tuning of glibc's memory allocator."""

from __future__ import annotations

import contextlib
import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h."""
LARGE = 1 << 20
KEPT = 16 << 20


def tune_malloc() -> None:
    """Return arrays of a mebibyte and more to the system when they are freed.

    glibc raises that limit by itself, up to 32 MiB, whenever a large one is freed, and keeps what is smaller: a chip of
    a million parameters then takes a sixth more memory than it needs. Where it doesn't, it also gives back whatever is
    free at the heap's end, after every small array: some of that is kept, since fetching it again takes longer than
    what arrays are for. Other systems' allocators are left alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_THRESHOLD, LARGE)
            library.mallopt(TRIM_THRESHOLD, KEPT)
