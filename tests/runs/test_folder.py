"""The folder of a run: its files, its database, its lock."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mgdhw.errors import CheckpointError, RunError
from mgdhw.experiment.load import load_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.state import TrainState
from mgdhw.runs import MetricsDatabase, Recorder, Run, RunLock, atomic, create_run, find_run, manifest
from mgdhw.runs.checkpoint import Saved
from mgdhw.runs.provenance import git_state
from mgdhw.runs.recorder import CURVE_ROWS
from mgdhw.timing import count_operations
from mgdhw.training.events import BlockDone, Checkpoint, Evaluated, Finished, Updated


def state_at(step: int) -> TrainState:
    return TrainState(step, 0, np.zeros(3), {}, Window.empty(3), FilterState.empty(3), None, 2 * step, bytes(32))


def rows(run: Run, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(run.metrics)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", Experiment(name="test"), {"base": str(tmp_path)})


# --- folder ----------------------------------------------------------------------------------------------------------


def test_names_are_unique(tmp_path: Path) -> None:
    made = {create_run(tmp_path, Experiment(name="same"), {}).folder for _ in range(5)}
    assert len(made) == 5
    assert all(folder.name.startswith("same-") for folder in made)


def test_the_experiment_comes_back(run: Run) -> None:
    assert load_experiment(run.experiment_file) == Experiment(name="test") == run.experiment()


def test_found_by_folder_and_by_id(run: Run) -> None:
    assert find_run(run.folder) == run
    assert find_run(run.id, run.folder.parent).folder == run.folder


def test_not_found(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"there is no run nonsense.*{run.id}"):
        find_run("nonsense", run.folder.parent)
    with pytest.raises(RunError, match="there are none in"):
        find_run("nonsense", tmp_path)
    with pytest.raises(RunError, match=r"is no run: it has no experiment\.toml"):
        find_run(tmp_path)


def test_the_latest_two_are_kept(run: Run) -> None:
    for step in (5, 10, 100):
        run.save(Saved(state_at(step)))
    assert [path.name for path in run.checkpoints()] == ["checkpoint-100.npz", "checkpoint-10.npz"]


def test_a_damaged_checkpoint_falls_back(run: Run) -> None:
    run.save(Saved(state_at(10)))
    run.save(Saved(state_at(20)))
    newest = run.checkpoints()[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    saved, notes = run.latest()
    assert saved is not None
    assert saved.state.step == 10
    assert len(notes) == 1
    assert "checkpoint-20.npz" in notes[0]
    (run.folder / ".checkpoint-30.npz.tmp").write_bytes(b"half")
    run.tidy(10)
    assert sorted(path.name for path in run.folder.glob("*checkpoint*")) == [
        "checkpoint-10.npz",
        "checkpoint-20.damaged",
    ]


def test_all_damaged(run: Run) -> None:
    run.save(Saved(state_at(10)))
    run.save(Saved(state_at(20)))
    for path in run.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"none of its 2 checkpoints can be read.*begin again: mgdhw train"):
        run.latest()


def test_no_checkpoint_yet(run: Run) -> None:
    assert run.latest() == (None, [])


def test_damaged_provenance(run: Run) -> None:
    run.provenance_file.write_text("[]")
    with pytest.raises(RunError, match=r"provenance\.json"):
        run.provenance()
    run.provenance_file.write_text("{")
    with pytest.raises(RunError, match=r"provenance\.json"):
        run.provenance()


def test_a_runs_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"runs: a run cannot be made there.*--runs FOLDER"):
        create_run(tmp_path / "runs", Experiment(), {})


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(RunError, match="cannot be written: No space left on device; make room"):
        create_run(tmp_path, Experiment(), {})
    assert list(tmp_path.iterdir()) == []


def test_the_resume_command_can_be_typed(tmp_path: Path) -> None:
    assert Run(Path("my runs/a")).resume_command() == "mgdhw train --resume 'my runs/a'"


def test_no_repository_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path / "nowhere") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_state_of_the_repository(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "a.toml").write_text("seed = 1")
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD").strip()
    assert git_state(tmp_path) == {"commit": commit, "changed": False}
    (tmp_path / "a.toml").write_text("seed = 2")
    assert git_state(tmp_path) == {"commit": commit, "changed": True}


# --- lock ------------------------------------------------------------------------------------------------------------


def test_one_writer(run: Run) -> None:
    with RunLock(run), pytest.raises(RunError, match="is being written by another process"), RunLock(run):
        pass
    with RunLock(run):
        pass


async def test_a_database_that_is_none(run: Run) -> None:
    run.metrics.write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match="file is not a database"):
        async with Recorder(run, "began"):
            pass


@pytest.mark.parametrize("kind", ["no database", "cut short", "other tables"])
async def test_damaged_curves_do_not_block_a_resume(run: Run, kind: str) -> None:
    async with Recorder(run, "began") as recorder:
        recorder(Checkpoint(state_at(10)))
    saved, _ = run.latest()
    if kind == "other tables":
        run.metrics.unlink()
        with contextlib.closing(sqlite3.connect(run.metrics)) as connection:
            connection.execute("CREATE TABLE curve (x)")
    else:
        run.metrics.write_bytes(b"x" * 5000 if kind == "no database" else run.metrics.read_bytes()[:5000])
    async with Recorder(run, "began", saved, {}) as recorder:
        recorder(Evaluated(20, 40, "test", 0.5, 0.25))
    assert "metrics.sqlite: is damaged" in recorder.notes[0]
    assert (run.folder / "metrics.damaged").is_file()
    assert rows(run, "SELECT step FROM evaluation") == [(20,)]


@pytest.mark.parametrize("found", [{"sessions": 3}, {"sessions": {}}, {"device": "chip"}, {"device": None}])
def test_provenance_of_the_wrong_form(run: Run, found: object) -> None:
    (run.folder / manifest.NAME).unlink()
    run.provenance_file.write_text(json.dumps(found))
    with pytest.raises(RunError, match=r"provenance\.json: is no provenance"):
        run.provenance()


def test_room_is_asked_for_only_on_a_full_disk(run: Run) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    for error in (OSError(errno.ENOSPC, "No space left"), full):
        assert "make room and go on" in str(run.cannot_write(error))
    for other in (PermissionError(errno.EACCES, "Permission denied"), sqlite3.OperationalError("locked")):
        assert "make room" not in str(run.cannot_write(other))


# --- store and recorder ----------------------------------------------------------------------------------------------


def test_rows_beyond_the_checkpoint_go(run: Run) -> None:
    store = MetricsDatabase(run.metrics, 0)
    for step in (1, 2, 3):
        store.write(
            [
                ("curve", (step, step, 0.0, 0.5, None, None)),
                ("evaluation", (step, step, 0.0, "test", 0.5, 0.5, None)),
                ("fault", (step, 0.0, 1, "LinkLost", "gone")),
            ]
        )
    store.close()
    store.close()
    MetricsDatabase(run.metrics, 2).close()
    for table in ("curve", "evaluation"):
        assert rows(run, f"SELECT step FROM {table} ORDER BY step") == [(1,), (2,)]
    assert rows(run, "SELECT step FROM fault ORDER BY step") == [(1,), (2,), (3,)], "those have happened"


def test_readable_while_it_is_written(run: Run) -> None:
    store = MetricsDatabase(run.metrics, 0)
    store.write([("curve", (1, 1, 0.0, 0.5, None, None))])
    assert rows(run, "SELECT cost FROM curve") == [(0.5,)]
    store.close()


def test_rows_are_written_whole_or_not_at_all(run: Run) -> None:
    store = MetricsDatabase(run.metrics, 0)
    good = ("curve", (1, 1, 0.0, 0.5, None, None))
    with pytest.raises(sqlite3.IntegrityError):
        store.write([good, ("curve", (2, 2, 0.0, None, None, None))])
    assert rows(run, "SELECT step FROM curve") == []
    store.write([good])
    assert rows(run, "SELECT step FROM curve") == [(1,)]
    store.close()


def started(probes: int, step: int = 0) -> object:
    from mgdhw.datasets import load
    from mgdhw.device import open_device
    from mgdhw.training.events import Started

    info = open_device("sim:analog-8bit?layers=2-3-1").info
    return Started(info, load("xor"), "device-codes", 0.1, step, probes)


async def test_a_long_run_is_thinned_out_to_means(run: Run) -> None:
    probes = 100 * CURVE_ROWS
    async with Recorder(run, "began") as recorder:
        recorder(started(probes))  # type: ignore[arg-type]
        for step in range(10, probes + 1, 10):
            recorder(BlockDone(step, 10, step, float(step % 100 == 0)))
            if step == 1000:
                recorder(Updated(step, 1, 0.1, 2.0))
    found = rows(run, "SELECT step, cost, eta, gradient_norm FROM curve ORDER BY step")
    assert len(found) == CURVE_ROWS
    assert found[0] == (100, 0.1, None, None)
    assert found[-1] == (probes, 0.1, 0.1, 2.0)


async def test_seconds_go_on(run: Run) -> None:
    async with Recorder(run, "began") as recorder:
        recorder(Checkpoint(state_at(10)))
    saved, _ = run.latest()
    assert saved is not None
    assert saved.extra["began"] == "began"
    later = Saved(saved.state, {**saved.extra, "seconds": 1000.0})
    async with Recorder(run, "began", later, {"device": "sim:x"}) as recorder:
        assert recorder.seconds >= 1000.0
        recorder(Evaluated(20, 40, "test", 0.5, 0.25))
    assert rows(run, "SELECT seconds >= 1000 FROM evaluation") == [(1,)]
    assert run.provenance()["sessions"][0]["step"] == 10


async def test_the_end_is_kept(run: Run) -> None:
    async with Recorder(run, "began") as recorder:
        recorder(started(100))  # type: ignore[arg-type]
        recorder(BlockDone(5, 5, 10, 0.5))
        last = Evaluated(5, 10, "test", 0.5, 0.25)
        counted = count_operations(
            probes=5, evaluations=10, updates=0, batch=1, tau_x=1, n_parameters=3, n_inputs=2, host_codes=False
        )
        recorder(Finished("stopped", state_at(5), "abc", last, counted))
        recorder.finish({"digest": "abc", "reason": "stopped"})
    assert rows(run, "SELECT value FROM meta WHERE key = 'digest'") == [("abc",)]
    assert json.loads(run.summary_file.read_text()) == {"digest": "abc", "reason": "stopped"}
    assert rows(run, "SELECT step FROM curve") == [(5,)]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), sqlite3.OperationalError("disk is full")])
async def test_a_full_disk_is_a_run_error(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(self: Run, saved: Saved) -> None:
        raise error

    async def keep() -> None:
        async with Recorder(run, "began") as recorder:
            recorder(Checkpoint(state_at(10)))
            await recorder.kept()
            monkeypatch.setattr(Run, "save", fail)
            recorder(Checkpoint(state_at(20)))
            for _ in range(2):  # and it stays so
                with pytest.raises(RunError, match=r"cannot be written: (disk is full|No space left)"):
                    await recorder.kept()
            monkeypatch.undo()
            with pytest.raises(RunError, match="go on with: mgdhw train --resume"):
                recorder(BlockDone(30, 10, 30, 0.5))

    with pytest.raises(RunError, match=r"cannot be written: .*go on with: mgdhw train --resume"):
        await keep()
    saved, _ = run.latest()
    assert saved is not None
    assert saved.state.step == 10


async def test_what_ended_it_comes_before_what_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Run, saved: Saved) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(Run, "save", fail)

    async def keep() -> None:
        async with Recorder(run, "began") as recorder:
            recorder(Checkpoint(state_at(10)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await keep()
    assert "cannot be written: No space left" in caught.value.__notes__[0]
