"""The θ of the best evaluation is kept, evaluated, begun from, and left in the hardware."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mgdhw
from mgdhw.device import Motion
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.runs import Run
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.training.events import Best, BlockDone, Event
from tests.helpers.chips import CHIP
from tests.helpers.experiments import xor_experiment

KEPT = {"checkpoint_seconds": 0.05, "block": 10}
TRAINED = xor_experiment(600, evaluation={"every": 100}, optimizer={"name": "adam", "eta": 0.2}, run=KEPT)
"""Steps that are too large: its best evaluation is not its last."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> mgdhw.Result:
    result = mgdhw.train(TRAINED, runs=tmp_path_factory.mktemp("runs"))
    assert result.best is not None
    assert result.best.step not in (0, 600)
    return result


def run_of(result: mgdhw.Result) -> Run:
    assert result.run is not None
    return Run(result.run)


def test_the_kept_one_is_the_best_of_the_curve(trained: mgdhw.Result) -> None:
    with contextlib.closing(sqlite3.connect(run_of(trained).metrics)) as connection:
        curve = connection.execute("SELECT step, accuracy, cost FROM evaluation ORDER BY step").fetchall()
    best = max(curve, key=lambda row: (row[1], -row[2]))
    assert trained.best is not None
    assert (trained.best.step, trained.best.accuracy, trained.best.cost) == best
    saved = run_of(trained).best()
    assert saved.state.step == best[0]
    assert saved.extra["evaluated"]["accuracy"] == best[1]
    summary = json.loads(run_of(trained).summary_file.read_text())
    assert summary["best"]["step"] == best[0]


def test_it_is_evaluated(trained: mgdhw.Result) -> None:
    assert trained.best is not None
    assert trained.run is not None
    evaluation = mgdhw.evaluate(trained.run, best=True)
    assert evaluation.step == trained.best.step
    assert evaluation.scores["train"].accuracy == trained.best.accuracy
    assert evaluation.scores["train"].cost == trained.best.cost
    assert mgdhw.evaluate(trained.run).step == 600


def test_a_finished_run_still_has_it(trained: mgdhw.Result) -> None:
    assert trained.run is not None
    assert mgdhw.train(resume=trained.run).best == trained.best


@pytest.mark.parametrize("stop_at", [40, 130, 350, 590])
def test_a_run_that_is_stopped_and_resumed_keeps_the_same(tmp_path: Path, trained: mgdhw.Result, stop_at: int) -> None:
    """The evaluation that a stop adds to the curve does not count."""
    session = mgdhw.TrainingHandle()

    def stop(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= stop_at:
            session.stop()

    stopped = mgdhw.train(TRAINED, runs=tmp_path, session=session, listeners=[stop])
    heard: list[Event] = []
    assert stopped.run is not None
    resumed = mgdhw.train(resume=stopped.run, listeners=[heard.append])
    assert resumed.digest == trained.digest
    assert resumed.best == trained.best
    assert_array_equal(run_of(resumed).best().state.theta, run_of(trained).best().state.theta)
    assert all(event.state.step >= stop_at for event in heard if isinstance(event, Best))


def test_an_old_run_says_that_it_has_none(stopped: Path) -> None:
    Run(stopped).best_file.unlink()
    for call in (lambda: mgdhw.evaluate(stopped, best=True), lambda: mgdhw.train(start=stopped, start_at="best")):
        with pytest.raises(CheckpointError, match=r"keeps no best θ: .* older mgdhw; .* leave out --best"):
            call()
    resumed = mgdhw.train(resume=stopped)  # keeps it from there on
    assert resumed.best is not None
    assert Run(stopped).best().state.step == resumed.best.step > 300


def test_a_damaged_one_is_said_and_training_goes_on(stopped: Path, digest: str) -> None:
    path = Run(stopped).best_file
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=r"best\.npz: is damaged.* leave out --best"):
        mgdhw.evaluate(stopped, best=True)
    resumed = mgdhw.train(resume=stopped)
    assert resumed.digest == digest
    assert Run(stopped).best().state.step > 300


# --- a new run from another one's θ ---------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["last", "best"])
def test_a_run_begins_with_another_one_s(tmp_path: Path, trained: mgdhw.Result, which: Any) -> None:
    first = run_of(trained)
    saved = first.best() if which == "best" else first.latest()[0]
    assert saved is not None
    result = mgdhw.train(start=first.folder, start_at=which, runs=tmp_path)
    run = run_of(result)
    assert run.experiment().name == "xor"
    origin = run.provenance()["start"]
    assert (origin["run"], origin["at"], origin["step"]) == (str(first.folder.resolve()), which, saved.state.step)
    assert run.experiment().start == origin["theta"]
    again = mgdhw.train(TRAINED, start=saved.state.theta, runs=None)  # the same numbers, from nowhere
    assert again.digest == result.digest != trained.digest
    assert mgdhw.train(TRAINED, start=saved.state.theta + 2.0**-10, runs=None).digest != result.digest


def test_a_run_that_began_so_is_resumed_to_the_same_digest(tmp_path: Path, trained: mgdhw.Result) -> None:
    session = mgdhw.TrainingHandle()

    def stop(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 200:
            session.stop()

    wanted = mgdhw.train(TRAINED, start=trained.run, runs=None).digest
    stopped = mgdhw.train(TRAINED, start=trained.run, runs=tmp_path, session=session, listeners=[stop])
    assert stopped.run is not None
    assert mgdhw.train(resume=stopped.run).digest == wanted
    with pytest.raises(ConfigError, match=r"start: it began with the θ of another run .* --from RUN"):
        mgdhw.train(stopped.run / "experiment.toml", runs=None)
    assert mgdhw.train(stopped.run / "experiment.toml", start=trained.run, runs=None).digest == wanted


def test_what_cannot_be_begun_with(tmp_path: Path, trained: mgdhw.Result) -> None:
    def refused(match: str, error: type[Exception] = ConfigError, **options: Any) -> None:
        with pytest.raises(error, match=match):
            mgdhw.train(TRAINED if "resume" not in options else None, runs=tmp_path, **options)

    refused("not allowed with resume", resume=trained.run, start=trained.run)
    refused("expected a run, or a vector of finite numbers", start=[[1.0]])
    refused("expected a run, or a vector of finite numbers", start=[1.0, float("nan")])
    refused("has 3 parameters, sim:.* has 13", start=[1.0, 2.0, 3.0])
    refused("expected 'last' or 'best'", start=trained.run, start_at="first")
    refused("of no use beside a vector", start=np.zeros(13), start_at="best")
    refused("give the run, too", start_at="best")
    refused("there is no run nowhere", RunError, start="nowhere")
    refused("expected the SHA-256 of θ", overrides=["start=best"])
    assert list(tmp_path.iterdir()) == []


def test_replicas_have_none(tmp_path: Path, trained: mgdhw.Result) -> None:
    with pytest.raises(ConfigError, match=r"run\.end_at: replicas keep no best θ"):
        mgdhw.train_replicas(TRAINED, replicas=2, runs=None, overrides=["run.end_at=best"])
    replicas = mgdhw.train_replicas(TRAINED, replicas=2, runs=tmp_path)
    with pytest.raises(RunError, match="is a set of replicas"):
        mgdhw.train(start=replicas.run, runs=None)
    begun = mgdhw.train(TRAINED, start=trained.run, runs=tmp_path).run
    assert begun is not None
    with pytest.raises(ConfigError, match="start: replicas begin each"):
        mgdhw.train_replicas(begun / "experiment.toml", replicas=2, runs=None)


# --- what the hardware is left with ---------------------------------------------------------------------------------


def left(end_at: str, device: FunctionDevice, **options: Any) -> tuple[mgdhw.Result, Callable[[], Any]]:
    experiment = {"data": {"name": "xor"}, "training": {"probes": 300, "tau_theta": 5, "init": "uniform"}}
    experiment |= {"optimizer": {"name": "sgd", "eta": 0.4}, "evaluation": {"every": 25}, "run": {"end_at": end_at}}
    heard: list[Event] = []
    result = mgdhw.train(experiment, device=device, runs=None, listeners=[heard.append], **options)
    best = [event for event in heard if isinstance(event, Best)][-1]
    return result, lambda: best.state.theta


class Kept(FunctionDevice):
    """Keeps its parameters when it is closed."""

    async def disconnect(self) -> None:
        pass


def noisy(kind: type[FunctionDevice] = Kept) -> FunctionDevice:
    return kind(lambda theta: float(np.square(theta - 0.7).sum()), 4, noise=0.3, seed=3)


def test_the_hardware_is_left_with_the_best_if_wanted() -> None:
    devices = noisy(), noisy()
    last, best = (left(end_at, device) for end_at, device in zip(("last", "best"), devices, strict=True))
    assert last[0].digest == best[0].digest
    assert not np.array_equal(last[0].theta, best[1]())
    lsb = 2.0**-10
    assert_array_equal(devices[0].theta, np.rint(last[0].theta / lsb) * lsb)
    assert_array_equal(devices[1].theta, np.rint(best[1]() / lsb) * lsb)


def test_a_declared_safe_state_has_the_last_word() -> None:
    device = noisy()
    device.info = replace(device.info, motion=Motion(10.0, safe=0.25))
    left("best", device)
    assert_array_equal(device.theta, np.full(4, 0.25))


def test_the_chip_in_the_loop_and_on_the_chip_keep_the_same(trained: mgdhw.Result) -> None:
    for level in ("host-codes", "device-codes"):
        result = mgdhw.train(TRAINED, device=CHIP, runs=None, overrides=[f"run.level={level}"])
        assert result.best == trained.best
