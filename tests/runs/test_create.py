"""Folders of runs: what is no file, and runs that are being made."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

import mgdhw
from mgdhw.errors import RunError
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Run, RunLock, create, create_run, find_run, lock, manifest
from mgdhw.training.events import Checkpoint, Event
from tests.runs.kept import XOR

# --- what is no file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["metrics.sqlite", "lock.sqlite", "summary.json", "replicas.csv", "checkpoint-900.npz", ".summary.json.tmp"],
)
def test_a_folder_in_place_of_a_file_is_named(stopped: Path, digest: str, name: str) -> None:
    path = stopped / name
    path.unlink(missing_ok=True)
    path.mkdir()
    with pytest.raises(RunError, match=f"{name}: is a folder where a file of the run belongs; move it away .*--resume"):
        mgdhw.train(resume=stopped)
    path.rmdir()
    assert mgdhw.train(resume=stopped).digest == digest


@pytest.mark.parametrize("name", ["experiment.toml", "provenance.json", manifest.NAME])
def test_a_folder_in_place_of_a_file_that_is_needed(stopped: Path, name: str) -> None:
    (stopped / name).unlink()
    (stopped / name).mkdir()
    with pytest.raises(RunError, match=f"{name}: "):
        mgdhw.train(resume=stopped)


def test_folders_of_the_users_are_left_alone(stopped: Path, digest: str) -> None:
    (stopped / ".ipynb_checkpoints").mkdir()
    (stopped / "figures").mkdir()
    assert mgdhw.train(resume=stopped).digest == digest


def test_a_damaged_lock_is_mended(empty: Run) -> None:
    empty.lock.write_bytes(b"no database" * 1000)
    with RunLock(empty), pytest.raises(RunError, match="is being written by another process"), RunLock(empty):
        pass
    assert empty.lock.stat().st_size == 0


def test_a_folder_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    def delete(event: Event) -> None:
        if isinstance(event, Checkpoint) and event.state.step > 100:
            while (tmp_path / "runs").exists():  # a file may come while it is emptied
                shutil.rmtree(tmp_path / "runs", ignore_errors=True)

    often = {**XOR, "run": {"checkpoint_seconds": 1e-6, "block": 10}}
    with pytest.raises(RunError, match=r"its folder is gone, .*somebody has deleted or moved it; .*begin a new run"):
        mgdhw.train(often, runs=tmp_path / "runs", listeners=[delete])
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_deleted_before(empty: Run) -> None:
    shutil.rmtree(empty.folder)
    with pytest.raises(RunError, match="its folder is gone"), RunLock(empty):
        pass


# --- runs that are being made -----------------------------------------------------------------------------------------


def leftover(runs: Path) -> Path:
    """What a process leaves that was killed while it made a run."""
    folder = runs / ".xor-20260101-000000-0123abcd.new"
    folder.mkdir(parents=True)
    (folder / "lock.sqlite").touch()
    (folder / "experiment.toml").write_text("seed = 0")
    return folder


def aged(folder: Path) -> None:
    before = folder.stat().st_mtime - 2 * create.LEFT_SECONDS
    os.utime(folder, (before, before))


def test_leftovers_are_no_runs_and_are_tidied(tmp_path: Path) -> None:
    left = leftover(tmp_path)
    for name in (left.name, left, "nonsense"):
        with pytest.raises(RunError, match=f"there is no run .*; there are none in {tmp_path}"):
            find_run(name, tmp_path)
    made = create_run(tmp_path, Experiment(), {}).folder
    assert left.exists(), "somebody may have begun it just now"
    aged(left)
    held = leftover(tmp_path / "other")
    aged(held)
    bare = tmp_path / ".bare-20260101-000000-0123abcd.new"
    bare.mkdir()
    aged(bare)
    mine = tmp_path / ".mine.new"  # no name of ours
    shutil.copytree(made, mine)
    aged(mine)
    again = create_run(tmp_path, Experiment(), {}).folder
    assert set(tmp_path.iterdir()) == {made, again, mine, tmp_path / "other"}
    with RunLock(Run(held)):
        create.tidy(held.parent)
        assert held.exists(), "somebody builds it"
    create.tidy(held.parent)
    assert not held.exists()


def test_a_run_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    rename = Path.rename

    def look(self: Path, target: Path) -> Path:
        assert not Path(target).exists()
        found = rename(self, target)
        seen.append({path.name for path in Path(target).iterdir()})
        return found

    monkeypatch.setattr(Path, "rename", look)
    run, held = create.create_locked(tmp_path, Experiment(), {})
    assert seen == [{"experiment.toml", "provenance.json", manifest.NAME, "lock.sqlite"}]
    with pytest.raises(RunError, match="is being written by another process"), RunLock(run):
        pass
    held.release()
    with RunLock(run):
        pass


def test_a_file_system_without_locks(tmp_path: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite takes its answer for a lock of somebody else's; tests/system has a process that meets the real thing."""

    fcntl = pytest.importorskip("fcntl")

    def refuse(descriptor: object, command: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def busy(path: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr(fcntl, "lockf", refuse)
    monkeypatch.setattr(lock, "lock_file", busy)
    with pytest.raises(RunError, match=r"has no locks \(No locks available\).*on another disk with --runs FOLDER"):
        mgdhw.train(XOR, runs=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(RunError, match=r"has no locks \(No locks available\).*copy the folder to another disk"):
        mgdhw.train(resume=stopped)
