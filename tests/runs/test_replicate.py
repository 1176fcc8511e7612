"""Replicas in one call, and what is kept of them."""

from __future__ import annotations

import asyncio
import csv
import errno
import json
from pathlib import Path
from typing import Any

import pytest

import mgdhw
from mgdhw.errors import CheckpointError, ConfigError, DeviceUnavailable, RunError
from mgdhw.runs import replicas_csv
from mgdhw.training.events import ReplicaFinished, ReplicasAdvanced, ReplicasEvent, ReplicasFinished, ReplicasStarted
from mgdhw.training.results import ReplicasResult
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(600, seed=3, run={"block": 50})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def rows(run: Path | None) -> list[dict[str, str]]:
    assert run is not None
    with (run / "replicas.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_is_the_training_with_its_seed(runs: Path) -> None:
    result = mgdhw.train_replicas(XOR, replicas=3, runs=runs)
    assert [one.seed for one in result.replicas] == [3, 4, 5]
    for one in result.replicas:
        alone = mgdhw.train({**XOR, "seed": one.seed}, runs=None)
        assert (one.digest, one.accuracy, one.cost) == (alone.digest, alone.accuracy, alone.cost)
        assert (one.probes, one.evaluations, one.updates) == (alone.probes, alone.evaluations, alone.updates)


def test_what_is_kept(runs: Path) -> None:
    result = mgdhw.train_replicas(XOR, replicas=4, runs=runs)
    assert result.run is not None
    assert json.loads((result.run / "summary.json").read_text()) == result.summary()
    assert json.loads((result.run / "provenance.json").read_text())["replicas"] == 4
    for row, one in zip(rows(result.run), result.replicas, strict=True):
        assert row["digest"] == one.digest
        assert float(row["cost"]) == one.cost
        assert (int(row["replica"]), int(row["seed"]), row["reason"]) == (one.replica, one.seed, "done")
    assert not list(result.run.glob("checkpoint-*"))
    again = mgdhw.train_replicas(result.run / "experiment.toml", replicas=4, runs=None)
    assert again.digest == result.digest
    assert again.run is None


async def test_async_and_levels() -> None:
    whole = await mgdhw.train_replicas_async(XOR, replicas=2, runs=None)
    by_host = await mgdhw.train_replicas_async(XOR, replicas=2, runs=None, overrides=["run.level=host-codes"])
    assert (whole.replicas, whole.digest) == (by_host.replicas, by_host.digest)


def test_listeners_hear_everything_in_order() -> None:
    heard: list[ReplicasEvent] = []
    mgdhw.train_replicas(XOR, replicas=2, runs=None, listeners=[heard.append])
    assert isinstance(heard[0], ReplicasStarted)
    assert "nothing counts as solved" in heard[0].notes[0]
    assert heard[-1] == ReplicasFinished("done")
    advances = [event for event in heard if isinstance(event, ReplicasAdvanced)]
    total = advances[0].probes + advances[0].left
    assert [event.probes for event in advances] == sorted({event.probes for event in advances})
    assert [event.probes + event.left for event in advances] == [total] * len(advances)
    assert (advances[-1].probes, advances[-1].left) == (total, 0)
    assert sum(isinstance(event, ReplicaFinished) for event in heard) == 2


def stopped(runs: Path, n: int = 3) -> ReplicasResult:
    """Stopped after the first replica."""
    session = mgdhw.TrainingHandle()

    def listen(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished):
            session.stop()

    changes = ["run.level=device-codes"]
    return mgdhw.train_replicas(XOR, replicas=n, runs=runs, session=session, listeners=[listen], overrides=changes)


def test_a_stop_keeps_what_is_finished(runs: Path) -> None:
    result = stopped(runs)
    assert (result.reason, len(result.replicas), result.asked) == ("stopped", 1, 3)
    assert [row["replica"] for row in rows(result.run)] == ["0"]


def test_a_stop_before_the_beginning_is_remembered() -> None:
    session = mgdhw.TrainingHandle()
    assert not session.stop()
    assert mgdhw.train_replicas(XOR, replicas=3, runs=None, session=session).reason == "stopped"


@pytest.mark.parametrize("level", ["learn", "device-codes"])
def test_a_set_is_resumed_with_those_that_are_missing(runs: Path, level: str) -> None:
    whole = mgdhw.train_replicas(XOR, replicas=3, runs=None)
    first = stopped(runs)
    assert first.run is not None
    heard: list[ReplicasEvent] = []
    change = [f"run.level={level}"]
    second = mgdhw.train_replicas(resume=first.run, replicas=3, listeners=[heard.append], overrides=change)
    assert (second.reason, second.replicas, second.digest) == ("done", whole.replicas, whole.digest)
    assert second.seconds > first.seconds
    assert isinstance(heard[0], ReplicasStarted)
    assert heard[0].finished == first.replicas
    assert [event.result.replica for event in heard if isinstance(event, ReplicaFinished)] == [1, 2]
    assert [row["digest"] for row in rows(first.run)] == [one.digest for one in whole.replicas]
    assert json.loads((first.run / "summary.json").read_text()) == second.summary()
    assert json.loads((first.run / "provenance.json").read_text())["sessions"][0]["finished"] == 1


def test_a_finished_set_is_left_as_it_is(runs: Path) -> None:
    first = mgdhw.train_replicas(XOR, replicas=2, runs=runs)
    assert first.run is not None
    before = {path: path.stat().st_mtime_ns for path in first.run.iterdir()}
    again = mgdhw.train_replicas(resume=first.run.name, replicas=2, runs=runs)
    assert (again.summary()["digest"], again.notes) == (first.digest, (f"run {first.run} is finished",))
    assert {path: path.stat().st_mtime_ns for path in first.run.iterdir()} == before


def test_an_end_that_is_not_on_record_is_recorded(runs: Path) -> None:
    first = mgdhw.train_replicas(XOR, replicas=2, runs=runs)
    assert first.run is not None
    (first.run / "summary.json").unlink()
    assert mgdhw.train_replicas(resume=first.run, replicas=2).digest == first.digest
    assert json.loads((first.run / "summary.json").read_text())["digest"] == first.digest


def test_a_set_that_was_ended_while_it_began(runs: Path) -> None:
    first = stopped(runs)
    assert first.run is not None
    (first.run / "replicas.csv").unlink()
    assert len(mgdhw.train_replicas(resume=first.run, replicas=3).replicas) == 3


def test_train_with_replicas_still_works_and_names_its_successor() -> None:
    options: dict[str, Any] = {"replicas": 2, "runs": None}
    with pytest.warns(DeprecationWarning, match=r"use mgdhw\.train_replicas\(") as heard:
        found: Any = mgdhw.train(XOR, **options)
    assert heard[0].filename == __file__
    assert found.digest == mgdhw.train_replicas(XOR, replicas=2, runs=None).digest


def test_a_set_is_resumed_as_it_began(runs: Path) -> None:
    run = stopped(runs).run
    assert run is not None
    with pytest.raises(ConfigError, match="only the sections device and run can be changed"):
        mgdhw.train_replicas(resume=run, replicas=3, overrides=["evaluation.stop_at_accuracy=0.5"])
    with pytest.raises(ConfigError, match="is resumed as it began"):
        mgdhw.train_replicas(resume=run, replicas=3, overrides=["seed=4"])
    for wrong in (None, 2, 4):
        with pytest.raises(ConfigError, match="is a set of 3 replicas; resume it with train_replicas, replicas=3"):
            mgdhw.train_replicas(resume=run, replicas=wrong) if wrong else mgdhw.train(resume=run)
    single = mgdhw.train(XOR, runs=runs).run
    assert single is not None
    with pytest.raises(ConfigError, match="is a single training; resume it with train"):
        mgdhw.train_replicas(resume=single, replicas=3)
    text = (run / "experiment.toml").read_text()
    (run / "experiment.toml").write_text(text.replace("tau_theta = 20", "tau_theta = 10"))
    with pytest.raises(RunError, match=r"experiment\.toml: is not what the run began with"):
        mgdhw.train_replicas(resume=run, replicas=3)
    (run / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match=r"its replicas\.csv belongs to another experiment"):
        mgdhw.train_replicas(resume=run, replicas=3)


def test_what_the_hardware_held_cannot_be_resumed(runs: Path) -> None:
    result = mgdhw.train_replicas({**XOR, "training": {"init": "read", "probes": 40}}, replicas=2, runs=runs)
    assert result.run is not None
    assert mgdhw.train_replicas(resume=result.run, replicas=2).digest == result.digest, "it is finished"
    rows_of = result.run / "replicas.csv"
    rows_of.write_text("\n".join(rows_of.read_text().splitlines()[:2]) + "\n")
    (result.run / "SHA256SUMS").unlink()
    with pytest.raises(RunError, match=r"held at first, .* begin again with: mgdhw train \S+ --replicas 2$"):
        mgdhw.train_replicas(resume=result.run, replicas=2)


def test_damaged_rows_are_not_trusted(runs: Path) -> None:
    run = stopped(runs).run
    assert run is not None
    whole = (run / "replicas.csv").read_text()
    (run / "replicas.csv").write_text(whole.replace("e", "f", 1))  # one that reads as well
    with pytest.raises(RunError, match=r"replicas\.csv: cannot be read \(it was edited, or is damaged\); restore it"):
        mgdhw.train_replicas(resume=run, replicas=3)
    (run / "SHA256SUMS").unlink()
    for damaged in (whole[:-30], whole.replace("done", "done,1"), whole.replace("replica,", "number,"), "\0" + whole):
        (run / "replicas.csv").write_text(damaged)
        with pytest.raises(RunError, match=r"replicas\.csv: cannot be read .*; restore it, or remove it to train all"):
            mgdhw.train_replicas(resume=run, replicas=3)


def test_another_chip_is_refused_unless_named(runs: Path) -> None:
    run = stopped(runs).run
    assert run is not None
    found = json.loads((run / "provenance.json").read_text())
    found["device"]["identity"] = "another"
    (run / "provenance.json").write_text(json.dumps(found))
    (run / "SHA256SUMS").unlink()
    with pytest.raises(DeviceUnavailable, match="the run was started on another"):
        mgdhw.train_replicas(resume=run, replicas=3)
    assert mgdhw.train_replicas(resume=run, replicas=3, device="sim:analog-8bit?layers=2-3-1").reason == "done"


def test_a_set_keeps_no_network_to_evaluate(runs: Path) -> None:
    run = stopped(runs).run
    assert run is not None
    with pytest.raises(RunError, match=r"does not save networks; train the one to evaluate with: mgdhw train .*--seed"):
        mgdhw.evaluate(run)


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_what_ends_it_leaves_what_is_finished(runs: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Whether or not it was time to write the file when it happened."""
    monkeypatch.setattr(replicas_csv, "WRITE_SECONDS", seconds)

    def fail(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished) and event.result.replica == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mgdhw.train_replicas(XOR, replicas=3, runs=runs, listeners=[fail])
    (run,) = runs.iterdir()
    assert [row["replica"] for row in rows(run)] == ["0", "1"]
    assert not (run / "summary.json").exists()


async def test_a_second_stop_is_at_once_and_leaves_what_is_finished(runs: Path) -> None:
    session = mgdhw.TrainingHandle()

    def listen(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished):
            assert session.stop()
            assert session.stop()

    changes = ["run.level=device-codes", "training.probes=20_000"]
    work = mgdhw.train_replicas_async(
        XOR, replicas=9, runs=runs, session=session, listeners=[listen], overrides=changes
    )
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task])
    assert done == {task}
    assert session.run is not None
    assert [row["replica"] for row in rows(session.run.folder)] == ["0"]


def test_a_full_disk(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, name: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replicas_csv.manifest, "replace", full)
    with pytest.raises(RunError, match=r"No space left.*, make room and go on with: mgdhw train --resume "):
        mgdhw.train_replicas(XOR, replicas=2, runs=runs)


def test_what_does_not_fit_leaves_no_run_behind(runs: Path) -> None:
    with pytest.raises(ConfigError):
        mgdhw.train_replicas({**XOR, "data": {"name": "parity-3"}}, replicas=2, runs=runs)
    assert not runs.exists()
