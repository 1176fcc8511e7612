"""Threads for the parts of a team (`team.py`), each on a processor of its own."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def together(work: Callable[[int], Answer], parts: int) -> Answer:
    """Run every part of some work at the same time, each in a thread; the answer is the first part's, in this one.

    Threads that wait for each other every few microseconds never sleep, and a scheduler may leave two such on one
    processor for a tenth of a second. So this one stays where it is, and the others go elsewhere before work begins.
    """
    if parts == 1:
        return work(0)
    here = _processor()
    allowed = set() if here is None else os.sched_getaffinity(0)
    elsewhere = allowed - {here}
    ready = threading.Barrier(parts)

    def other(part: int) -> None:
        _stay(elsewhere)
        ready.wait()
        work(part)

    others = [threading.Thread(target=other, args=(part,), name=f"mgdhw part {part}") for part in range(1, parts)]
    for thread in others:
        thread.start()
    try:
        ready.wait()
        _stay(allowed - elsewhere)
        return work(0)
    finally:
        _stay(allowed)
        for thread in others:
            thread.join()


def _stay(processors: set[int]) -> None:
    """Let this thread run on these processors only; no change where there are none, or they cannot be chosen."""
    if processors and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


def _processor() -> int | None:
    """The processor that this thread runs on; None where nobody can tell."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        number = int(ctypes.CDLL(None).sched_getcpu())
    except (OSError, AttributeError):
        return None
    return number if number >= 0 else None
