"""What is kept of a run is as it was written, or that is said: edits, damage, missing files, folders, leftovers."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

import mgdhw
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Run, RunLock, create, create_run, find_run, lock, manifest
from mgdhw.training.events import (
    BlockDone,
    Checkpoint,
    Event,
    Faulted,
    ReplicaFinished,
    ReplicasEvent,
    ReplicasStarted,
    Started,
)
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(600, evaluation={"every": 100}, run={"checkpoint_seconds": 0.05, "block": 10})


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(XOR, runs=None).digest


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run that was stopped in the middle."""
    session = mgdhw.Session()

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 300:
            session.stop()

    run = mgdhw.train(XOR, runs=tmp_path / "runs", session=session, listeners=[listen]).run
    assert run is not None
    return run


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", Experiment(name="test"), {"base": str(tmp_path)})


def notes_of(run: Path, digest: str) -> tuple[str, ...]:
    """What is said first when a run goes on, which it does to the right digest."""
    heard: list[Event] = []
    assert mgdhw.train(resume=run, listeners=[heard.append]).digest == digest
    assert isinstance(heard[0], Started)
    return heard[0].notes


# --- edited and damaged ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
def test_sha256sum_reads_the_manifest(stopped: Path) -> None:
    def verify() -> int:
        return subprocess.run(["sha256sum", "--check", manifest.NAME], cwd=stopped, capture_output=True).returncode

    entered = {"experiment.toml", "metrics.sqlite", "provenance.json", "summary.json"}
    assert set(manifest.entries(stopped) or ()) == entered
    assert verify() == 0
    (stopped / "summary.json").write_text("{}")
    assert verify() == 1


def test_an_edited_experiment_says_what_to_do(stopped: Path) -> None:
    path = stopped / "experiment.toml"
    text = path.read_text()
    path.write_text(text.replace("probes = 600", "probes = 900"))
    for use in (lambda: mgdhw.train(resume=stopped), lambda: mgdhw.evaluate(stopped)):
        with pytest.raises(RunError) as caught:
            use()
        assert str(caught.value) == (
            f"{path}: is not what the run began with: it was edited, or is damaged. A run goes on as it began: undo the"
            f" change, and give what may be changed to mgdhw train --resume {stopped} --set KEY=VALUE. To train what"
            f" the file says now, as a new run: mgdhw train {path}"
        )
    assert mgdhw.train(path, runs=None).probes == 900
    path.write_text(text)
    assert mgdhw.train(resume=stopped).probes == 600


def test_a_run_goes_on_with_the_delta_that_it_began_with(stopped: Path, digest: str) -> None:
    """Left out, Δ is a share of the range: on a device with another range it would be another."""
    assert Run(stopped).provenance()["deltas"] == [2 * 4.0 / 64]
    wider = "sim:analog-8bit?layers=2-3-1&weight_range=8"
    with pytest.raises(ConfigError, match=r"began with Δ = \[0\.125\], and would go on with \[0\.25\] on sim:.*range"):
        mgdhw.train(resume=stopped, device=wider)
    assert mgdhw.train(resume=stopped).digest == digest


def test_an_edited_provenance_is_looked_through(stopped: Path, digest: str) -> None:
    path = stopped / "provenance.json"
    path.write_text(path.read_text().replace('"git"', '"get"'))
    with pytest.raises(RunError, match=r"provenance\.json: was edited, .* or look it through and remove SHA256SUMS"):
        mgdhw.train(resume=stopped)
    (stopped / manifest.NAME).unlink()
    (note,) = notes_of(stopped, digest)
    assert "has no SHA256SUMS: nobody can tell whether its files are as they were" in note


def test_a_damaged_summary_is_written_anew(stopped: Path, digest: str) -> None:
    mgdhw.train(resume=stopped)
    path = stopped / "summary.json"
    text = path.read_text()
    other = digest.replace(digest[:8], "00000000")
    path.write_text(text.replace(digest, other))
    (note,) = notes_of(stopped, digest)
    assert note == f"{path}: was edited, or is damaged; it is not used"
    assert digest in path.read_text()
    assert len(mgdhw.train(resume=stopped).notes) == 1, "that it is finished"


def test_a_damaged_manifest(stopped: Path) -> None:
    path = stopped / manifest.NAME
    text = path.read_text()
    for damaged in (text[:-2], text.replace("a", "b", 1), "", text.replace("#", "$"), text + "\n"):
        path.write_text(damaged)
        with pytest.raises(
            RunError, match="SHA256SUMS: was edited, or is damaged; restore it from a backup, or remove"
        ):
            mgdhw.train(resume=stopped)


def test_whatever_lies_in_a_folder_at_first_is_entered(tmp_path: Path) -> None:
    def write(file: IO[bytes]) -> None:
        file.write(b"arrays")

    run = create_run(tmp_path, Experiment(), {}, {"data.npz": write})
    path = run.folder / "data.npz"
    assert run.check() == []
    path.write_bytes(b"array$")
    with pytest.raises(RunError, match=r"data\.npz: was edited, or is damaged"):
        run.check()
    path.unlink()
    with pytest.raises(RunError, match=r"data\.npz: cannot be read: .*restore it from a backup"):
        run.check()


def test_checkpoints_that_are_missing_are_missed(stopped: Path, digest: str) -> None:
    for path in stopped.glob("checkpoint-*"):
        path.unlink()
    assert f"run {stopped} has no checkpoint; training begins anew" in notes_of(stopped, digest)


def test_rows_that_are_missing_are_missed(tmp_path: Path) -> None:
    first = mgdhw.train(XOR, replicas=2, runs=tmp_path)
    assert first.run is not None
    (first.run / "replicas.csv").unlink()
    heard: list[ReplicasEvent] = []
    assert mgdhw.train(resume=first.run, replicas=2, listeners=[heard.append]).digest == first.digest
    assert isinstance(heard[0], ReplicasStarted)
    assert heard[0].notes[0] == f"{first.run / 'replicas.csv'}: is missing; all replicas are trained again"


@pytest.mark.parametrize("name", ["experiment.toml", "provenance.json"])
def test_a_missing_file_is_named(stopped: Path, name: str) -> None:
    (stopped / name).unlink()
    with pytest.raises(RunError, match=f"{name}: .*restore it from a backup"):
        mgdhw.train(resume=stopped)


def test_an_end_between_entering_and_writing(empty: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in a row, too: what is there is known, whichever of the two it is."""
    write = manifest.write_atomically

    def end_before(path: Path, content: bytes) -> None:
        if path == empty.provenance_file:
            raise OSError(errno.EIO, "the power has failed")
        write(path, content)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "write_atomically", end_before)
            with pytest.raises(OSError, match="power"):
                empty.add_session({"step": 1})
        assert empty.provenance()["base"]
    empty.add_session({"step": 2})
    assert [session["step"] for session in empty.provenance()["sessions"]] == [2]


def test_other_data_without_a_checkpoint(tmp_path: Path) -> None:
    import numpy as np

    data = tmp_path / "mine.npz"
    xor = mgdhw.load_dataset("xor")
    np.savez(data, x=xor.inputs, y=xor.targets)
    experiment = {**XOR, "data": {"name": f"npz:{data}", "test_fraction": 0.0}}
    run = mgdhw.train(experiment, runs=tmp_path / "runs").run
    assert run is not None
    for path in run.glob("checkpoint-*"):
        path.unlink()
    np.savez(data, x=xor.inputs, y=1.0 - xor.targets)
    with pytest.raises(CheckpointError, match=r"provenance\.json belongs to another experiment or other data"):
        mgdhw.train(resume=run)


# --- curves and faults -----------------------------------------------------------------------------------------------


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_curves_that_were_deleted_are_missed(stopped: Path, digest: str) -> None:
    (stopped / "metrics.sqlite").unlink()
    (note,) = notes_of(stopped, digest)
    assert "metrics.sqlite: lacks curves (and perhaps faults) that were kept before" in note
    (stopped / "metrics.sqlite").unlink()
    missing, finished = mgdhw.train(resume=stopped).notes
    assert missing == f"{stopped / 'metrics.sqlite'}: is missing; the curves of this run are lost"
    assert "is finished" in finished


def test_older_curves_are_missed(stopped: Path, tmp_path: Path, digest: str) -> None:
    """A database from a backup of yesterday."""
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite", isolation_level=None)) as connection:
        connection.execute("DELETE FROM curve WHERE step > 100")
    changed, lacks = notes_of(stopped, digest)
    assert "metrics.sqlite: was edited, or is damaged; its curves may be wrong" in changed
    assert "lacks curves" in lacks


def test_whole_curves_are_not_missed(stopped: Path, digest: str) -> None:
    assert notes_of(stopped, digest) == ()


def test_a_database_that_says_it_is_not_to_be_written(stopped: Path, digest: str) -> None:
    path = stopped / "metrics.sqlite"
    content = bytearray(path.read_bytes())
    content[18] = 3  # the version of the format for writing
    path.write_bytes(content)
    assert "metrics.sqlite: is damaged" in notes_of(stopped, digest)[-1]


def test_a_curve_with_another_number(stopped: Path, digest: str) -> None:
    """SQLite finds nothing wrong there. One that is finished says so, too, until somebody has seen to it."""
    mgdhw.train(resume=stopped)
    assert len(mgdhw.train(resume=stopped).notes) == 1
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE curve SET cost = 2 * cost WHERE step = 100")
    for notes in (mgdhw.train(resume=stopped).notes, mgdhw.evaluate(stopped).notes):
        assert notes[0] == f"{stopped / 'metrics.sqlite'}: was edited, or is damaged; its curves may be wrong"


def test_a_viewer_does_not_make_curves_suspect(stopped: Path, digest: str) -> None:
    """One that only reads, whether or not the run is being written."""
    with contextlib.closing(sqlite3.connect(stopped / "metrics.sqlite")) as viewer:
        viewer.execute("SELECT * FROM curve").fetchone()
        assert notes_of(stopped, digest) == ()
    assert len(mgdhw.train(resume=stopped).notes) == 1, "that it is finished"
    assert rows(stopped, "SELECT max(step) FROM curve") == [(600,)]
    assert len(mgdhw.train(resume=stopped).notes) == 1


def test_what_was_put_aside_is_kept(empty: Run) -> None:
    for number in (1, 2):
        empty.metrics.write_text(str(number))
        assert empty.set_metrics_aside().read_text() == str(number)
    assert len(list(empty.folder.glob("metrics.damaged*"))) == 2


def faulty(at: int) -> Any:
    """A chip that loses one answer."""
    from mgdhw.block import Block, Costs
    from mgdhw.errors import LinkTimeout
    from mgdhw_sim.device import SimDevice
    from mgdhw_sim.uri import parse

    uri = XOR["device"]["uri"]

    class Faulty(SimDevice):
        lost = False

        async def probe(self, block: Block) -> Costs:
            if not self.lost and block.first_step >= at:
                self.lost = True
                raise LinkTimeout("no answer in 1 s", uri=self.uri)
            return await super().probe(block)

    return Faulty(uri, parse(uri))


def test_faults_beyond_the_checkpoint_are_kept(tmp_path: Path, digest: str) -> None:
    """They have happened; what was measured there is measured again."""

    class Killed(Exception):
        pass

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 400:
            raise Killed

    rare = {**XOR, "run": {"block": 10, "level": "device-codes"}}  # its only checkpoint is the first
    with pytest.raises(Killed):
        mgdhw.train(rare, device=faulty(350), runs=tmp_path, listeners=[listen])
    (run,) = tmp_path.iterdir()
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-0.npz"]
    assert mgdhw.train(resume=run).digest == digest
    assert rows(run, "SELECT step, kind FROM fault") == [(350, "LinkTimeout")]


def test_faults_of_replicas_are_kept(tmp_path: Path) -> None:
    heard: list[ReplicasEvent] = []
    changes = ["run.level=device-codes"]
    session = mgdhw.Session()

    def stop(event: ReplicasEvent) -> None:
        heard.append(event)
        if isinstance(event, ReplicaFinished):
            session.stop()

    arguments: dict[str, Any] = {"overrides": changes, "replicas": 3}
    run = mgdhw.train(XOR, device=faulty(350), runs=tmp_path, session=session, listeners=[stop], **arguments).run
    assert run is not None
    assert sum(isinstance(event, Faulted) for event in heard) == 1
    assert rows(run, "SELECT step, kind FROM fault") == [(350, "LinkTimeout")]
    whole = mgdhw.train(XOR, runs=None, **arguments)
    resumed = mgdhw.train(resume=run, device=faulty(100), **arguments)
    assert resumed.digest == whole.digest
    assert rows(run, "SELECT step FROM fault ORDER BY id") == [(350,), (100,)]
    assert rows(run, "SELECT seconds FROM fault ORDER BY id") == sorted(rows(run, "SELECT seconds FROM fault"))


# --- what is no file -------------------------------------------------------------------------------------------------


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


# --- runs that are being made ----------------------------------------------------------------------------------------


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
    monkeypatch.setattr(lock, "_locked", busy)
    with pytest.raises(RunError, match=r"has no locks \(No locks available\).*on another disk with --runs FOLDER"):
        mgdhw.train(XOR, runs=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(RunError, match=r"has no locks \(No locks available\).*copy the folder to another disk"):
        mgdhw.train(resume=stopped)


# --- a session is for one training -----------------------------------------------------------------------------------


def test_a_session_is_for_one_training(digest: str) -> None:
    session = mgdhw.Session()
    assert not session.stop()
    assert mgdhw.train(XOR, runs=None, session=session).reason == "stopped"
    for again in (
        lambda: mgdhw.train(XOR, runs=None, session=session),
        lambda: mgdhw.train(XOR, runs=None, session=session, replicas=2),
    ):
        with pytest.raises(ConfigError, match=r"this one has had its own .*: session = mgdhw\.Session\(\)"):
            again()
    assert mgdhw.train(XOR, runs=None, session=mgdhw.Session()).digest == digest


def test_a_session_is_free_again_where_nothing_began(digest: str) -> None:
    session = mgdhw.Session()
    session.stop()
    with pytest.raises(ConfigError, match="nonsense"):
        mgdhw.train({**XOR, "nonsense": 1}, runs=None, session=session)
    assert mgdhw.train(XOR, runs=None, session=session).digest == digest


def test_a_session_is_not_shared_by_two_at_once() -> None:
    session = mgdhw.Session()

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            with pytest.raises(ConfigError, match="a session is for one training"):
                mgdhw.train(XOR, runs=None, session=session)

    assert mgdhw.train(XOR, runs=None, session=session, listeners=[listen]).reason == "done"
