"""Making a run's folder: under another name until it is whole, so that no half of one is ever found."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mgdhw.errors import RunError
from mgdhw.experiment.load import to_toml
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import manifest
from mgdhw.runs.atomic import sync_folder, write_atomically
from mgdhw.runs.folder import Run, as_json, is_unfinished, reason, remedy
from mgdhw.runs.lock import RunLock, why_no_locks

MAX_SAME_NAME = 1000
"""Runs of one name in one second; more is somebody's mistake."""
LEFT_SECONDS = 60.0
"""A folder that was begun so long ago is locked by whoever still builds it."""


Files = Mapping[str, Callable[[IO[bytes]], None]]
"""Names of files, and what writes them."""


def create_run(runs: Path, experiment: Experiment, provenance: Mapping[str, Any], files: Files | None = None) -> Run:
    """Make the folder of a new run, named after the experiment and the time. See `create_locked`."""
    run, lock = create_locked(runs, experiment, provenance, files)
    lock.release()
    return run


def create_locked(
    runs: Path, experiment: Experiment, provenance: Mapping[str, Any], files: Files | None = None
) -> tuple[Run, RunLock]:
    """Make the folder of a new run, and hold it.

    Args:
        runs: folder of runs; made if it isn't there.
        experiment: what will be done.
        provenance: what `provenance.json` says of it.
        files: what else is kept beside the experiment.

    Raises:
        RunError: the folder cannot be made or written (no permission, a full disk, ...).
        ConfigError: the experiment cannot be written as a file.
    """
    text = to_toml(experiment)
    name = f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"
    building = runs / f".{name}-{secrets.token_hex(4)}.new"  # what `is_unfinished` knows
    try:
        runs.mkdir(parents=True, exist_ok=True)
        without_locks = why_no_locks(runs)
        if without_locks is not None:
            raise RunError(
                f"runs folder {runs}: a run cannot be made there: its file system has no locks ({without_locks}), so"
                " that nothing would keep two processes from writing one run; choose one on another disk with"
                " --runs FOLDER"
            )
        tidy(runs)
        building.mkdir()
    except (FileExistsError, NotADirectoryError):
        file = next((path for path in (runs, *runs.parents) if path.exists() and not path.is_dir()), runs)
        raise RunError(
            f"runs folder {runs}: a run cannot be made there: {file} is no folder; choose one with --runs FOLDER,"
            " or a name for a new one"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        raise RunError(
            f"runs folder {runs}: a run cannot be made there: {reason(error)}; choose another with --runs FOLDER"
        ) from None
    lock = RunLock(Run(building))
    try:
        lock.__enter__()
        write_atomically(building / "experiment.toml", text.encode())
        for file_name, write in (files or {}).items():
            write_atomically(building / file_name, write)
        write_atomically(building / "provenance.json", as_json(provenance))
        written = [path.name for path in building.iterdir()]
        manifest.seal(building, [name for name in written if not name.startswith(Run(building).lock.name)])
        if os.name == "nt":  # which renames no folder with an open file in it
            lock.release()
        run = Run(_rename(building, name))
        if os.name == "nt":
            lock = RunLock(run).__enter__()
    except BaseException as error:
        lock.release()
        shutil.rmtree(building, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise RunError(
            f"run {runs / name} cannot be written: {reason(error)}; {remedy(error)},"
            " or choose another folder with --runs"
        ) from None
    return run, lock


def tidy(runs: Path) -> None:
    """Remove what processes that were killed have begun to build: what is old, and locked by nobody."""
    for left in runs.glob(".*.new"):
        try:
            if not is_unfinished(left) or time.time() - left.stat().st_mtime < LEFT_SECONDS:
                continue
            if not Run(left).lock.exists():
                left.rmdir()  # only if it is empty
                continue
            with RunLock(Run(left)):
                shutil.rmtree(left, ignore_errors=True)
            shutil.rmtree(left, ignore_errors=True)  # some systems keep a file that is open
        except (OSError, RunError):
            continue


def _rename(building: Path, name: str) -> Path:
    """Give a folder its name, or one with a number where there is one of it already. Raises OSError."""
    for number in range(1, MAX_SAME_NAME):
        folder = building.with_name(name if number == 1 else f"{name}-{number}")
        if folder.exists():
            continue
        try:
            building.rename(folder)
        except OSError:
            if folder.exists():  # somebody was faster
                continue
            raise
        sync_folder(folder.parent)
        return folder
    raise OSError(f"there are {MAX_SAME_NAME} runs named {name}")
