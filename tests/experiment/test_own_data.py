"""Training on arrays that come from no file, on inputs that do not fit, and on numbers instead of classes."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mgdhw
from mgdhw.datasets import Dataset, from_arrays, load, scaled
from mgdhw.errors import CheckpointError, ConfigError, ConformanceError, DatasetError
from mgdhw.experiment.load import load_experiment
from mgdhw.runs.metrics import MetricsDatabase
from mgdhw.training.events import BlockDone, Evaluated, Event, ReplicasStarted, Started
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit?layers=3-4-2"
QUICK: dict[str, Any] = {
    "device": {"uri": CHIP},
    "training": {"probes": 400, "batch": 4, "tau_theta": 10},
    "run": {"checkpoint_seconds": 0.01, "block": 20},
}
RNG = np.random.default_rng(5)
X = np.round(RNG.uniform(-1, 1, (40, 3)) * 64) / 64
Y = (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def train(runs: Path | None, dataset: Any, *overrides: str, **more: Any) -> tuple[mgdhw.Result, Started]:
    """A short training, and how it began."""
    heard: list[Event] = []
    result = mgdhw.train(QUICK, dataset=dataset, runs=runs, overrides=overrides, listeners=[heard.append], **more)
    assert isinstance(heard[0], Started)
    return result, heard[0]


def write(folder: Path, x: NDArray[Any] = X, y: NDArray[Any] = Y) -> Path:
    np.savez(folder / "mine.npz", x=x, y=y)
    return folder / "mine.npz"


def copied(run: Path, *patterns: str) -> Path:
    """A folder with some of a run's files."""
    folder = run.with_name("copied")
    folder.mkdir()
    for pattern in patterns:
        for file in run.glob(pattern):
            shutil.copy(file, folder)
    return folder


# --- arrays ----------------------------------------------------------------------------------------------------------


def test_arrays_are_trained_on_as_if_they_came_from_a_file(tmp_path: Path) -> None:
    result, started = train(None, (X, Y), "data.scale=none")
    assert (started.dataset.n_train, started.dataset.n_test) == (32, 8)
    data = {"name": str(write(tmp_path))}
    assert mgdhw.train(QUICK | {"data": data}, runs=None).digest == result.digest
    split = ("data.scale=none", "data.test_fraction=0.5", "data.seed=3")
    other, started = train(None, (X.tolist(), Y.tolist()), *split)
    assert started.dataset.n_test == 21  # rounded for each class
    assert mgdhw.train(QUICK | {"data": {**data, "test_fraction": 0.5, "seed": 3}}, runs=None).digest == other.digest


def test_all_forms_of_a_dataset() -> None:
    dataset = from_arrays(X[:30], Y[:30], X[30:], Y[30:])
    one, _ = train(None, (X[:30], Y[:30], X[30:], Y[30:]))
    assert train(None, dataset)[0].digest == one.digest
    assert train(None, (X[:30], np.eye(2)[Y[:30]], X[30:], np.eye(2)[Y[30:]]))[0].digest == one.digest
    for wrong in (X, (X,), "digits", {"x": X}):
        with pytest.raises(ConfigError, match=r"dataset: expected \(X, y\), \(X, y, X_test, y_test\) or a mgdhw"):
            train(None, wrong)
    with pytest.raises(ConfigError, match="test_fraction: of no use, the dataset has its own split"):
        train(None, dataset, "data.test_fraction=0.1")
    with pytest.raises(DatasetError, match="y is int64"):
        train(None, (X, Y[:3]))
    with pytest.raises(ConfigError, match=r"data\.name: of no use beside dataset="):
        train(None, dataset, "data.name=xor")
    with pytest.raises(ConfigError, match=r"data\.test_fractoin: no key of .* expected seed, test_fraction, scale"):
        train(None, (X, Y), "data.test_fractoin=0.1")


def test_a_run_has_its_arrays_with_it(runs: Path) -> None:
    """Stopped, moved, resumed by its folder alone, evaluated, repeated from its experiment: the same bits."""
    whole, _ = train(runs, (X, Y))
    session = mgdhw.TrainingHandle()

    def stop(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 100:
            session.stop()

    part = mgdhw.train(QUICK, dataset=(X, Y), runs=runs, session=session, listeners=[stop])
    assert part.run is not None
    assert part.reason == "stopped"
    moved = Path(shutil.move(part.run, runs.parent / "moved"))
    assert mgdhw.train(resume=moved).digest == whole.digest
    evaluation = mgdhw.evaluate(moved)
    assert evaluation.scores["test"].accuracy == whole.accuracy
    assert evaluation.scores["test"].cost == whole.cost
    assert mgdhw.train(moved / "experiment.toml", runs=None).digest == whole.digest
    kept = load_experiment(moved / "experiment.toml").data
    assert (kept.name, kept.scale, kept.scale_to) == ("npz:dataset.npz", "minmax", [0.0, 1.0])
    with pytest.raises(ConfigError, match="dataset: not allowed with resume"):
        mgdhw.train(resume=moved, dataset=(X, Y))


def test_other_arrays_do_not_pass_for_those_of_a_run(runs: Path) -> None:
    result, _ = train(runs, (X, Y))
    assert result.run is not None
    other = copied(result.run, "experiment.toml", "provenance.json", "checkpoint-*.npz")
    np.savez(other / "dataset.npz", x=X, y=1 - Y)
    with pytest.raises(CheckpointError, match="belongs to another experiment or other data"):
        mgdhw.evaluate(other)


def test_without_an_experiment_a_chip_of_the_data_s_sizes_is_trained(runs: Path) -> None:
    short = ("training.probes=100", "evaluation.every=100")
    result = mgdhw.train(dataset=(X, Y), runs=runs, overrides=short)
    assert result.theta.shape == (3 * 16 + 16 + 16 * 2 + 2,)
    assert result.run is not None
    assert result.run.name.startswith("arrays-")
    named = mgdhw.train(dataset=(X, Y), runs=None, overrides=short, device=CHIP)
    assert named.theta.shape == (26,)
    assert mgdhw.train({"training": {"probes": 100}}, dataset=(X, Y), runs=None).theta.shape == (98,)
    with pytest.raises(ConfigError, match="layers=3-4-2"):  # a device that is named is not another
        mgdhw.train(dataset=(X, Y), runs=None, device="sim:analog-8bit?layers=5-4-2")


def test_replicas_of_arrays(runs: Path) -> None:
    heard: list[Any] = []
    found = mgdhw.train_replicas(QUICK, dataset=(X, Y), replicas=2, runs=runs, listeners=[heard.append])
    assert isinstance(heard[0], ReplicasStarted)
    assert any("would be clipped" in note for note in heard[0].notes)
    alone, _ = train(None, (X, Y), "seed=1")
    assert found.replicas[1].digest == alone.digest
    assert found.run is not None
    half = copied(found.run, "experiment.toml", "provenance.json", "dataset.npz")
    rows = (found.run / "replicas.csv").read_text().splitlines(keepends=True)
    (half / "replicas.csv").write_text("".join(rows[:-1]))
    assert mgdhw.train_replicas(resume=half, replicas=2).digest == found.digest


# --- inputs that do not fit ------------------------------------------------------------------------------------------


def test_what_is_clipped_is_said_and_nothing_is_changed(tmp_path: Path, runs: Path) -> None:
    _, started = train(None, (X, Y), "data.scale=none")
    share = np.count_nonzero(X < 0) / X.size
    (note,) = [note for note in started.notes if "clipped" in note]
    assert note.startswith(f"{100 * share:.2g} % of the inputs are clipped: they reach from -1 to ")
    assert note.endswith('the device\'s converters from 0 to 1; data.scale = "auto" makes them fit')
    heard: list[Event] = []
    mgdhw.train(QUICK | {"data": {"name": str(write(tmp_path))}}, runs=runs, listeners=[heard.append])
    assert isinstance(heard[0], Started)
    assert note in heard[0].notes
    (run,) = runs.iterdir()
    assert any("are clipped" in note for note in mgdhw.evaluate(run).notes)


def test_inputs_that_hardly_use_the_range_are_said(tmp_path: Path) -> None:
    few = (np.arange(120).reshape(40, 3) % 17).astype(np.uint8)
    result, started = train(None, (few, Y), "data.scale=none")
    assert any("the inputs use 6.3 % of their range: they reach from 0 to 0.06275" in note for note in started.notes)
    better, started = train(None, (few, Y))
    assert any("use 6.3 %" in note and "they are scaled" in note for note in started.notes)
    assert started.dataset.inputs.max() == 1.0
    assert better.digest != result.digest


@pytest.mark.parametrize("x", [(X + 1) / 2, X.clip(0) * (1 + 1e-7), np.round((X + 1) * 100).astype(np.uint8)])
def test_auto_leaves_alone_what_fits(x: NDArray[Any]) -> None:
    auto, started = train(None, (x, Y), "data.scale=auto")
    assert not [note for note in started.notes if "inputs" in note]
    assert train(None, (x, Y), "data.scale=none")[0].digest == auto.digest


def test_the_packaged_experiments_and_datasets_fit() -> None:
    for name in ("xor", "nist7x7", "digits"):
        dataset = load(name)
        layers = f"{dataset.n_inputs}-4-{dataset.n_outputs}"
        heard: list[Event] = []
        given = QUICK | {"device": {"uri": f"sim:analog-8bit?layers={layers}"}, "data": {"name": name}}
        plain = mgdhw.train(given, runs=None, listeners=[heard.append])
        assert isinstance(heard[0], Started)
        assert not [note for note in heard[0].notes if "inputs" in note]
        assert mgdhw.train(given, runs=None, overrides=["data.scale=auto"]).digest == plain.digest


def test_bipolar_converters_take_what_others_clip() -> None:
    result, started = train(None, (X, Y), device=f"{CHIP}&input_bipolar=true")
    assert not [note for note in started.notes if "inputs" in note]
    assert train(None, (X, Y), "data.scale=none", device=f"{CHIP}&input_bipolar=true")[0].digest == result.digest


@pytest.mark.parametrize("method", ["minmax", "standard"])
def test_scaling_is_kept_with_the_run_and_used_by_all(tmp_path: Path, runs: Path, method: str) -> None:
    data = {"name": str(write(tmp_path, 100 * X)), "scale": method}
    result = mgdhw.train(QUICK | {"data": data}, runs=runs)
    assert result.run is not None
    kept = load_experiment(result.run / "experiment.toml").data
    assert (kept.scale, kept.scale_to) == (method, [0.0, 1.0])
    provenance = json.loads((result.run / "provenance.json").read_text())
    assert provenance["dataset"]["digest"] == scaled(load(str(tmp_path / "mine.npz")), method, 0.0, 1.0).digest
    # Also on a device that takes another range: the run's own is what counts.
    evaluation = mgdhw.evaluate(result.run, device=f"{CHIP}&input_bits=9")
    assert evaluation.scores["test"].samples == 8
    bipolar = mgdhw.train(
        result.run / "experiment.toml", runs=None, device=f"{CHIP}&input_bipolar=true", overrides=["run.level=learn"]
    )
    assert bipolar.digest != result.digest
    assert mgdhw.evaluate(result.run).scores["test"].accuracy == result.accuracy


def test_a_range_that_is_given(tmp_path: Path) -> None:
    data = {"name": str(write(tmp_path)), "scale": "minmax", "scale_to": [0.25, 0.75]}
    heard: list[Event] = []
    mgdhw.train(QUICK | {"data": data}, runs=None, listeners=[heard.append])
    assert isinstance(heard[0], Started)
    inputs = heard[0].dataset.inputs[: heard[0].dataset.n_train]
    assert (inputs.min(), inputs.max()) == (0.25, 0.75)


async def test_a_device_that_does_not_say_is_not_guessed_at() -> None:
    """Its inputs stay as they are, unless the experiment names the range."""

    def device(input_range: tuple[float, float] | None = None) -> SimDevice:
        silent = SimDevice(CHIP, parse(CHIP))
        silent.info = replace(silent.info, input_range=input_range)
        return silent

    heard: list[Event] = []
    plain = await mgdhw.train_async(QUICK, dataset=(X, Y), device=device(), runs=None, listeners=[heard.append])
    assert isinstance(heard[0], Started)
    assert not [note for note in heard[0].notes if "inputs" in note]
    as_is = await mgdhw.train_async(QUICK | {"data": {"scale": "none"}}, dataset=(X, Y), runs=None)
    assert plain.digest == as_is.digest
    any_size = await mgdhw.train_async(QUICK, dataset=(X, Y), device=device((-np.inf, np.inf)), runs=None)
    assert any_size.digest == as_is.digest
    with pytest.raises(ConformanceError, match=r"input_range is \(1, 0\); expected \(low, high\)"):
        await mgdhw.train_async(QUICK, dataset=(X, Y), device=device((1.0, 0.0)), runs=None)
    for method in ("minmax", "standard"):
        given = QUICK | {"data": {"scale": method}}
        with pytest.raises(ConfigError, match=rf'data\.scale = "{method}": .* name the range: data\.scale_to = \[LOW'):
            await mgdhw.train_async(given, dataset=(X, Y), device=device(), runs=None)
        named = QUICK | {"data": {"scale": method, "scale_to": [0, 1]}}
        found = await mgdhw.train_async(named, dataset=(X, Y), device=device(), runs=None)
        assert found.digest == (await mgdhw.train_async(given, dataset=(X, Y), runs=None)).digest


def test_runs_from_before_there_was_scaling_are_resumed_as_they_were(tmp_path: Path, runs: Path) -> None:
    result = mgdhw.train(QUICK | {"data": {"name": str(write(tmp_path))}}, runs=runs)
    assert result.run is not None
    lines = (result.run / "experiment.toml").read_text().splitlines(keepends=True)
    assert 'scale = "none"\n' in lines
    old = copied(result.run, "provenance.json", "checkpoint-*.npz")
    (old / "experiment.toml").write_text("".join(line for line in lines if not line.startswith("scale")))
    assert mgdhw.train(resume=old).digest == result.digest
    assert mgdhw.evaluate(old).scores["test"].accuracy == result.accuracy


# --- regression ------------------------------------------------------------------------------------------------------

REGRESSION = {**QUICK, "device": {"uri": "sim:analog-8bit?layers=3-4-1"}, "evaluation": {"every": 100}}
TARGETS = (X.sum(axis=1) + 3) / 6


def r_squared(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float(1 - ((outputs - targets) ** 2).sum() / ((targets - targets.mean(axis=0)) ** 2).sum())


def test_regression_has_r2_and_no_accuracy(runs: Path) -> None:
    heard: list[Event] = []
    result = mgdhw.train(REGRESSION, dataset=(X, TARGETS), runs=runs, listeners=[heard.append])
    assert isinstance(heard[0], Started)
    assert result.run is not None
    assert result.accuracy is None
    dataset = heard[0].dataset
    test = np.arange(dataset.n_train, dataset.n_samples)

    async def outputs() -> NDArray[np.float64]:
        async with mgdhw.open_device("sim:analog-8bit?layers=3-4-1") as device:
            await device.load(dataset)
            await device.write(result.theta)
            return await device.infer(test)

    assert result.r2 == pytest.approx(r_squared(asyncio.run(outputs()), dataset.targets[test]), rel=1e-12)
    last = [event for event in heard if isinstance(event, Evaluated)][-1]
    assert (last.accuracy, last.r2) == (None, result.r2)
    summary = json.loads((result.run / "summary.json").read_text())
    assert (summary["accuracy"], summary["r2"]) == (None, result.r2)
    with closing(sqlite3.connect(result.run / "metrics.sqlite")) as database:
        rows = database.execute("SELECT accuracy, r2 FROM evaluation ORDER BY step").fetchall()
    assert rows[-1] == (None, result.r2)
    assert len(rows) == 5
    score = mgdhw.evaluate(result.run).scores["test"]
    assert (score.accuracy, score.r2, score.confusion) == (None, result.r2, None)
    assert mgdhw.train(resume=result.run).r2 == result.r2


def test_regression_of_several_outputs_has_no_confusion_matrix(runs: Path) -> None:
    targets = np.stack([TARGETS, 1 - TARGETS], axis=1)
    result, _ = train(runs, (X, targets))
    assert result.accuracy is None
    assert result.run is not None
    assert mgdhw.evaluate(result.run).scores["train"].confusion is None


def test_no_accuracy_is_aimed_at_in_regression() -> None:
    message = "stop_at_accuracy: the targets of dataset 'arrays' are numbers to be met, .* use evaluation.stop_at_cost"
    aimed = ["evaluation.stop_at_accuracy=0.9"]
    with pytest.raises(ConfigError, match=message):
        mgdhw.train(REGRESSION, dataset=(X, TARGETS), runs=None, overrides=aimed)
    with pytest.raises(ConfigError, match=message):
        mgdhw.train_replicas(REGRESSION, dataset=(X, TARGETS), runs=None, overrides=aimed, replicas=2)
    reached = mgdhw.train(REGRESSION, dataset=(X, TARGETS), runs=None, overrides=["evaluation.stop_at_cost=0.9"])
    assert reached.reason == "target"


def test_replicas_of_regression(runs: Path) -> None:
    found = mgdhw.train_replicas(REGRESSION, dataset=(X, TARGETS), runs=runs, replicas=3)
    alone = mgdhw.train(REGRESSION, dataset=(X, TARGETS), runs=None, overrides=["seed=2"])
    assert found.replicas[2].r2 == alone.r2
    assert found.replicas[2].accuracy is None
    summary = found.summary()
    assert summary["accuracy"] == {"lower": None, "median": None, "upper": None}
    assert summary["r2"]["median"] == sorted(one.r2 or 0.0 for one in found.replicas)[1]
    assert found.run is not None
    with (found.run / "replicas.csv").open(newline="") as file:
        assert [(row["accuracy"], float(row["r2"])) for row in csv.DictReader(file)][2] == ("", alone.r2)
    assert mgdhw.train_replicas(resume=found.run, replicas=3).replicas == found.replicas


def test_r2_of_targets_that_do_not_vary_is_none() -> None:
    constant = np.where(np.arange(40) < 30, TARGETS, 0.5)
    result = mgdhw.train(REGRESSION, dataset=(X[:30], constant[:30], X[30:], constant[30:]), runs=None)
    assert (result.accuracy, result.r2) == (None, None)


def test_curves_from_before_there_was_regression(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE evaluation (step INTEGER PRIMARY KEY, evaluations INTEGER NOT NULL, seconds REAL NOT NULL,"
            " split TEXT NOT NULL, accuracy REAL NOT NULL, cost REAL NOT NULL);"
            "INSERT INTO evaluation VALUES (1, 2, 0.5, 'test', 0.75, 0.125)"
        )
    store = MetricsDatabase(path, 9)
    store.write([("evaluation", (2, 4, 1.0, "test", None, 0.25, 0.5))])
    store.close()
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT * FROM evaluation").fetchall()
        (version,) = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    assert rows == [(1, 2, 0.5, "test", 0.75, 0.125, None), (2, 4, 1.0, "test", None, 0.25, 0.5)]
    assert version == "2"


def test_a_dataset_that_has_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found from wherever it is named, and kept by a name that holds anywhere."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = mgdhw.train(QUICK | {"data": {"name": "mine.npz"}}, runs=tmp_path / "runs")
    assert result.run is not None
    assert load_experiment(result.run / "experiment.toml").data.name == f"npz:{tmp_path / 'mine.npz'}"
    assert isinstance(load("mine.npz"), Dataset)
