"""Studies: what is varied, what is kept, and what is made of it."""

import math
from dataclasses import replace
from typing import Any

import pytest

from mgdhw.errors import ConfigError
from mgdhw.outcome import Quartiles
from mgdhw.study import drift
from mgdhw.study.axes import AXES
from mgdhw.study.intervals import Interval, of_share
from mgdhw.study.robustness import TASKS, Job, Row, from_csv, jobs, points, run, to_csv
from mgdhw_sim.address import parse


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("task", TASKS)
def test_every_strength_is_a_chip_and_no_two_are_the_same(task: str, axis: str) -> None:
    specs = [parse(AXES[axis].address(TASKS[task].uri, value, seed=3)) for value in AXES[axis].values]
    assert len({spec.identity() for spec in specs}) == len(specs)
    assert {spec.seed for spec in specs} == {3}


def test_every_strength_is_trained_once_for_each_replica() -> None:
    todo = jobs(["nist7x7"], {name: AXES[name].values for name in ("stuck", "drift")}, 3)
    assert len(todo) == len(set(todo)) == 3 * (len(AXES["stuck"].values) + len(AXES["drift"].values))
    assert [job.replica for job in todo] == sorted(job.replica for job in todo)


def test_some_strengths_come_with_the_first() -> None:
    assert AXES["weight-bits"].chosen("5,8") == (12, 8, 5)
    assert AXES["stuck"].chosen("0") == (0,)
    for text in ("0.07", "0.1,", "much"):
        with pytest.raises(
            ConfigError, match=f"--axis stuck={text}: expected some of 0,0.01,0.02,0.05,0.1,0.2,0.3, sep"
        ):
            AXES["stuck"].chosen(text)


HEADER = "task,axis,value,replica,solved,probes,evaluations,accuracy\n"


def row(value: float, replica: int, *, solved: bool, probes: int) -> Row:
    return Row("nist7x7", "stuck", value, replica, solved, probes, 2 * probes, 0.5)


def test_a_chip_that_does_not_learn_takes_for_ever() -> None:
    rows = [row(0.0, k, solved=k < 2, probes=100 * (k + 1)) for k in range(4)]
    (point,) = points(rows, "nist7x7", AXES["stuck"])
    assert (point.value, point.chips, point.learned, point.solved) == (0.0, 4, 2, 0.5)
    assert point.times == Quartiles(100, 200, math.inf)


def test_every_number_of_a_point_has_its_interval() -> None:
    rows = [row(0.0, k, solved=True, probes=100 * (k + 1)) for k in range(10)]
    rows += [row(0.3, k, solved=k != 4, probes=300 * (k + 1)) for k in range(10)]
    first, last = points(rows, "nist7x7", AXES["stuck"])
    assert (first.times.median, first.median) == (500, Interval(200, 900))
    assert (first.ratio, first.ratio_interval) == (1.0, Interval(1.0, 1.0))
    assert (last.times.median, last.median) == (1800, Interval(600, 3000))
    assert last.ratio == 3.6
    assert 3.0 <= last.ratio_interval.low < 3.6 < last.ratio_interval.high < math.inf
    assert last.solved_interval == of_share(9, 10)
    told = last.summary()
    assert told["chips"] == 10
    assert told["median_interval"] == [600, 3000]
    assert told["ratio_interval"] == [last.ratio_interval.low, last.ratio_interval.high]


def test_a_ratio_is_of_the_replicas_that_both_strengths_have() -> None:
    rows = [row(0.0, k, solved=True, probes=100) for k in range(8)]
    rows += [row(0.0, k, solved=True, probes=900) for k in range(8, 30)]
    rows += [row(0.3, k, solved=True, probes=200) for k in range(8)]
    assert points(rows, "nist7x7", AXES["stuck"])[1].ratio == 2.0


@pytest.mark.parametrize("task", TASKS)
def test_a_study_states_its_perturbation(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an experiment gets by default may be another one day; a study is repeated to the same bits."""
    given: list[dict[str, Any]] = []

    def check(values: dict[str, Any], source: str) -> None:
        given.append(values)
        raise ConfigError("enough")

    monkeypatch.setattr("mgdhw.config.check_experiment", check)
    with pytest.raises(ConfigError, match="enough"):
        run(Job(task, "mismatch", 0.2, 0))
    assert given[0]["codes"] == {"delta": 0.125}
    assert drift.experiment().codes.delta == 0.125


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
def test_a_chip_that_decays_is_followed_twice_from_where_learning_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "CHIP", f"{drift.CHIP}&engine=reference")  # compiling would take longer
    monkeypatch.setattr(drift, "LEARNING", 5_000)
    monkeypatch.setattr(drift, "TIME_CONSTANT", 10_000)
    rows = drift.run(drift.Job(0, 1.0))
    curves = {part: [one for one in rows if one.part == part] for part in drift.PARTS}
    learning, trained, frozen = (curves[part] for part in drift.PARTS)
    assert [one.step for one in learning] == [0, 5_000]
    assert [one.step for one in trained] == [one.step for one in frozen] == [5_000, 10_000, 15_000]
    assert trained[0].accuracy == frozen[0].accuracy == learning[-1].accuracy
    assert [one.accuracy for one in trained] != [one.accuracy for one in frozen]
    table = drift.to_csv(rows)
    assert drift.to_csv(drift.from_csv(table, "table", 1.0)) == table


def followed(seed: int, trained: list[float], frozen: float) -> list[drift.Row]:
    end = drift.end_of(1.0)
    return [
        drift.Row(seed, "learning", drift.LEARNING, 0.9),
        *[drift.Row(seed, "trained", end - 5_000 * k, one) for k, one in enumerate(trained[::-1])][::-1],
        drift.Row(seed, "frozen", end, frozen),
    ]


def test_what_came_of_every_chip_that_decays_is_told() -> None:
    rows = followed(1, [0.95, 0.85], 0.2) + followed(0, [0.91, 0.96], 0.1)
    expected = [drift.Outcome(0.9, 0.91, 0.96, 0.1), drift.Outcome(0.9, 0.85, 0.85, 0.2)]
    assert drift.outcomes(rows) == expected
    again = drift.from_csv(drift.to_csv(rows), "table", 1.0)
    assert [one.seed for one in again] == sorted(one.seed for one in rows)
    assert drift.outcomes(again) == expected
    assert drift.summary([0.1, 0.4, 0.2, 0.3, 0.6, 0.5]).interval == Interval(0.1, 0.6)


DRIFT_HEADER = "seed,part,step,accuracy\n"


@pytest.mark.parametrize(
    "text",
    ["garbage", "part,step,accuracy\n", DRIFT_HEADER + "0,asleep,1,0.5\n", DRIFT_HEADER + "0,frozen,1,0.5\n", "\0"],
)
def test_another_table_of_drift_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.csv: is no table of this study; move it away"):
        drift.from_csv(text, "mine.csv", 1.0)


def test_a_table_of_another_length_is_refused() -> None:
    table = drift.to_csv(followed(0, [0.9], 0.1))
    with pytest.raises(ConfigError, match=r"mine\.csv: its chips were followed for 1 time constants, not 10"):
        drift.from_csv(table, "mine.csv", 10.0)


def test_every_chip_that_decays_is_another() -> None:
    chips = [parse(drift.experiment(seed).device.uri) for seed in (0, 1)]
    assert [chip.seed for chip in chips] == [0, 1]
