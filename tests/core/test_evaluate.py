"""Evaluating the network of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mgdhw
from mgdhw.errors import CheckpointError, RunError
from tests.core.running import XOR, stopped_run

# --- data -------------------------------------------------------------------------------------------------------------


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


# --- evaluating -------------------------------------------------------------------------------------------------------


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
