"""A run's folder: where everything in it lies, how it is made, how it is found again."""

from __future__ import annotations

import contextlib
import errno
import json
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mgdhw import checkpoint
from mgdhw.checkpoint import Saved, write_atomically
from mgdhw.config import Experiment, load_experiment, to_toml
from mgdhw.errors import CheckpointError, RunError
from mgdhw.runs.provenance import now, versions

KEPT_CHECKPOINTS = 2
"""The newest, and the one before in case the newest is damaged."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no EDQUOT of files
MAX_SAME_NAME = 1000
"""Runs of one name in one second; more is somebody's mistake."""


@dataclass(frozen=True)
class Run:
    """A folder with one run in it.

    Args:
        folder: as the user wrote it, so that what is printed can be typed.
    """

    folder: Path

    @property
    def id(self) -> str:
        """The run's name, such as digits-20261123-004012."""
        return self.folder.resolve().name

    @property
    def experiment_file(self) -> Path:
        """The experiment with every default filled in."""
        return self.folder / "experiment.toml"

    @property
    def provenance_file(self) -> Path:
        """Versions, repository, device, data; and every session that worked on the run."""
        return self.folder / "provenance.json"

    @property
    def metrics(self) -> Path:
        """The SQLite database of curves."""
        return self.folder / "metrics.sqlite"

    @property
    def lock(self) -> Path:
        """What a writer holds."""
        return self.folder / "lock.sqlite"

    @property
    def summary_file(self) -> Path:
        """How it ended; there once it has."""
        return self.folder / "summary.json"

    @property
    def replicas_file(self) -> Path:
        """What came of each replica, if the run is a set of them."""
        return self.folder / "replicas.csv"

    def experiment(self) -> Experiment:
        """The experiment as it was resolved when the run began. Raises ConfigError if the file is damaged."""
        return load_experiment(self.experiment_file)

    def provenance(self) -> dict[str, Any]:
        """Where the run comes from. Raises RunError if the file is missing or damaged."""
        try:
            found = json.loads(self.provenance_file.read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.provenance_file}: cannot be read: {error}; the run cannot be used") from None
        kinds = {"device": dict, "sessions": list}
        if not isinstance(found, dict) or not all(isinstance(found.get(key, of()), of) for key, of in kinds.items()):
            raise RunError(f"{self.provenance_file}: is no provenance of a run; the run cannot be used")
        return found

    def replicas(self) -> int | None:
        """How many replicas the run is a set of; None if it is a single training. Raises RunError."""
        found = self.provenance().get("replicas")
        return found if isinstance(found, int) else None

    def add_session(self, changes: Mapping[str, Any]) -> None:
        """Record that somebody goes on with the run, and what is different. Raises OSError."""
        found = self.provenance()
        sessions = [*found.get("sessions", []), {"resumed": now(), "versions": versions(), **changes}]
        self._write_json(self.provenance_file, {**found, "sessions": sessions})

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Record how it ended. Raises OSError."""
        self._write_json(self.summary_file, summary)

    def summary(self) -> dict[str, Any] | None:
        """How it ended; None if it hasn't, or the file is damaged."""
        try:
            found = json.loads(self.summary_file.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[Path]:
        """Checkpoint files, newest first."""
        found = [path for path in self.folder.glob("checkpoint-*.npz") if step_of(path) >= 0]
        return sorted(found, key=step_of, reverse=True)

    def save(self, saved: Saved) -> None:
        """Write a checkpoint and let go of all but the latest. Raises OSError; what was there before stays."""
        checkpoint.save(self.folder / f"checkpoint-{saved.state.step}.npz", saved.state, saved.extra)
        for old in self.checkpoints()[KEPT_CHECKPOINTS:]:
            old.unlink(missing_ok=True)

    def latest(self) -> tuple[Saved | None, list[str]]:
        """The newest checkpoint that can be read, and a note on each that cannot.

        Training is deterministic, so an older one comes to the same end. None if there is none at all (the run
        was stopped before its first one).

        Raises:
            CheckpointError: there are some and none of them can be read.
        """
        notes: list[str] = []
        for path in self.checkpoints():
            try:
                return checkpoint.load(path), notes
            except CheckpointError as error:
                notes.append(f"{error.args[0].partition(';')[0]}; using the one before")
        if notes:
            raise CheckpointError(
                f"run {self.folder}: none of its {len(notes)} checkpoints can be read; restore one from a backup,"
                f" or begin again: mgdhw train {shlex.quote(str(self.experiment_file))}"
            )
        return None, notes

    def tidy(self, step: int) -> None:
        """Clear up after a writer that died, before going on from `step`. Raises OSError.

        Checkpoints beyond `step` could not be read, and would pass for the newest ever after: they are renamed.
        """
        for path in self.checkpoints():
            if step_of(path) > step:
                path.replace(path.with_suffix(".damaged"))
        for unfinished in self.folder.glob(".*.tmp"):
            unfinished.unlink(missing_ok=True)

    def set_metrics_aside(self) -> Path:
        """Rename a database that is damaged, with what SQLite keeps beside it. Raises OSError."""
        aside = self.metrics.with_suffix(".damaged")
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self.metrics.with_name(self.metrics.name + ending).replace(aside.with_name(aside.name + ending))
        return aside

    # --- what to tell the user -----------------------------------------------------------------------------------

    def resume_command(self) -> str:
        """What to type to go on."""
        return f"mgdhw train --resume {shlex.quote(str(self.folder))}"

    def evaluate_command(self) -> str:
        """What to type to try its network."""
        return f"mgdhw evaluate {shlex.quote(str(self.folder))}"

    def cannot_write(self, error: OSError | sqlite3.Error) -> RunError:
        """The error for anything that could not be written here."""
        return RunError(
            f"run {self.folder} cannot be written: {reason(error)}; what was kept before is untouched,"
            f" {remedy(error)} and go on with: {self.resume_command()}"
        )

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        write_atomically(path, (json.dumps(content, indent=2, default=str) + "\n").encode())


def create_run(
    runs: Path,
    experiment: Experiment,
    origin: Mapping[str, Any],
    files: Mapping[str, Callable[[IO[bytes]], None]] | None = None,
) -> Run:
    """Make the folder of a new run, named after the experiment and the time.

    Args:
        runs: folder of runs; made if it isn't there.
        experiment: what will be done.
        origin: its provenance.
        files: what else is kept beside the experiment: names, and what writes them.

    Raises:
        RunError: the folder cannot be made or written (no permission, a full disk, ...).
    """
    try:
        run = Run(_new_folder(runs, f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"))
    except (FileExistsError, NotADirectoryError) as error:
        file = next((path for path in (runs, *runs.parents) if path.exists() and not path.is_dir()), runs)
        raise RunError(
            f"runs folder {runs}: a run cannot be made there: {file} is no folder; choose one with --runs FOLDER,"
            " or a name for a new one"
        ) from error
    except OSError as error:
        raise RunError(
            f"runs folder {runs}: a run cannot be made there: {reason(error)}; choose another with --runs FOLDER"
        ) from error
    try:
        write_atomically(run.experiment_file, to_toml(experiment).encode())
        for name, write in (files or {}).items():
            write_atomically(run.folder / name, write)
        run._write_json(run.provenance_file, origin)
    except OSError as error:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise RunError(
            f"run {run.folder} cannot be written: {reason(error)}; {remedy(error)},"
            " or choose another folder with --runs"
        ) from error
    return run


def find_run(name: str | Path, runs: Path | None = None) -> Run:
    """A run by its folder, or by its id within the folder of runs.

    Raises:
        RunError: there is none; names some that there are.
    """
    folder = Path(name)
    choices = [folder] if runs is None else [folder, runs / folder]
    for choice in choices:
        if Run(choice).experiment_file.is_file():
            return Run(choice)
    if folder.exists():
        raise RunError(f"{folder} is no run: it has no {Run(folder).experiment_file.name}")
    raise RunError(f"there is no run {folder}{_others(runs)}")


def step_of(path: Path) -> int:
    """Step of a checkpoint file, from its name; -1 if it isn't named like one."""
    number = path.stem.removeprefix("checkpoint-")
    return int(number) if number.isascii() and number.isdecimal() else -1


def reason(error: OSError | sqlite3.Error) -> str:
    """What went wrong, in the system's words."""
    return str(getattr(error, "strerror", None) or error)


def remedy(error: OSError | sqlite3.Error) -> str:
    """What to do about it."""
    if isinstance(error, OSError):
        full = error.errno in FULL
    else:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return "make room" if full else "put that right"


def _new_folder(runs: Path, name: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    for number in range(1, MAX_SAME_NAME):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise OSError(f"there are {MAX_SAME_NAME} runs named {name}")


def _others(runs: Path | None) -> str:
    """The newest runs that there are, for somebody who mistyped one."""
    if runs is None or not runs.is_dir():
        return ""
    found = sorted(runs.glob("*/experiment.toml"), key=lambda path: path.parent.name.split("-")[-2:])
    names = ", ".join(str(path.parent) for path in found[-3:])
    return f"; the newest in {runs} are: {names}" if names else f"; there are none in {runs}"
