"""`mgdhw study`, as people type it."""

import importlib
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mgdhw.cli.study import _show
from mgdhw.report.console import console
from mgdhw.study import drift, figures, robustness
from mgdhw.study.intervals import Interval
from mgdhw.study.swept_parameters import SWEEPS
from mgdhw.training.results import Quartiles


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib keeps the files of the fonts that it has used open, as long as the process lives."""
    rows = [robustness.Row("nist7x7", axis, 0.0, 0, True, 1, 2, 0.5) for axis in ("stuck", "mismatch")]
    figures.robustness(rows, tmp_path_factory.mktemp("fonts") / "picture.png")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two strengths, trained for a moment, here instead of in other processes."""
    task = robustness.TASKS["nist7x7"]
    training = {**task.experiment["training"], "probes": 1_000}
    short = replace(task, uri=f"{task.uri}&engine=reference", experiment={**task.experiment, "training": training})
    monkeypatch.setitem(robustness.TASKS, "nist7x7", short)
    monkeypatch.setitem(SWEEPS, "stuck", replace(SWEEPS["stuck"], values=(0, 0.5)))

    def here(
        todo: list[robustness.Job],
        tasks: dict[str, robustness.Task],
        tell: Callable[[robustness.Row], None],
        workers: int | None,
    ) -> None:
        for job in todo:
            tell(robustness.run(job, tasks[job.task]))

    def followed_here(
        protocol: drift.DriftProtocol, seeds: list[int], tell: Callable[[list[drift.Row]], None], workers: int | None
    ) -> None:
        for seed in seeds:
            tell(drift.run(protocol, seed))

    monkeypatch.setattr(robustness, "study", here)
    monkeypatch.setattr(drift, "study", followed_here)


ARGUMENTS = ("study", "robustness", "--axis", "stuck", "--task", "nist7x7", "--replicas", "1", "--output", "here")


@pytest.mark.usefixtures("fonts", "small")
def test_a_study_goes_on_from_what_is_done(mgdhw: Any) -> None:
    done = mgdhw(*ARGUMENTS, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["nist7x7"]["stuck"]
    assert [point["value"] for point in found] == [0, 0.5]
    assert [point["median_interval"] for point in found] == [[None, None]] * 2, "one chip says nothing of others"
    assert [point["solved_interval"] for point in found] == [[0.0, pytest.approx(0.975)]] * 2
    assert Path("here/robustness.png").stat().st_size > 10_000
    table = Path("here/robustness.csv").read_text()
    assert len(table.splitlines()) == 3
    assert "replica 0" in done.err
    again = mgdhw(*ARGUMENTS)
    assert again.code == 0
    assert "replica 0" not in again.out, "nothing is trained twice"
    assert Path("here/robustness.csv").read_text() == table


@pytest.mark.usefixtures("fonts", "small")
def test_a_pipe_gets_the_whole_table(mgdhw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = mgdhw(*ARGUMENTS)
    assert done.code == 0, done.err
    heading, *rows = done.out[done.out.index("task ") :].splitlines()[:3]
    columns = ["task", "non-ideality", "strength", "probes to solution", "relative", "solved"]
    assert re.split(r"  +", heading) == columns
    assert [re.split(r"  +", row)[:3] for row in rows] == [["nist7x7", "stuck", "0"], ["nist7x7", "stuck", "0.5"]]
    assert all(row.endswith("0 of 1 (0 … 98 %)") for row in rows)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Chips that decay, in no time; those that were followed."""
    asked: list[int] = []

    def here(
        protocol: drift.DriftProtocol, seeds: list[int], tell: Callable[[list[drift.Row]], None], workers: int | None
    ) -> None:
        for seed in seeds:
            asked.append(seed)
            worst = 0.89 if seed == 3 else 0.91
            tell([
                drift.Row(seed, "learning", protocol.learned_at, 0.9),
                drift.Row(seed, "trained", protocol.ends_at - 5_000, worst),
                drift.Row(seed, "trained", protocol.ends_at, 0.95),
                drift.Row(seed, "frozen", protocol.ends_at, 0.1),
            ])  # fmt: skip

    monkeypatch.setattr(drift, "study", here)
    return asked


@pytest.mark.usefixtures("fonts")
def test_a_study_of_drift_goes_on_from_what_is_done_and_counts_its_chips(mgdhw: Any, followed: list[int]) -> None:
    line = ("study", "drift", "--constants", "1", "--output", "here")
    done = mgdhw(*line, "--replicas", "4")
    assert done.code == 0, done.err
    assert "seed 3: learned 90.0 %" in done.out
    table = Path("here/drift.csv").read_text()
    done = mgdhw(*line, "--replicas", "7", "--json")
    assert followed == [0, 1, 2, 3, 4, 5, 6], "nothing is trained twice"
    assert Path("here/drift.csv").read_text().startswith(table)
    assert Path("here/drift.png").stat().st_size > 10_000
    found = json.loads(done.out)
    assert (found["chips"], found["never_worse"]) == (7, 6)
    assert found["trained_worst"] == {"median": 0.91, "median_interval": [0.89, 0.91]}
    done = mgdhw(*line, "--replicas", "7")
    assert re.search(r"continued training, worst +91\.0 % \(89\.0 % … 91\.0 %\)", done.out), done.out
    assert re.search(r"never worse than after learning +6 of 7 chips \(42 … 100 %\)", done.out), done.out


def test_what_cannot_be_done_is_said(mgdhw: Any) -> None:
    done = mgdhw("study", "robustness", "--axis", "colour")
    assert done.code != 0
    assert "--axis colour: expected one of cost-noise, write-noise, mismatch" in done.err
    Path("here").write_text("mine")
    done = mgdhw(*ARGUMENTS)
    assert "--output here: is a file; expected a folder" in done.err
    assert Path("here").read_text() == "mine"


OWN = """
name = "a-long-name-of-an-experiment"
[device]
uri = "sim:analog-8bit?layers=2-3-1&engine=reference"
[data]
name = "xor"
[training]
probes = 200
batch = 4
tau_theta = 10
[evaluation]
every = 100
stop_at_accuracy = 0.9
"""


@pytest.mark.usefixtures("small")
def test_a_table_needs_no_picture(mgdhw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    monkeypatch.setattr("mgdhw.report.figures.available", lambda: importable("matplotlib"))
    Path("mine.toml").write_text(OWN)
    done = mgdhw("study", "robustness", "--axis", "stuck", "--replicas", "1", "--experiment", "mine.toml")
    assert done.code == 0, done.err
    assert "pip install 'mgdhw[plot]'" in done.out
    assert "a-long-name-of-an-experiment" in done.out
    assert len(Path("study/robustness.csv").read_text().splitlines()) == 3
    assert not Path("study/robustness.png").exists()
    arguments = ("study", "drift", "--constants", "0.1", "--replicas", "2", "--experiment", "mine.toml")
    chip = "sim:analog-8bit?layers=2-3-1&engine=reference&retention=2000"
    done = mgdhw(*arguments, "--device", chip)
    assert done.code == 0, done.err
    assert "pip install 'mgdhw[plot]'" in done.out
    assert re.search(r"^train accuracy of 2 chips: median", done.out, re.MULTILINE)
    assert Path("study/drift.csv").read_text().splitlines()[-1].startswith("1,frozen,400,")
    assert json.loads(Path("study/drift.json").read_text())["drift"]["device"] == f"{chip}&drift_every=100"
    assert not Path("study/drift.png").exists()


def importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@pytest.mark.usefixtures("fonts", "small")
def test_a_chip_of_ones_own_is_studied(mgdhw: Any) -> None:
    chip = "sim:rram?layers=49-4-4&engine=reference"
    done = mgdhw(*ARGUMENTS, "--device", chip, "--json")
    assert done.code == 0, done.err
    assert json.loads(Path("here/robustness.json").read_text())["nist7x7"]["device"] == chip
    assert Path("here/robustness.png").stat().st_size > 10_000
    done = mgdhw(*ARGUMENTS)
    assert done.code == 1
    assert "here/robustness.json: its trainings of task nist7x7 are of a different chip" in done.err
    done = mgdhw("study", "robustness", "--device", "sim:rram?layers=49-4-4")
    assert "task digits: dataset 'digits' has 64 inputs" in done.err
    Path("mine.toml").write_text(OWN)
    done = mgdhw("study", "robustness", "--task", "digits", "--experiment", "mine.toml")
    assert "--task and --experiment: choose one of them" in done.err


@pytest.mark.usefixtures("fonts")
def test_a_folder_of_chips_that_decay_is_of_one_study(mgdhw: Any, followed: list[int]) -> None:
    line = ("study", "drift", "--replicas", "1", "--output", "here")
    assert mgdhw(*line).code == 0
    Path("here/drift.json").unlink()  # as older studies left it
    chip = ("--device", "sim:rram?layers=64-16-10&retention=20000")
    done = mgdhw(*line, *chip)
    assert done.code == 1
    assert "here/drift.json: its trainings of task drift are of a different chip or experiment" in done.err
    assert not Path("here/drift.json").exists()
    assert mgdhw("study", "drift", "--replicas", "2", "--output", "here").code == 0
    assert followed == [0, 1], "a table of before is gone on with"
    done = mgdhw(*line, "--constants", "3")
    assert "its chips were followed for 10 time constants, not 3; move it," in " ".join(done.err.split())
    Path("here/drift.csv").unlink()
    assert mgdhw(*line, *chip).code == 0
    assert json.loads(Path("here/drift.json").read_text())["drift"]["device"] == f"{chip[1]}&drift_every=100"


@pytest.fixture
def long_numbers() -> dict[str, dict[str, list[robustness.Point]]]:
    """Points whose numbers and names are as long as they can be."""
    times = Quartiles(87_500, 1_234_500, 10_000_000)
    ratio = Interval(110.11, 1_414.14)
    points = [
        robustness.Point(value, 1_000, 987, times, Interval(1_087_500, 10_123_456), 123.45, ratio)
        for value in (0, 3_000_000.0, 0.003)
    ]
    return {"nist7x7": {"cost-noise": points}, "a-long-name-of-an-experiment": {"write-noise": points}}


@pytest.mark.parametrize("width", [40, 80, 130, 300])
def test_a_table_is_whole_at_every_width(
    width: int,
    long_numbers: dict[str, dict[str, list[robustness.Point]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = console()
    out.width = width
    monkeypatch.setattr(type(out.file), "isatty", lambda self: True, raising=False)
    with out.capture() as captured:
        _show(out, long_numbers)
    lines = captured.get().splitlines()
    assert all(len(line) <= width for line in lines)
    text = captured.get()
    assert text.count("…") == 3 * 6, "one in each interval, and nothing was cut off"
    if width < 80:
        return
    for word in (
        "non-ideality", "strength", "1,234,500", "(1,087,500", "10,123,456)", "123.45", "(110.11", "1414.14)",
        "987 of 1000", "(98 … 99 %)", "cost-noise", "write-noise", "3e+06",
    ):  # fmt: skip
        assert word in text, word
    name = re.sub(r"[^a-z]", "", "".join(line[:14] for line in lines[8:])) if width == 80 else text
    assert ("alongnameofanexperiment" if width == 80 else "a-long-name-of-an-experiment") in name
    assert (lines[0].split("  ")[0] == "task,") == (width <= 130)


def test_intervals_stand_beneath_their_numbers_where_there_is_no_room(
    long_numbers: dict[str, dict[str, list[robustness.Point]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    point = replace(long_numbers["nist7x7"]["cost-noise"][0], median=Interval(87_500, math.inf))
    out = console()
    out.width = 80
    monkeypatch.setattr(type(out.file), "isatty", lambda self: True, raising=False)
    with out.capture() as captured:
        _show(out, {"nist7x7": {"asymmetry": [point]}})
    _, _, number, interval, *_ = captured.get().splitlines()
    assert number.split() == ["nist7x7", "0", "1,234,500", "123.45", "987", "of", "1000"]
    assert interval.split("  ")[0] == "asymmetry"
    assert "(87,500 … –)" in interval
    assert "(110.11 … 1414.14)" in interval
