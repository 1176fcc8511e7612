"""Beginning a run while a device is open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mgdhw.concurrency.threads import in_thread
from mgdhw.experiment.schema import Experiment
from mgdhw.runs.create import Files, create_locked
from mgdhw.runs.folder import Run


async def begin_run(
    stack: contextlib.AsyncExitStack,
    runs: Path,
    experiment: Experiment,
    provenance: Callable[[], Mapping[str, Any]],
    files: Files | None = None,
) -> Run:
    """A new run, made and locked in a thread: a slow disk keeps no device waiting.

    Args:
        stack: the run stays locked until this is left.
        runs: folder of runs.
        experiment: as it is done.
        provenance: makes the record of where the run comes from; may take its time.
        files: what else is kept beside the experiment.

    Raises:
        RunError: it cannot be kept there.
    """
    run, lock = await in_thread(lambda: create_locked(runs, experiment, provenance(), files))
    stack.push(lock)
    return run
