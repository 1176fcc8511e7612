"""A run's folder: where everything in it lies, how it is made, how it is found again."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shlex
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgdhw.errors import CheckpointError, RunError
from mgdhw.experiment.load import load_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.parsing import parse_json, short_repr
from mgdhw.runs import checkpoint, manifest
from mgdhw.runs.checkpoint import Saved
from mgdhw.runs.provenance import now, versions

KEPT_CHECKPOINTS = 2
"""The newest, and the one before in case the newest is damaged."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no EDQUOT of files
_UNFINISHED = re.compile(r"\..+-[0-9]{8}-[0-9]{6}-[0-9a-f]{8}\.new")
_OURS = re.compile(
    r"experiment\.toml|provenance\.json|summary\.json|dataset\.npz|replicas\.csv|SHA256SUMS|lock\.sqlite"
    r"|metrics\.sqlite(-wal|-shm)?|checkpoint-[0-9]+\.(npz|damaged)|best\.(npz|damaged)|\..*\.tmp"
)
"""Names of a run's files."""


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
    def best_file(self) -> Path:
        """The state of the best evaluation so far, as a checkpoint."""
        return self.folder / "best.npz"

    @property
    def replicas_file(self) -> Path:
        """What came of each replica, if the run is a set of them."""
        return self.folder / "replicas.csv"

    def check(self) -> list[str]:
        """See that what decides a run is as it was written, and tell what is amiss that decides nothing.

        Raises:
            RunError: a file is missing, was edited, or is damaged.
        """
        known = manifest.entries(self.folder)
        if known is None:
            return [f"run {self.folder} has no {manifest.NAME}: nobody can tell whether its files are as they were"]
        notes = []
        for name in known:
            path = self.folder / name
            if path not in (self.summary_file, self.replicas_file, self.metrics):
                self.check_whole(path)
            elif path == self.replicas_file:  # which is read with care
                if not path.exists():
                    notes.append(f"{path}: is missing; all replicas are trained again")
            elif path.is_file() and not manifest.is_whole(self.folder, name):
                use = "its curves may be wrong" if path == self.metrics else "it is not used"
                notes.append(f"{path}: was edited, or is damaged; {use}")
        return notes

    def check_whole(self, path: Path) -> None:
        """Raise RunError where a file of the run is not as it was written."""
        try:
            if manifest.is_whole(self.folder, path.name):
                return
        except OSError as error:
            raise RunError(
                f"{path}: cannot be read: {reason(error)}; the run cannot be used without it: restore it from a backup"
            ) from None
        if path == self.experiment_file:
            raise RunError(
                f"{path}: is not what the run began with: it was edited, or is damaged. A run goes on as it began: undo"
                f" the change, and give what may be changed to {self.resume_command()} --set KEY=VALUE. To train what"
                f" the file says now, as a new run: mgdhw train {shlex.quote(str(path))}"
            )
        raise RunError(
            f"{path}: was edited, or is damaged; restore it from a backup, or look it through and remove"
            f" {manifest.NAME}: the run's files are then taken as they are"
        )

    def check_places(self) -> None:
        """Raise RunError where there is something else than a file of the run's, or no folder at all."""
        try:
            folders = [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name) and path.is_dir()]
        except OSError as error:
            raise self.cannot_write(error) from error
        for folder in folders:
            raise RunError(
                f"{folder}: is a folder where a file of the run belongs; move it away (and restore the file, if you"
                f" have it), and go on with: {self.resume_command()}"
            )

    def experiment(self) -> Experiment:
        """The experiment as it was resolved when the run began.

        Raises:
            RunError: the file was edited, or is damaged.
            ConfigError: that of a run without a manifest is damaged.
        """
        self.check_whole(self.experiment_file)
        return load_experiment(self.experiment_file)

    def provenance(self) -> dict[str, Any]:
        """Where the run comes from. Raises RunError if the file is missing, edited or damaged."""
        self.check_whole(self.provenance_file)
        try:
            found = parse_json(self.provenance_file.read_bytes())
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
        """How it ended; None if it hasn't, or the file was edited, or is damaged."""
        try:
            if not manifest.is_whole(self.folder, self.summary_file.name):
                return None
            found = parse_json(self.summary_file.read_bytes())
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

    def save_best(self, saved: Saved) -> None:
        """Write the state of the best evaluation so far. Raises OSError; what was there before stays."""
        checkpoint.save(self.best_file, saved.state, saved.extra)

    def best(self) -> Saved:
        """The state of the best evaluation, with the evaluation itself in `extra["evaluated"]`.

        Raises:
            CheckpointError: none is kept, or it is damaged.
        """
        if not self.best_file.exists():
            raise CheckpointError(
                f"run {self.folder} keeps no best θ: nothing was evaluated yet, or it was trained by an older mgdhw;"
                " its last checkpoint can be used instead: leave out --best"
            )
        try:
            return checkpoint.load(self.best_file)
        except CheckpointError as error:
            what = str(error).partition(";")[0]
            raise CheckpointError(f"{what}; its last checkpoint can be used instead: leave out --best") from None

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
        aside, number = self.metrics.with_suffix(".damaged"), 1
        while aside.exists():  # what was put aside before has records, too
            number += 1
            aside = self.metrics.with_suffix(f".damaged{number}")
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

    def cannot_write(self, error: OSError | sqlite3.Error, path: Path | None = None) -> RunError:
        """The error for anything that could not be written here, in a file if one is to blame."""
        if isinstance(error, FileNotFoundError) or not self.folder.is_dir():
            return RunError(
                f"run {self.folder}: its folder is gone, or is being emptied: somebody has deleted or moved it; if it"
                " was moved, go on with mgdhw train --resume and its new name, else begin a new run"
            )
        if path is None and isinstance(error, OSError) and error.filename is not None:
            path = Path(error.filename2 or error.filename)
        where = "" if path is None else f" ({path.name})"
        return RunError(
            f"run {self.folder} cannot be written: {reason(error)}{where}; what was kept before is untouched,"
            f" {remedy(error)} and go on with: {self.resume_command()}"
        )

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        manifest.replace(self.folder, path.name, as_json(content))


def find_run(name: str | Path, runs: Path | None = None) -> Run:
    """A run by its folder, or by its id within the folder of runs.

    Raises:
        RunError: there is none; names some that there are.
    """
    folder = Path(name)
    choices = [folder] if runs is None else [folder, runs / folder]
    choices = [choice for choice in choices if not is_unfinished(choice)]
    try:
        for choice in choices:
            if Run(choice).experiment_file.is_file():
                return Run(choice)
        missing = [Run(choice).experiment_file for choice in choices if Run(choice).provenance_file.is_file()]
        is_there = folder.exists()
    except OSError as error:  # a name that is longer than any
        raise RunError(f"there is no run {short_repr(str(folder))}: {reason(error)}") from None
    for file in missing[:1]:
        what = "is a folder" if file.is_dir() else "is missing"
        raise RunError(f"{file}: {what}; the run cannot be used without that file: restore it from a backup")
    if is_there and choices:
        raise RunError(f"{folder} is no run: it has no {Run(folder).experiment_file.name}")
    raise RunError(f"there is no run {folder}{_others(runs)}")


def is_unfinished(folder: Path) -> bool:
    """Whether a folder has the name of one that is being built: it is no run yet."""
    return _UNFINISHED.fullmatch(folder.name) is not None


def step_of(path: Path) -> int:
    """Step of a checkpoint file, from its name; -1 if it isn't named like one."""
    number = path.stem.removeprefix("checkpoint-")
    return int(number) if number.isascii() and number.isdecimal() else -1


def reason(error: OSError | sqlite3.Error | ValueError) -> str:
    """What went wrong, in the system's words."""
    return str(getattr(error, "strerror", None) or error)


def remedy(error: OSError | sqlite3.Error) -> str:
    """What to do about it."""
    if isinstance(error, OSError):
        full = error.errno in FULL
    else:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return "make room" if full else "put that right"


def as_json(content: Mapping[str, Any]) -> bytes:
    """The content of a JSON file."""
    return (json.dumps(content, indent=2, default=str) + "\n").encode()


def _others(runs: Path | None) -> str:
    """The newest runs that there are, for somebody who mistyped one."""
    if runs is None or not runs.is_dir():
        return ""
    found = [path for path in runs.glob("*/experiment.toml") if not is_unfinished(path.parent)]
    found.sort(key=lambda path: path.parent.name.split("-")[-2:])
    names = ", ".join(str(path.parent) for path in found[-3:])
    return f"; the newest in {runs} are: {names}" if names else f"; there are none in {runs}"
