"""Data of one's own on the command line: what is said of it, and what it is judged by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgdhw.experiment.load import load_experiment
from tests.helpers.chips import WIDE_REFERENCE_CHIP

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (40, 2))
SHORT = ("--device", WIDE_REFERENCE_CHIP, "--set", "training.probes=200", "--set", "training.batch=4")


@pytest.fixture
def regression(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=(X.sum(axis=1) + 2) / 4)


@pytest.mark.usefixtures("regression")
def test_regression_is_told_by_r2(mgdhw: Any, tmp_path: Path) -> None:
    done = mgdhw("train", *SHORT, "--set", "data.name=mine.npz")
    assert done.code == 0
    said = " ".join(done.out.split())
    assert re.search(r"note: 48 % of the inputs would be clipped: they reach from -0\.9\d+ to 0\.9\d+, ", said)
    assert re.search(r"test R² -?\d+\.\d{4} ", done.out)  # progress
    assert re.search(r"^R² +-?\d+\.\d{4} \(test\)$", done.out, re.MULTILINE)
    assert "accuracy" not in done.out
    (run,) = (tmp_path / "runs").iterdir()
    done = mgdhw("evaluate", str(run))
    assert re.search(r"^split +samples +R² +cost$", done.out, re.MULTILINE)
    assert "confusion matrix" not in done.out
    scores = json.loads(mgdhw("evaluate", str(run), "--json").out)["splits"]
    assert scores["test"]["accuracy"] is None
    assert scores["test"]["r2"] == json.loads((run / "summary.json").read_text())["r2"]


@pytest.mark.usefixtures("regression")
def test_replicas_of_regression_are_told_by_r2(mgdhw: Any) -> None:
    done = mgdhw("train", *SHORT, "--set", "data.name=mine.npz", "--replicas", "3")
    assert done.code == 0
    assert re.search(r"^test R² +-?\d+\.\d{4} +-?\d+\.\d{4} +-?\d+\.\d{4}", done.out, re.MULTILINE)
    assert "accuracy" not in done.out
    assert "evaluation.stop_at_cost gives one" in " ".join(done.out.split())


@pytest.mark.usefixtures("regression")
def test_an_accuracy_that_regression_cannot_have(mgdhw: Any, tmp_path: Path) -> None:
    done = mgdhw("train", *SHORT, "--set", "data.name=mine.npz", "--set", "evaluation.stop_at_accuracy=0.9")
    assert done.code == 1
    assert "outputs are not right or wrong; use evaluation.stop_at_cost" in " ".join(done.err.split())
    assert not (tmp_path / "runs").exists()


def test_check_says_what_is_clipped_and_recommends_what_fits(mgdhw: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=np.sign(X), y=(X[:, :1] * X[:, 1:] < 0) * 1.0)
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--data", "mine.npz", "--output", "found.toml", "--json")
    assert done.code == 0
    (note,) = json.loads(done.out)["notes"]
    assert note.startswith("48 %")
    assert "% of the inputs would be clipped: they reach from -1 to 1, the device's converters from 0 to 1" in note
    data = load_experiment(tmp_path / "found.toml").data
    assert (data.name, data.scale, data.scale_to) == (f"npz:{tmp_path / 'mine.npz'}", "minmax", [0.0, 1.0])
    trained = mgdhw("train", "found.toml", "--set", "training.probes=200", "--json", "--quiet")
    assert trained.code == 0


def test_a_key_that_is_almost_one(mgdhw: Any) -> None:
    done = mgdhw("train", "--set", "data.scal=auto")
    assert (done.code, done.out) == (1, "")
    assert "data.scal: no such key; did you mean 'data.scale'?" in done.err
