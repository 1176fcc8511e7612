"""Studies: what is varied, what is kept, and what is made of it."""

import math
from dataclasses import replace

import pytest

from mgdhw.errors import ConfigError
from mgdhw.events import Evaluated
from mgdhw.outcome import Quartiles
from mgdhw.study.axes import AXES
from mgdhw.study.drift import CHIP, study
from mgdhw.study.robustness import TASKS, Job, Point, Row, from_csv, jobs, points, run, to_csv
from mgdhw_sim.address import parse


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("task", TASKS)
def test_every_strength_is_a_chip_and_no_two_are_the_same(task: str, axis: str) -> None:
    specs = [parse(AXES[axis].address(TASKS[task].uri, value, seed=3)) for value in AXES[axis].values]
    assert len({spec.identity() for spec in specs}) == len(specs)
    assert {spec.seed for spec in specs} == {3}


def test_every_strength_is_trained_once_for_each_replica() -> None:
    todo = jobs(["nist7x7"], ["stuck", "drift"], 3)
    assert len(todo) == len(set(todo)) == 3 * (len(AXES["stuck"].values) + len(AXES["drift"].values))
    assert [job.replica for job in todo] == sorted(job.replica for job in todo)


HEADER = "task,axis,value,replica,solved,probes,evaluations,accuracy\n"


def row(value: float, replica: int, *, solved: bool, probes: int) -> Row:
    return Row("nist7x7", "stuck", value, replica, solved, probes, 2 * probes, 0.5)


def test_a_chip_that_does_not_learn_takes_for_ever() -> None:
    rows = [row(0.0, k, solved=k < 2, probes=100 * (k + 1)) for k in range(4)]
    assert points(rows, "nist7x7", AXES["stuck"]) == [Point(0.0, 0.5, Quartiles(100, 200, math.inf))]


def test_rows_come_back_from_csv_in_the_order_of_the_study() -> None:
    rows = [row(0.3, 0, solved=False, probes=7), row(0.0, 1, solved=True, probes=5), row(0.0, 0, solved=True, probes=9)]
    assert from_csv(to_csv(rows), "table") == [rows[2], rows[1], rows[0]]


@pytest.mark.parametrize("text", ["garbage", "task,axis\n1,2\n", HEADER + "nist7x7,stuck,0.7,0,True,1,2,0.5\n", "\0"])
def test_another_table_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.csv: is no table of this study; move it away"):
        from_csv(text, "mine.csv")


def test_a_replica_is_the_same_whenever_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TASKS["nist7x7"]
    monkeypatch.setitem(TASKS, task.name, replace(task, uri=f"{task.uri}&engine=reference"))
    experiment = task.experiment
    monkeypatch.setitem(experiment, "training", {**experiment["training"], "probes": 1_500})
    job = Job("nist7x7", "mismatch", 0.2, 4)
    first = run(job)
    assert first == run(job)
    assert (first.probes, first.solved) == (1_500, False)


@pytest.mark.long
async def test_a_chip_that_decays_is_followed_twice_from_where_learning_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mgdhw.study.drift.CHIP", f"{CHIP}&engine=reference")  # compiling would take longer
    monkeypatch.setattr("mgdhw.study.drift.LEARNING", 5_000)
    monkeypatch.setattr("mgdhw.study.drift.TIME_CONSTANT", 10_000)
    heard: list[str] = []

    def tell(name: str, event: Evaluated) -> None:
        heard.append(name)

    found = await study(1.0, 0, tell)
    assert found.learning.steps == (0, 5_000)
    assert found.trained.steps == found.frozen.steps == (5_000, 10_000, 15_000)
    assert found.trained.accuracies[0] == found.frozen.accuracies[0] == found.learning.accuracies[-1]
    assert found.trained.accuracies != found.frozen.accuracies
    assert set(heard) == {"learning", "trained", "frozen"}
