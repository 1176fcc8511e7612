"""Many trainings on all processors, and an end of them all when somebody asks for it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar, TypeVarTuple

Given = TypeVarTuple("Given")
Row = TypeVar("Row")


def each(
    run: Callable[[*Given], Row], todo: Sequence[tuple[*Given]], tell: Callable[[Row], None], workers: int | None = None
) -> None:
    """Call `run`, a function of a module, with all of these arguments on all processors; `tell` hears what it returns.

    An interruption ends the others in the middle and is raised; what was told of is done.
    """
    _one_thread_each()
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, context, _end_with_parent) as pool:
        try:
            with _held_back(signal.SIGINT):  # and so in the workers, for good: who is interrupted is this process
                futures = [pool.submit(run, *given) for given in todo]
            for future in as_completed(futures):
                tell(future.result())
        except BaseException:
            # They would finish what they have begun. The pool is broken then: it begins nothing else, and is left when
            # its own thread has seen to that.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _end_with_parent() -> None:
    """In a worker: end when the process is gone that asked for the work, in whatever way it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers have one"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="mgdhw watches its parent", daemon=True).start()


@contextlib.contextmanager
def _held_back(number: int) -> Iterator[None]:
    """While this lasts, a signal waits; processes that are begun meanwhile never get it (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_thread_each() -> None:
    """The workers share the processors already."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
