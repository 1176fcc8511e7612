"""What is kept of a run is as it was written, or that is said: edits, damage, missing files."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path
from typing import IO

import pytest

import mgdhw
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Run, create_run, manifest
from mgdhw.training.events import ReplicasEvent, ReplicasStarted
from tests.runs.kept import XOR, notes_of


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
    first = mgdhw.train_replicas(XOR, replicas=2, runs=tmp_path)
    assert first.run is not None
    (first.run / "replicas.csv").unlink()
    heard: list[ReplicasEvent] = []
    assert mgdhw.train_replicas(resume=first.run, replicas=2, listeners=[heard.append]).digest == first.digest
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
