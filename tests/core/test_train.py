"""Training in one call, from whatever source, on whatever data and device."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mgdhw
from mgdhw.errors import CheckpointError, ConfigError, DatasetError, DeviceFault, DeviceUnavailable, LinkLost
from mgdhw.experiment.load import check_experiment, to_toml
from mgdhw.training.events import Evaluated, Event, Faulted, Finished, Started
from tests.core.running import READ_INIT, XOR, FaultyDevice, stop_at

# --- the same training, whichever way it is asked for -----------------------------------------------------------------


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


# --- data -------------------------------------------------------------------------------------------------------------


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
    session = mgdhw.TrainingHandle()
    first = mgdhw.train(path, runs=runs, session=session, listeners=[stop_at(session, 500)])
    monkeypatch.chdir(tmp_path)
    assert first.run is not None
    assert mgdhw.evaluate(first.run).scores["train"].samples == 4
    assert mgdhw.train(resume=first.run).digest == whole.digest
    np.savez(folder / "mine.npz", x=xor.inputs, y=1.0 - xor.targets)
    for again in (lambda: mgdhw.train(resume=first.run), lambda: mgdhw.evaluate(first.run)):
        with pytest.raises(CheckpointError, match=r"npz:.*is not what it was"):
            again()


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


# --- other devices ----------------------------------------------------------------------------------------------------


def test_costs_that_are_no_numbers(runs: Path) -> None:
    device = FaultyDevice(nan_at=500)
    session = mgdhw.TrainingHandle()
    with pytest.raises(DeviceFault, match="bench:test: the cost of probe 500 is not a number"):
        mgdhw.train(READ_INIT, device=device, runs=runs, session=session)
    assert device.closed == 1
    assert session.run is not None
    assert session.run.checkpoints()


def test_faults_are_kept(runs: Path) -> None:
    heard: list[Event] = []
    whole = mgdhw.train(READ_INIT, device=FaultyDevice(), runs=None)
    result = mgdhw.train(READ_INIT, device=FaultyDevice(fail_at=400), runs=runs, listeners=[heard.append])
    assert result.digest == whole.digest
    assert sum(isinstance(event, Faulted) for event in heard) == 1
    assert result.run is not None
    with sqlite3.connect(result.run / "metrics.sqlite") as connection:
        assert connection.execute("SELECT kind FROM fault").fetchall() == [("LinkTimeout",)]
    connection.close()


class Unplugged(FaultyDevice):
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
        mgdhw.train(READ_INIT, device=Unplugged("open"), runs=runs)
    first = mgdhw.train(READ_INIT, device=FaultyDevice(), runs=runs)
    assert first.run is not None
    with pytest.raises(LinkLost, match=r"bench:test: .*Broken pipe"):
        mgdhw.evaluate(first.run, device=Unplugged("infer"))


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    for name in mgdhw.__all__:
        assert getattr(mgdhw, name) is not None
    assert set(mgdhw.__all__) <= set(dir(mgdhw))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mgdhw.nonsense  # type: ignore[attr-defined]
