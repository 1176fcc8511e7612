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
from mgdhw.errors import ConfigError, RunError
from mgdhw.events import ReplicaFinished, ReplicasAdvanced, ReplicasEvent, ReplicasFinished, ReplicasStarted
from mgdhw.outcome import ReplicasResult
from mgdhw.runs import replicas as recorders

XOR: dict[str, Any] = {
    "name": "xor",
    "seed": 3,
    "device": {"uri": "sim:analog-8bit?layers=2-3-1"},
    "data": {"name": "xor"},
    "training": {"probes": 600, "tau_theta": 20},
    "run": {"block": 50},
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def rows(run: Path | None) -> list[dict[str, str]]:
    assert run is not None
    with (run / "replicas.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_is_the_training_with_its_seed(runs: Path) -> None:
    result = mgdhw.train(XOR, replicas=3, runs=runs)
    assert [one.seed for one in result.replicas] == [3, 4, 5]
    for one in result.replicas:
        alone = mgdhw.train({**XOR, "seed": one.seed}, runs=None)
        assert (one.digest, one.accuracy, one.cost) == (alone.digest, alone.accuracy, alone.cost)
        assert (one.probes, one.evaluations, one.updates) == (alone.probes, alone.evaluations, alone.updates)


def test_what_is_kept(runs: Path) -> None:
    result = mgdhw.train(XOR, replicas=4, runs=runs)
    assert result.run is not None
    assert json.loads((result.run / "summary.json").read_text()) == result.summary()
    assert json.loads((result.run / "provenance.json").read_text())["replicas"] == 4
    for row, one in zip(rows(result.run), result.replicas, strict=True):
        assert row["digest"] == one.digest
        assert float(row["cost"]) == one.cost
        assert (int(row["replica"]), int(row["seed"]), row["reason"]) == (one.replica, one.seed, "done")
    assert not list(result.run.glob("checkpoint-*"))
    again = mgdhw.train(result.run / "experiment.toml", replicas=4, runs=None)
    assert again.digest == result.digest
    assert again.run is None


async def test_async_and_levels() -> None:
    whole = await mgdhw.train_async(XOR, replicas=2, runs=None)
    by_host = await mgdhw.train_async(XOR, replicas=2, runs=None, overrides=["run.level=host-codes"])
    assert (whole.replicas, whole.digest) == (by_host.replicas, by_host.digest)


def test_listeners_hear_everything_in_order() -> None:
    heard: list[ReplicasEvent] = []
    mgdhw.train(XOR, replicas=2, runs=None, listeners=[heard.append])
    assert isinstance(heard[0], ReplicasStarted)
    assert "nothing counts as solved" in heard[0].notes[0]
    assert heard[-1] == ReplicasFinished("done")
    assert sum(isinstance(event, ReplicasAdvanced) for event in heard) == 12
    assert sum(isinstance(event, ReplicaFinished) for event in heard) == 2


def stopped(runs: Path, n: int = 3) -> ReplicasResult:
    """Stopped after the first replica."""
    session = mgdhw.Session()

    def listen(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished):
            session.stop()

    changes = ["run.level=device-codes"]
    return mgdhw.train(XOR, replicas=n, runs=runs, session=session, listeners=[listen], overrides=changes)


def test_a_stop_keeps_what_is_finished(runs: Path) -> None:
    result = stopped(runs)
    assert (result.reason, len(result.replicas), result.asked) == ("stopped", 1, 3)
    assert [row["replica"] for row in rows(result.run)] == ["0"]


def test_a_stop_before_the_beginning_is_remembered() -> None:
    session = mgdhw.Session()
    assert not session.stop()
    assert mgdhw.train(XOR, replicas=3, runs=None, session=session).reason == "stopped"


def test_a_set_is_begun_again_and_not_resumed(runs: Path) -> None:
    result = stopped(runs)
    assert result.run is not None
    with pytest.raises(RunError, match=r"not resumed; begin again with: mgdhw train \S+experiment.toml --replicas 3$"):
        mgdhw.train(resume=result.run)
    with pytest.raises(RunError, match=r"keeps no networks; train the one to evaluate by itself: mgdhw train .*--seed"):
        mgdhw.evaluate(result.run)
    with pytest.raises(ConfigError, match=r"give the run's experiment\.toml instead"):
        mgdhw.train(resume=result.run, replicas=3)  # type: ignore[call-overload]


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_what_ends_it_leaves_what_is_finished(runs: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Whether or not it was time to write the file when it happened."""
    monkeypatch.setattr(recorders, "WRITE_SECONDS", seconds)

    def fail(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished) and event.result.replica == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mgdhw.train(XOR, replicas=3, runs=runs, listeners=[fail])
    (run,) = runs.iterdir()
    assert [row["replica"] for row in rows(run)] == ["0", "1"]
    assert not (run / "summary.json").exists()


async def test_a_second_stop_is_at_once_and_leaves_what_is_finished(runs: Path) -> None:
    session = mgdhw.Session()

    def listen(event: ReplicasEvent) -> None:
        if isinstance(event, ReplicaFinished):
            assert session.stop()
            assert session.stop()

    changes = ["run.level=device-codes", "training.probes=20_000"]
    work = mgdhw.train_async(XOR, replicas=9, runs=runs, session=session, listeners=[listen], overrides=changes)
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task])
    assert done == {task}
    assert session.run is not None
    assert [row["replica"] for row in rows(session.run.folder)] == ["0"]


def test_a_full_disk(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorders, "write_atomically", full)
    with pytest.raises(
        RunError, match=r"No space left.*; make room and begin again with: mgdhw train .* --replicas 2$"
    ):
        mgdhw.train(XOR, replicas=2, runs=runs)


def test_what_does_not_fit_leaves_no_run_behind(runs: Path) -> None:
    with pytest.raises(ConfigError):
        mgdhw.train({**XOR, "data": {"name": "parity-3"}}, replicas=2, runs=runs)
    assert not runs.exists()
