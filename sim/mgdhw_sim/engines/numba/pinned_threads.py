"""The threads of a team (`thread_team.py`), each on a processor of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def run_pinned(work: Callable[[int], Answer], n_threads: int, release: Callable[[], None]) -> Answer:
    """Run all shares of some work at the same time, each in a thread; the answer is that of the first, in this one.

    Threads that wait for each other every few microseconds never sleep, and a scheduler may leave two such on one
    processor for a tenth of a second. So this one stays where it is, and the others go elsewhere before work begins.

    Args:
        work: of a thread, by its number.
        n_threads: how many.
        release: lets threads go that wait for one that will not come, because it failed or was interrupted.
    """
    if n_threads == 1:
        return work(0)
    here = _processor()
    allowed = set() if here is None else os.sched_getaffinity(0)
    elsewhere = allowed - {here}
    ready = threading.Barrier(n_threads)
    failed: list[BaseException] = []

    def other(number: int) -> None:
        try:
            _stay(elsewhere)
            ready.wait()
            work(number)
        except BaseException as error:  # raised below, in the thread that asked
            failed.append(error)
            ready.abort()
            release()

    others = [
        threading.Thread(target=other, args=(number,), name=f"mgdhw thread {number}") for number in range(1, n_threads)
    ]
    for thread in others:
        thread.start()
    try:
        with contextlib.suppress(threading.BrokenBarrierError):
            ready.wait()
            _stay(allowed - elsewhere)
            answer = work(0)
    except BaseException:
        ready.abort()
        release()
        raise
    finally:
        _stay(allowed)
        for thread in others:
            thread.join()
    if failed:
        raise failed[0]
    return answer


def _stay(processors: set[int]) -> None:
    """Let this thread run on these processors only; no change where there are none, or they cannot be chosen."""
    if processors and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # not allowed here: slower, no less right
            os.sched_setaffinity(0, processors)


def _processor() -> int | None:
    """The processor that this thread runs on; None where it is unknown."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        number = int(ctypes.CDLL(None).sched_getcpu())
    except (OSError, AttributeError):
        return None
    return number if number >= 0 else None
