"""`mgdhw study`, as people type it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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

    def here(todo: list[robustness.Job], tell: Callable[[robustness.Row], None], workers: int | None) -> None:
        for job in todo:
            tell(robustness.run(job))

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
    columns = ["task", "imperfection", "strength", "probes to solution", "quartiles", "of the first", "solved"]
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
