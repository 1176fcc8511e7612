"""`mgdhw study`, as people type it."""

import importlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mgdhw.cli.study import _show
from mgdhw.outcome import Quartiles
from mgdhw.output import console
from mgdhw.study import figures, robustness
from mgdhw.study.axes import AXES


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
    monkeypatch.setitem(AXES, "stuck", replace(AXES["stuck"], values=(0, 0.5)))

    def here(
        todo: list[robustness.Job],
        tasks: dict[str, robustness.Task],
        tell: Callable[[robustness.Row], None],
        workers: int | None,
    ) -> None:
        for job in todo:
            tell(robustness.run(job, tasks[job.task]))

    monkeypatch.setattr(robustness, "study", here)


ARGUMENTS = ("study", "robustness", "--axis", "stuck", "--task", "nist7x7", "--replicas", "1", "--output", "here")


@pytest.mark.usefixtures("fonts", "small")
def test_a_study_goes_on_from_what_is_done(mgdhw: Any) -> None:
    done = mgdhw(*ARGUMENTS, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["nist7x7"]["stuck"]
    assert [point["value"] for point in found] == [0, 0.5]
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
    columns = ["task", "imperfection", "strength", "probes", "quartiles", "ratio", "solved"]
    assert re.split(r"  +", heading) == columns
    assert [re.split(r"  +", row)[:3] for row in rows] == [["nist7x7", "stuck", "0"], ["nist7x7", "stuck", "0.5"]]
    assert all(row.endswith(" %") for row in rows)


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
    monkeypatch.setattr("mgdhw.pictures.available", lambda: importable("matplotlib"))
    Path("mine.toml").write_text(OWN)
    done = mgdhw("study", "robustness", "--axis", "stuck", "--replicas", "1", "--experiment", "mine.toml")
    assert done.code == 0, done.err
    assert "pip install 'mgdhw[plot]'" in done.out
    assert "a-long-name-of-an-experiment" in done.out
    assert len(Path("study/robustness.csv").read_text().splitlines()) == 3
    assert not Path("study/robustness.png").exists()
    arguments = ("study", "drift", "--constants", "0.1", "--experiment", "mine.toml")
    chip = "sim:analog-8bit?layers=2-3-1&engine=reference&retention=2000"
    done = mgdhw(*arguments, "--device", chip)
    assert done.code == 0, done.err
    assert "pip install 'mgdhw[plot]'" in done.out
    assert Path("study/drift.csv").read_text().splitlines()[-1].startswith("frozen,400,")


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
    assert "here/robustness.json: the trainings of task nist7x7 there are of another chip" in done.err
    done = mgdhw("study", "robustness", "--device", "sim:rram?layers=49-4-4")
    assert "task digits: dataset 'digits' has 64 inputs" in done.err
    Path("mine.toml").write_text(OWN)
    done = mgdhw("study", "robustness", "--task", "digits", "--experiment", "mine.toml")
    assert "--task and --experiment: choose one of them" in done.err


def test_a_table_is_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    out = console()
    out.width = 80
    monkeypatch.setattr(type(out.file), "isatty", lambda self: True, raising=False)
    times = Quartiles(87_500, 1_234_500, 10_000_000)
    points = [robustness.Point(value, 0.75, times) for value in (0, 3_000_000.0, 0.003)]
    with out.capture() as captured:
        _show(out, {"nist7x7": {"cost-noise": points}, "a-long-name-of-an-experiment": {"asymmetry": points}})
    lines = captured.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(lines)
    assert text.count("…") == 6, "one between each pair of quartiles, and nothing was cut off"
    for word in ("imperfection", "strength", "quartiles", "1,234,500", "10,000,000", "75.0 %", "cost-noise", "3e+06"):
        assert word in text
