"""Training and evaluating in one call."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mgdhw
from mgdhw.block import Part
from mgdhw.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    DeviceFault,
    DeviceUnavailable,
    LinkLost,
    LinkTimeout,
    RunError,
)
from mgdhw.experiment.schema import check_experiment, to_toml
from mgdhw.testing import FunctionDevice
from mgdhw.training.events import BlockDone, Evaluated, Event, Faulted, Finished, Started
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(2000, run={"checkpoint_seconds": 0.05, "block": 10})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(XOR, runs=None).digest


def stop_at(session: mgdhw.Session, step: int) -> Any:
    """A listener that asks for a clean end at a step."""

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= step:
            session.stop()

    return listen


def stopped_run(runs: Path, experiment: dict[str, Any] = XOR, step: int = 700) -> mgdhw.Result:
    session = mgdhw.Session()
    return mgdhw.train(experiment, runs=runs, session=session, listeners=[stop_at(session, step)])


# --- the same training, whichever way it is asked for ----------------------------------------------------------------


def test_file_mapping_and_experiment_are_one(tmp_path: Path, digest: str) -> None:
    path = tmp_path / "xor.toml"
    experiment = check_experiment(XOR, source="test")
    path.write_text(to_toml(experiment))
    for source in (path, str(path), experiment, XOR):
        assert mgdhw.train(source, runs=None).digest == digest


def test_overrides(digest: str) -> None:
    changed = mgdhw.train(XOR, runs=None, overrides=["seed=1"])
    assert changed.digest != digest
    assert mgdhw.train({**XOR, "seed": 1}, runs=None).digest == changed.digest
    assert mgdhw.train(XOR, runs=None, overrides=["run.level=host-codes", "run.block=7"]).digest == digest


def test_inside_a_running_loop(digest: str) -> None:
    async def notebook() -> str:
        return mgdhw.train(XOR, runs=None).digest

    assert asyncio.run(notebook()) == digest


async def test_async(digest: str) -> None:
    assert (await mgdhw.train_async(XOR, runs=None)).digest == digest


async def test_a_device_that_is_open_stays_open(digest: str) -> None:
    device = mgdhw.open_device("sim:analog-8bit?layers=2-3-1")
    assert (await mgdhw.train_async(XOR, device=device, runs=None)).digest == digest
    with pytest.raises(DeviceUnavailable):
        await device.read()
    async with device:
        assert (await mgdhw.train_async(XOR, device=device, runs=None)).digest == digest
        assert (await device.read()).shape == (13,)


def test_the_packaged_experiment_is_complete() -> None:
    result = mgdhw.train(runs=None, overrides=["training.probes=200"])
    assert result.split == "test"
    assert result.theta.shape == (1210,)


def test_the_result(runs: Path) -> None:
    result = mgdhw.train(XOR, runs=runs)
    assert (result.reason, result.probes, result.updates, result.split) == ("done", 2000, 100, "train")
    assert result.evaluations > result.probes
    assert result.run is not None
    summary = json.loads((result.run / "summary.json").read_text())
    assert summary == result.summary()
    assert summary["run"] == str(result.run)


def test_listeners_hear_everything_in_order() -> None:
    heard: list[Event] = []
    also: list[Event] = []
    mgdhw.train(XOR, runs=None, listeners=[heard.append, also.append])
    assert heard == also
    assert isinstance(heard[0], Started)
    assert isinstance(heard[-1], Finished)
    assert sum(isinstance(event, Evaluated) for event in heard) == 21


def test_provenance(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "xor.toml"
    path.write_text(to_toml(check_experiment(XOR, source="test")))
    result = mgdhw.train(path, runs=runs)
    assert result.run is not None
    found = json.loads((result.run / "provenance.json").read_text())
    assert found["source"] == str(path)
    assert found["versions"].keys() == {"mgdhw", "python", "numpy", "platform"}
    assert found["device"]["details"]["weight_bits"] == 8
    assert found["dataset"]["digest"] == mgdhw.load_dataset("xor").digest


# --- going on --------------------------------------------------------------------------------------------------------


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
    with pytest.raises(DeviceUnavailable, match=r"the run began on another.*--device 'sim:analog-8bit"):
        mgdhw.train(resume=first.run)
    assert mgdhw.train(resume=first.run, device="sim:analog-8bit?layers=2-3-1").reason == "done"
    unproven, note = mgdhw.evaluate(first.run).notes
    assert "has no SHA256SUMS" in unproven
    assert note.endswith("the run began on another")
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


# --- data ------------------------------------------------------------------------------------------------------------


def test_paths_count_from_the_experiment_file(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "experiment", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    xor = mgdhw.load_dataset("xor")
    np.savez(folder / "mine.npz", x=xor.inputs, y=xor.targets)
    path = folder / "mine.toml"
    experiment = {**XOR, "data": {"name": "npz:mine.npz", "test_fraction": 0.0}}
    path.write_text(to_toml(check_experiment(experiment, source="test")))
    monkeypatch.chdir(elsewhere)
    whole = mgdhw.train(path, runs=None)
    session = mgdhw.Session()
    first = mgdhw.train(path, runs=runs, session=session, listeners=[stop_at(session, 500)])
    monkeypatch.chdir(tmp_path)
    assert first.run is not None
    assert mgdhw.evaluate(first.run).scores["train"].samples == 4
    assert mgdhw.train(resume=first.run).digest == whole.digest
    np.savez(folder / "mine.npz", x=xor.inputs, y=1.0 - xor.targets)
    for again in (lambda: mgdhw.train(resume=first.run), lambda: mgdhw.evaluate(first.run)):
        with pytest.raises(CheckpointError, match=r"npz:.*is not what it was"):
            again()


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


def test_evaluating_an_edited_experiment(runs: Path) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    path = first.run / "experiment.toml"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(RunError, match=r"experiment\.toml: is not what the run began with: it was edited"):
        mgdhw.evaluate(first.run)
    (first.run / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match=r"experiment\.toml was edited"):
        mgdhw.evaluate(first.run)


def test_an_experiment_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"expected a TOML file, a mapping or an Experiment \(got 7\)"):
        mgdhw.train(7)  # type: ignore[arg-type]


def test_bad_data(runs: Path) -> None:
    with pytest.raises(DatasetError, match="nothing"):
        mgdhw.train({**XOR, "data": {"name": "npz:nothing.npz"}}, runs=runs)
    with pytest.raises(ConfigError, match=r"data\.base"):
        mgdhw.train({**XOR, "data": {"name": "xor", "base": "x"}}, runs=runs)
    with pytest.raises(ConfigError, match="do not fit"):
        mgdhw.train({**XOR, "data": {"name": "digits"}}, runs=runs)
    assert not runs.exists()


# --- other devices ---------------------------------------------------------------------------------------------------


class Bench(FunctionDevice):
    """Thirteen knobs and a meter; now and then something goes wrong."""

    def __init__(self, *, fail_at: int = -1, nan_at: int = -1) -> None:
        super().__init__(lambda theta: float(np.square(theta - 0.3).sum()), 13, uri="bench:test", low=-4.0, high=4.0)
        self.closed = 0
        self._fail_at, self._nan_at = fail_at, nan_at

    async def disconnect(self) -> None:
        self.closed += 1

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> int | float:
        if step == self._nan_at:
            return float("nan")
        if step == self._fail_at:
            self._fail_at = -1
            raise LinkTimeout("no answer in 1 s", uri=self.uri)
        return await super().measure(samples, step, part)


BENCH: dict[str, Any] = {**XOR, "training": {"probes": 1000, "tau_theta": 30, "init": "read"}}


ENDLESS: dict[str, Any] = {**BENCH, "training": {"probes": 10**7, "init": "read"}}


def test_float_costs_resume_to_the_bit(runs: Path) -> None:
    whole = mgdhw.train(BENCH, device=Bench(), runs=None)
    session = mgdhw.Session()
    first = mgdhw.train(BENCH, device=Bench(), runs=runs, session=session, listeners=[stop_at(session, 500)])
    assert first.reason == "stopped"
    assert mgdhw.train(resume=first.run, device=Bench()).digest == whole.digest


def test_costs_that_are_no_numbers(runs: Path) -> None:
    device = Bench(nan_at=500)
    session = mgdhw.Session()
    with pytest.raises(DeviceFault, match="bench:test: the cost of probe 500 is not a number"):
        mgdhw.train(BENCH, device=device, runs=runs, session=session)
    assert device.closed == 1
    assert session.run is not None
    assert session.run.checkpoints()


def test_faults_are_kept(runs: Path) -> None:
    heard: list[Event] = []
    whole = mgdhw.train(BENCH, device=Bench(), runs=None)
    result = mgdhw.train(BENCH, device=Bench(fail_at=400), runs=runs, listeners=[heard.append])
    assert result.digest == whole.digest
    assert sum(isinstance(event, Faulted) for event in heard) == 1
    assert result.run is not None
    with sqlite3.connect(result.run / "metrics.sqlite") as connection:
        assert connection.execute("SELECT kind FROM fault").fetchall() == [("LinkTimeout",)]
    connection.close()


class Unplugged(Bench):
    """A driver that lets the system's errors through."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    async def connect(self) -> None:
        if self._at == "open":
            raise OSError(2, "could not open port")
        await super().connect()

    async def infer(self, samples: NDArray[np.int64], step: int = 0) -> NDArray[np.float64]:
        if self._at == "infer":
            raise BrokenPipeError(32, "Broken pipe")
        return await super().infer(samples, step)


def test_errors_of_the_system_become_errors_of_the_device(runs: Path) -> None:
    with pytest.raises(DeviceUnavailable, match=r"bench:test: cannot be opened: .*could not open port"):
        mgdhw.train(BENCH, device=Unplugged("open"), runs=runs)
    first = mgdhw.train(BENCH, device=Bench(), runs=runs)
    assert first.run is not None
    with pytest.raises(LinkLost, match=r"bench:test: .*Broken pipe"):
        mgdhw.evaluate(first.run, device=Unplugged("infer"))


# --- stopping --------------------------------------------------------------------------------------------------------


class Hanging(Bench):
    """Never answers once it has been asked for probe 500, as a link without a timeout would."""

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> float:
        if step == 500:
            await asyncio.Event().wait()
        return await super().measure(samples, step, part)


async def test_the_second_stop_is_at_once(runs: Path) -> None:
    session, device = mgdhw.Session(), Hanging()
    hanging = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            hanging.set()

    training = asyncio.create_task(
        mgdhw.train_async(BENCH, device=device, session=session, listeners=[listen], runs=runs)
    )
    await hanging.wait()
    assert session.stop()
    assert session.stop()
    assert not session.stop()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert device.closed == 1
    assert not session.stop()
    assert session.run is not None
    assert session.run.checkpoints()


def test_a_stop_before_the_beginning_is_remembered() -> None:
    session = mgdhw.Session()
    assert not session.stop()
    result = mgdhw.train(XOR, runs=None, session=session)
    assert (result.reason, result.probes) == ("stopped", 10)


def test_ctrl_c_ends_it_cleanly(runs: Path, digest: str) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="resume with: mgdhw train --resume"):
        mgdhw.train(XOR, runs=runs, listeners=[interrupt])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["probes"] == 500
    assert mgdhw.train(resume=run).digest == digest


def test_ctrl_c_twice(runs: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    device = Bench()
    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(ENDLESS, device=device, runs=runs, listeners=[interrupt])
    assert device.closed == 1


def test_more_ctrl_c_do_not_interrupt_the_closing(runs: Path) -> None:
    class Slow(Bench):
        async def disconnect(self) -> None:
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(0)
            await super().disconnect()

    device = Slow()
    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(BENCH, device=device, runs=runs)
    assert device.closed == 1
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["reason"] == "done"


def test_ctrl_c_before_training(runs: Path) -> None:
    class Slow(Bench):
        async def connect(self) -> None:
            signal.raise_signal(signal.SIGINT)
            await super().connect()

    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(BENCH, device=Slow(), runs=runs)
    assert not runs.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
def test_ctrl_c_in_a_notebook(runs: Path, digest: str) -> None:
    """There the loop runs in the main thread and the training in another one."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            signal.pthread_kill(main, signal.SIGINT)

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            mgdhw.train({**XOR, "run": {"block": 1}}, runs=runs, listeners=[interrupt])

    loop = asyncio.new_event_loop()  # not asyncio.run, which has a handler of its own
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["reason"] == "stopped"
    assert mgdhw.train(resume=run).digest == digest


# --- evaluating ------------------------------------------------------------------------------------------------------


def test_evaluate(runs: Path) -> None:
    result = mgdhw.train(runs=runs, overrides=["training.probes=400"])
    assert result.run is not None
    evaluation = mgdhw.evaluate(result.run)
    assert evaluation.scores["test"].accuracy == result.accuracy
    assert evaluation.scores["test"].cost == result.cost
    confusion = evaluation.scores["train"].confusion
    assert confusion is not None
    assert confusion.sum() == 1438
    assert json.loads(json.dumps(evaluation.summary()))["step"] == 400


def test_evaluate_stochastic_rounding_as_it_was_trained(runs: Path) -> None:
    result = mgdhw.train({**XOR, "training": {"probes": 500, "rounding": "stochastic"}}, runs=runs)
    assert result.run is not None
    assert mgdhw.evaluate(result.run).scores["train"].cost == result.cost


def test_evaluate_without_a_checkpoint(runs: Path) -> None:
    first = stopped_run(runs)
    assert first.run is not None
    for path in first.run.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        mgdhw.evaluate(first.run)


# --- names -----------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    for name in mgdhw.__all__:
        assert getattr(mgdhw, name) is not None
    assert set(mgdhw.__all__) <= set(dir(mgdhw))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mgdhw.nonsense  # type: ignore[attr-defined]
