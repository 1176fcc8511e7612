"""`mgdhw study`, as people type it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mgdhw.study import drift, figures, robustness
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
    columns = ["task", "imperfection", "strength", "probes to solution", "of the first", "solved"]
    assert re.split(r"  +", heading) == columns
    assert [re.split(r"  +", row)[:3] for row in rows] == [["nist7x7", "stuck", "0"], ["nist7x7", "stuck", "0.5"]]
    assert all(row.endswith("0 of 1 (0 … 98 %)") for row in rows)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Chips that decay, in no time; those that were followed."""
    asked: list[int] = []

    def here(todo: list[drift.Job], tell: Callable[[list[drift.Row]], None], workers: int | None) -> None:
        for job in todo:
            asked.append(job.seed)
            worst = 0.89 if job.seed == 3 else 0.91
            end = drift.end_of(job.constants)
            tell([
                drift.Row(job.seed, "learning", drift.LEARNING, 0.9),
                drift.Row(job.seed, "trained", end - 5_000, worst),
                drift.Row(job.seed, "trained", end, 0.95),
                drift.Row(job.seed, "frozen", end, 0.1),
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
    assert re.search(r"training goes on, worst +91\.0 % \(89\.0 % … 91\.0 %\)", done.out), done.out
    assert re.search(r"never worse than learned +6 of 7 chips \(42 … 100 %\)", done.out), done.out


def test_what_cannot_be_done_is_said(mgdhw: Any) -> None:
    done = mgdhw("study", "robustness", "--axis", "colour")
    assert done.code != 0
    assert "--axis colour: expected one of cost-noise, write-noise, mismatch" in done.err
    Path("here").write_text("mine")
    done = mgdhw(*ARGUMENTS)
    assert "--output here: is a file; expected a folder" in done.err
    assert Path("here").read_text() == "mine"
