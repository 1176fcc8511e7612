"""`mgdhw check`: what it prints and writes."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mgdhw.characterize import MAX_EVALUATIONS, Characterization
from mgdhw.characterize.gradient_noise import GradientNoise
from mgdhw.characterize.summary_figure import _gradient_noise
from mgdhw.device import Device
from mgdhw.experiment.load import load_experiment
from mgdhw.testing import Outcome, Verdict
from mgdhw_sim.device import SimDevice
from mgdhw_sim.spec import ChipSpec
from tests.helpers.chips import WIDE_REFERENCE_CHIP


@pytest.fixture(scope="module")
def fonts() -> None:
    """matplotlib keeps the files of the fonts that it has used open, as long as the process lives."""
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.text(0, 0, "ĝᵀHĝ τ_θ η Δ σ₀ √ − ≈ ± ·")
    figure.text(0, 0.5, r"$\mathdefault{2\times10^{-4}}$ $x$ $\mathbf{x}$")
    figure.savefig(BytesIO())


def test_help_has_an_example(mgdhw: Any) -> None:
    assert "Example: mgdhw check sim:analog-8bit --output experiment.toml" in mgdhw("check", "--help").out
    assert "needs matplotlib" in " ".join(mgdhw("check", "--help").out.replace("│", " ").split())


@pytest.mark.usefixtures("fonts")
def test_a_report_an_experiment_and_a_page(mgdhw: Any, tmp_path: Path) -> None:
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--output", "mine.toml", "--plot", "page.png")
    assert done.code == 0
    assert "measuring noise and drift" in done.out  # progress, where no terminal is
    for word in (
        "evaluations",
        "throughput",
        "noise",
        "drift",
        "settling",
        "Recommended: ",
        "Δ = ",
        "τ_θ = ",
        "B = 4",
        "η = ",
    ):
        assert word in done.out
    assert "train with: mgdhw train mine.toml" in done.out
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    assert text.startswith("# Recommended by mgdhw check after ")
    experiment = load_experiment(tmp_path / "mine.toml")
    assert (experiment.data.name, experiment.device.uri) == ("xor", WIDE_REFERENCE_CHIP)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    trained = mgdhw("train", "mine.toml", "--set", "training.probes=1000", "--json", "--quiet")
    assert json.loads(trained.out)["probes"] == 1000


def test_powers_of_which_noise_leaves_nothing_are_not_drawn() -> None:
    """One at the least of all numbers would leave the axis no room for the others."""
    result = Characterization("toy:1", SimDevice("sim:toy", ChipSpec()).info, "xor", 128, MAX_EVALUATIONS)
    result.gradient_noise = (GradientNoise((1, 4, 16), np.array([-1e-5, 1e-3, 0.0]), 0.0, 0.0, 128, 0.0),)
    axes = Figure().subplots()
    _gradient_noise(axes, result)
    low, high = axes.get_ylim()
    assert 1e-5 < low < 1e-3 < high < 1e-1


def test_a_budget_is_kept_and_the_time_left_is_told(mgdhw: Any) -> None:
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--budget", "12000")
    assert " of 12,000" in done.out
    assert re.search(r"evaluations  pilot run, η = [0-9.]+  at most [0-9.:]+( s)? left", done.out)
    assert json.loads(mgdhw("check", WIDE_REFERENCE_CHIP, "--budget", "12000", "--json").out)["evaluations"] <= 12_000
    small = mgdhw("check", WIDE_REFERENCE_CHIP, "--budget", "500")
    assert (small.code, small.out) == (1, "")
    assert "a budget of 500 evaluations: expected 10,000 to 1,000,000,000" in small.err


def test_where_nothing_learns_it_is_said_and_nothing_is_recommended(mgdhw: Any, tmp_path: Path) -> None:
    """Parity of eight bits through one neuron: no pilot does better than a constant answer."""
    done = mgdhw("check", "sim:analog-8bit?layers=8-1-1&engine=reference", "--output", "mine.toml", "--budget", "10000")
    assert done.code == 1
    assert "no setting was found that learns within " in done.err
    assert "(best constant output: cost 0.25, 50% correct)" in done.err
    assert "Recommended" not in done.out
    assert not (tmp_path / "mine.toml").exists()


def test_json(mgdhw: Any) -> None:
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--json", "--seed", "3", "--data", "parity-2")
    record = json.loads(done.out)
    assert record["data"] == "parity-2"
    assert record["evaluations"] <= record["limit"] == MAX_EVALUATIONS
    assert {"delta", "tau_theta", "batch", "eta", "reasons"} <= record["recommendation"].keys()
    assert record["problem"] is None


@pytest.mark.usefixtures("fonts")
def test_a_device_that_cannot_be_trained(mgdhw: Any, tmp_path: Path) -> None:
    done = mgdhw(
        "check", "sim:analog-8bit?layers=2-3-1&dead=1&engine=reference", "--output", "mine.toml", "--plot", "page.png"
    )
    assert done.code == 1
    assert "cannot be trained: its" in done.err
    assert not (tmp_path / "mine.toml").exists()
    assert (tmp_path / "page.png").exists()


def test_files_that_could_not_be_written_are_named_before_anything_is_measured(mgdhw: Any) -> None:
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--output", "nowhere/mine.toml")
    assert (done.code, done.out) == (1, "")
    assert "does not exist" in done.err
    assert "is a folder" in mgdhw("check", WIDE_REFERENCE_CHIP, "--plot", ".").err


def test_an_experiment_written_by_hand_is_kept(mgdhw: Any, tmp_path: Path) -> None:
    mgdhw("new", "mine.toml")
    before = (tmp_path / "mine.toml").read_bytes()
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--output", "mine.toml")
    assert (done.code, done.out) == (1, "")
    assert "mine.toml: exists and was not written by mgdhw check" in done.err
    assert (tmp_path / "mine.toml").read_bytes() == before


def test_without_matplotlib(mgdhw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'mgdhw[plot]'" in mgdhw("check", WIDE_REFERENCE_CHIP, "--plot", "page.png").err


def test_an_address_of_nothing(mgdhw: Any) -> None:
    assert "no driver for scheme" in mgdhw("check", "nothing:1").err


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED])
def test_conformance_first(mgdhw: Any, monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    async def run_conformance(opener: Any, report: Any) -> list[Outcome]:
        assert isinstance(opener(), Device)
        outcome = Outcome("write-is-absolute", "Writing is absolute.", verdict, "", 0.1)
        report(outcome)
        return [outcome]

    monkeypatch.setattr("mgdhw.testing.run_conformance", run_conformance)
    done = mgdhw("check", WIDE_REFERENCE_CHIP, "--conformance", "--json")
    assert json.loads(done.out)["conformance"][0]["verdict"] == verdict
    assert f"{verdict} write-is-absolute" in " ".join(done.err.split())
    assert done.code == (verdict is Verdict.FAILED)
