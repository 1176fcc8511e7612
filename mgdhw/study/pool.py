"""Many trainings on all processors, which an interruption ends together."""

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


def run_all(
    run: Callable[[*Given], Row],
    todo: Sequence[tuple[*Given]],
    on_result: Callable[[Row], None],
    workers: int | None = None,
) -> None:
    """Call `run`, a module-level function, with each set of arguments, on all processors; `on_result` gets the results.

    An interruption ends calls under way and is raised; results already passed on are complete.
    """
    _one_thread_each()
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, context, _end_with_parent) as pool:
        try:
            with _signal_blocked(signal.SIGINT):  # inherited by the workers: only this process is interrupted
                futures = [pool.submit(run, *given) for given in todo]
            for future in as_completed(futures):
                on_result(future.result())
        except BaseException:
            # Otherwise they would finish first. This breaks the pool, so that it starts nothing else.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _end_with_parent() -> None:
    """In a worker: exit when the parent process is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers have one"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="mgdhw watches its parent", daemon=True).start()


@contextlib.contextmanager
def _signal_blocked(number: int) -> Iterator[None]:
    """In this context, a signal is blocked; processes started meanwhile never get it (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_thread_each() -> None:
    """One thread per worker: the workers already use all processors."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
