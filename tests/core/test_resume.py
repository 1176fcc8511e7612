"""Going on with a run: to the same bits, or a refusal that says why."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import mgdhw
from mgdhw.errors import CheckpointError, ConfigError, DeviceUnavailable, RunError
from mgdhw.training.events import Evaluated, Event, Started
from tests.core.running import READ_INIT, XOR, FaultyDevice, stop_at, stopped_run

# --- going on ---------------------------------------------------------------------------------------------------------


def test_stop_and_resume(runs: Path, digest: str) -> None:
    first = stopped_run(runs)
    assert first.reason == "stopped"
    assert first.run is not None
    assert 700 <= first.probes < 2000
    second = mgdhw.train(resume=first.run.name, runs=runs)
    assert (second.reason, second.digest, second.run) == ("done", digest, first.run)
    again = mgdhw.train(resume=first.run, runs=None)
    assert (again.digest, again.probes) == (digest, 2000)
    with sqlite3.connect(first.run / "metrics.sqlite") as connection:
        steps = [step for (step,) in connection.execute("SELECT step FROM curve ORDER BY step")]
    connection.close()
    assert steps[-1] == 2000
    assert len(steps) == len(set(steps))


def test_resume_before_the_first_probe(runs: Path, digest: str) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    for path in first.run.glob("checkpoint-*"):
        path.unlink()
    assert mgdhw.train(resume=first.run).digest == digest


def test_the_first_checkpoint_is_where_training_begins(runs: Path) -> None:
    class Enough(Exception):
        pass

    def give_up(event: Event) -> None:
        if isinstance(event, Evaluated):
            raise Enough

    with pytest.raises(Enough):
        mgdhw.train(XOR, runs=runs, listeners=[give_up])
    assert [path.name for path in runs.glob("*/checkpoint-*")] == ["checkpoint-0.npz"]


def test_a_damaged_checkpoint_falls_back_and_says_so(runs: Path, digest: str) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    newest = max(first.run.glob("checkpoint-*.npz"), key=lambda path: int(path.stem.split("-")[1]))
    newest.write_bytes(newest.read_bytes()[:200])
    heard: list[Event] = []
    evaluation = mgdhw.evaluate(first.run)
    assert newest.name in evaluation.notes[0]
    assert mgdhw.train(resume=first.run, listeners=[heard.append]).digest == digest
    assert isinstance(heard[0], Started)
    assert newest.name in heard[0].notes[0]


def test_a_stop_between_evaluations_does_not_steer(runs: Path) -> None:
    """An early stop is decided at the same steps whether or not the run was interrupted."""
    wanted = {**XOR, "evaluation": {"every": 1000, "stop_at_cost": 10.0}}
    # The very first evaluation reaches it; to get past that one, the target is set on resuming.
    first = stopped_run(runs, {**XOR, "evaluation": {"every": 1000}}, step=730)
    assert first.run is not None
    second = mgdhw.train(resume=first.run, overrides=["evaluation.stop_at_cost=10.0"])
    assert (second.reason, second.probes) == ("target", 1000)
    assert mgdhw.train(wanted, runs=None).probes == 0


def test_a_run_stays_the_same_experiment(runs: Path, digest: str) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    with pytest.raises(ConfigError, match="is resumed as it began") as raised:
        mgdhw.train(resume=first.run, overrides=["optimizer.eta=0.5"])
    assert "--set" not in str(raised.value)
    with pytest.raises(ConfigError, match="not both"):
        mgdhw.train(XOR, resume=first.run)
    assert mgdhw.train(resume=first.run, overrides=["run.level=host-codes"]).digest == digest


def test_no_such_run(runs: Path) -> None:
    with pytest.raises(RunError, match="there is no run nonsense"):
        mgdhw.train(resume="nonsense", runs=runs)
    with pytest.raises(RunError, match="there is no run nonsense"):
        mgdhw.evaluate("nonsense")


def test_another_chip_is_refused_unless_named(runs: Path) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    path = first.run / "provenance.json"
    found = json.loads(path.read_text())
    found["device"]["identity"] = "another"
    path.write_text(json.dumps(found))
    (first.run / "SHA256SUMS").unlink()
    with pytest.raises(DeviceUnavailable, match=r"the run was started on another.*--device 'sim:analog-8bit"):
        mgdhw.train(resume=first.run)
    assert mgdhw.train(resume=first.run, device="sim:analog-8bit?layers=2-3-1").reason == "done"
    unproven, note = mgdhw.evaluate(first.run).notes
    assert "has no SHA256SUMS" in unproven
    assert note.endswith("the run was started on another")
    with pytest.raises(CheckpointError, match="13 parameters"):
        mgdhw.evaluate(first.run, device="sim:analog-8bit?layers=2-4-1")


def test_a_run_that_does_not_name_its_device(runs: Path) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    path = first.run / "provenance.json"
    found = json.loads(path.read_text())
    del found["device"]
    path.write_text(json.dumps(found))
    (first.run / "SHA256SUMS").unlink()
    with pytest.raises(DeviceUnavailable, match=r"provenance\.json does not name"):
        mgdhw.train(resume=first.run)
    assert len(mgdhw.evaluate(first.run).notes) == 1
    assert mgdhw.train(resume=first.run, device="sim:analog-8bit?layers=2-3-1").reason == "done"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_finished_run_is_left_as_it_is(runs: Path) -> None:
    first = mgdhw.train(XOR, runs=runs)
    assert first.run is not None
    before = contents(first.run)
    heard: list[Event] = []
    again = mgdhw.train(resume=first.run, listeners=[heard.append])
    assert heard == []
    assert contents(first.run) == before
    assert again.summary() == first.summary()
    np.testing.assert_array_equal(again.theta, first.theta)
    assert again.notes == (f"run {first.run} is finished; try its network with: mgdhw evaluate {first.run}",)


def test_a_target_that_was_reached_is_an_end_until_it_is_changed(runs: Path) -> None:
    first = mgdhw.train({**XOR, "evaluation": {"stop_at_cost": 10.0}}, runs=runs)
    assert (first.reason, first.probes) == ("target", 0)
    assert mgdhw.train(resume=first.run).notes
    second = mgdhw.train(resume=first.run, overrides=["evaluation.stop_at_cost=1e-9"])
    assert (second.reason, second.probes) == ("done", 2000)


def test_an_end_that_is_not_on_record_is_recorded(runs: Path, digest: str) -> None:
    first = mgdhw.train(XOR, runs=runs)
    assert first.run is not None
    for damage in ("{", "[]", '{"reason": "done", "probes": 2000, "nonsense": 1}'):
        (first.run / "summary.json").write_text(damage)
        assert mgdhw.train(resume=first.run).digest == digest
        assert json.loads((first.run / "summary.json").read_text())["reason"] == "done"


def test_two_writers(runs: Path) -> None:
    first = stopped_run(runs)

    def resume_as_well(event: Event) -> None:
        if isinstance(event, Started):
            with pytest.raises(RunError, match="is being written by another process"):
                mgdhw.train(resume=first.run)

    mgdhw.train(resume=first.run, listeners=[resume_as_well])


# --- data -------------------------------------------------------------------------------------------------------------


def test_a_kept_experiment_repeats_its_run(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xor = mgdhw.load_dataset("xor")
    np.savez(tmp_path / "d.npz", x=xor.inputs, y=xor.targets)
    monkeypatch.chdir(tmp_path)
    first = stopped_run(runs, {**XOR, "data": {"name": "npz:d.npz", "test_fraction": 0.0}})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert first.run is not None
    kept = mgdhw.load_experiment(first.run / "experiment.toml")
    assert kept.data.name == f"npz:{tmp_path / 'd.npz'}"
    assert kept.data.options == {"test_fraction": 0.0}
    whole = mgdhw.train(first.run / "experiment.toml", runs=None)
    assert mgdhw.train(resume=first.run).digest == whole.digest


# --- other devices ----------------------------------------------------------------------------------------------------


def test_float_costs_resume_to_the_bit(runs: Path) -> None:
    whole = mgdhw.train(READ_INIT, device=FaultyDevice(), runs=None)
    session = mgdhw.TrainingHandle()
    first = mgdhw.train(READ_INIT, device=FaultyDevice(), runs=runs, session=session, listeners=[stop_at(session, 500)])
    assert first.reason == "stopped"
    assert mgdhw.train(resume=first.run, device=FaultyDevice()).digest == whole.digest
