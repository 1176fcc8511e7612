"""Studies: what is varied, what is kept, and what is made of it."""

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.errors import ConfigError
from mgdhw.study import drift
from mgdhw.study.intervals import Interval, of_share
from mgdhw.study.robustness import TASKS, Job, Row, from_csv, jobs, points, run, to_csv
from mgdhw.study.swept_parameters import SWEEPS
from mgdhw.study.user_experiments import on_device, record_tasks, user_experiment, user_task
from mgdhw.training.results import Quartiles
from mgdhw_sim.uri import parse


@pytest.mark.parametrize("axis", SWEEPS)
@pytest.mark.parametrize("task", TASKS)
def test_every_strength_is_a_chip_and_no_two_are_the_same(task: str, axis: str) -> None:
    specs = [parse(SWEEPS[axis].address(TASKS[task].uri, value, seed=3)) for value in SWEEPS[axis].values]
    assert len({spec.identity() for spec in specs}) == len(specs)
    assert {spec.seed for spec in specs} == {3}


def test_every_strength_is_trained_once_for_each_replica() -> None:
    todo = jobs(["nist7x7"], {name: SWEEPS[name].values for name in ("stuck", "drift")}, 3)
    assert len(todo) == len(set(todo)) == 3 * (len(SWEEPS["stuck"].values) + len(SWEEPS["drift"].values))
    assert [job.replica for job in todo] == sorted(job.replica for job in todo)


def test_some_strengths_come_with_the_first() -> None:
    assert SWEEPS["weight-bits"].chosen("5,8") == (12, 8, 5)
    assert SWEEPS["stuck"].chosen("0") == (0,)
    for text in ("0.07", "0.1,", "much"):
        with pytest.raises(
            ConfigError, match=f"--axis stuck={text}: expected values from 0,0.01,0.02,0.05,0.1,0.2,0.3, sep"
        ):
            SWEEPS["stuck"].chosen(text)


HEADER = "task,axis,value,replica,solved,probes,evaluations,accuracy\n"


def row(value: float, replica: int, *, solved: bool, probes: int) -> Row:
    return Row("nist7x7", "stuck", value, replica, solved, probes, 2 * probes, 0.5)


def test_a_chip_that_does_not_learn_takes_for_ever() -> None:
    rows = [row(0.0, k, solved=k < 2, probes=100 * (k + 1)) for k in range(4)]
    (point,) = points(rows, "nist7x7", SWEEPS["stuck"])
    assert (point.value, point.chips, point.learned, point.solved) == (0.0, 4, 2, 0.5)
    assert point.times == Quartiles(100, 200, math.inf)


def test_every_number_of_a_point_has_its_interval() -> None:
    rows = [row(0.0, k, solved=True, probes=100 * (k + 1)) for k in range(10)]
    rows += [row(0.3, k, solved=k != 4, probes=300 * (k + 1)) for k in range(10)]
    first, last = points(rows, "nist7x7", SWEEPS["stuck"])
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
    assert points(rows, "nist7x7", SWEEPS["stuck"])[1].ratio == 2.0


@pytest.mark.parametrize("task", TASKS)
def test_a_study_states_its_perturbation(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an experiment gets by default may be another one day; a study is repeated to the same bits."""
    given: list[dict[str, Any]] = []

    def check(values: dict[str, Any], source: str) -> None:
        given.append(values)
        raise ConfigError("enough")

    monkeypatch.setattr("mgdhw.experiment.load.check_experiment", check)
    with pytest.raises(ConfigError, match="enough"):
        run(Job(task, "mismatch", 0.2, 0), TASKS[task])
    assert given[0]["codes"] == {"delta": 0.125}
    assert drift.experiment().codes.delta == 0.125


def test_rows_come_back_from_csv_in_the_order_of_the_study() -> None:
    rows = [row(0.3, 0, solved=False, probes=7), row(0.0, 1, solved=True, probes=5), row(0.0, 0, solved=True, probes=9)]
    assert from_csv(to_csv(rows), "table") == [rows[2], rows[1], rows[0]]


@pytest.mark.parametrize("text", ["garbage", "task,axis\n1,2\n", HEADER + "nist7x7,stuck,0.7,0,True,1,2,0.5\n", "\0"])
def test_another_table_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.csv: is not a table of this study; move it"):
        from_csv(text, "mine.csv")


def test_a_replica_is_the_same_whenever_it_is_trained() -> None:
    task = TASKS["nist7x7"]
    training = {**task.experiment["training"], "probes": 1_500}
    task = replace(task, uri=f"{task.uri}&engine=reference", experiment={**task.experiment, "training": training})
    job = Job("nist7x7", "mismatch", 0.2, 4)
    first = run(job, task)
    assert first == run(job, task)
    assert (first.probes, first.solved) == (1_500, False)


@pytest.mark.long
def test_a_chip_that_decays_is_followed_twice_from_where_learning_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "CHIP", f"{drift.CHIP}&engine=reference")  # compiling would take longer
    monkeypatch.setattr(drift, "LEARNING", 5_000)
    monkeypatch.setattr(drift, "TIME_CONSTANT", 10_000)
    rows = drift.run(drift.protocol(1.0), 0)
    curves = {part: [one for one in rows if one.part == part] for part in drift.PHASES}
    learning, trained, frozen = (curves[part] for part in drift.PHASES)
    assert [one.step for one in learning] == [0, 5_000]
    assert [one.step for one in trained] == [one.step for one in frozen] == [5_000, 10_000, 15_000]
    assert trained[0].accuracy == frozen[0].accuracy == learning[-1].accuracy
    assert [one.accuracy for one in trained] != [one.accuracy for one in frozen]
    table = drift.to_csv(rows)
    assert drift.to_csv(drift.from_csv(table, "table")) == table


def followed(seed: int, trained: list[float], frozen: float) -> list[drift.Row]:
    end = drift.protocol(1.0).ends_at
    return [
        drift.Row(seed, "learning", drift.LEARNING, 0.9),
        *[drift.Row(seed, "trained", end - 5_000 * k, one) for k, one in enumerate(trained[::-1])][::-1],
        drift.Row(seed, "frozen", end, frozen),
    ]


def test_what_came_of_every_chip_that_decays_is_told() -> None:
    rows = followed(1, [0.95, 0.85], 0.2) + followed(0, [0.91, 0.96], 0.1)
    expected = [drift.Outcome(0.9, 0.91, 0.96, 0.1), drift.Outcome(0.9, 0.85, 0.85, 0.2)]
    assert drift.outcomes(rows) == expected
    again = drift.from_csv(drift.to_csv(rows), "table")
    assert [one.seed for one in again] == sorted(one.seed for one in rows)
    assert drift.outcomes(again) == expected
    assert drift.summary([0.1, 0.4, 0.2, 0.3, 0.6, 0.5]).interval == Interval(0.1, 0.6)


DRIFT_HEADER = "seed,part,step,accuracy\n"


@pytest.mark.parametrize(
    "text",
    ["garbage", "part,step,accuracy\n", DRIFT_HEADER + "0,asleep,1,0.5\n", DRIFT_HEADER + "0,frozen,1,0.5\n", "\0"],
)
def test_another_table_of_drift_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.csv: is not a table of this study; move it"):
        drift.from_csv(text, "mine.csv")


def test_a_table_of_another_length_is_refused() -> None:
    rows = followed(0, [0.9], 0.1)
    drift.check_length(rows, drift.protocol(1.0), "mine.csv")
    with pytest.raises(ConfigError, match=r"mine\.csv: its chips were followed for 1 time constants, not 10"):
        drift.check_length(rows, drift.protocol(10.0), "mine.csv")


def test_every_chip_that_decays_is_another() -> None:
    protocol = drift.protocol()
    given = [protocol.of(seed) for seed in (0, 1)]
    assert [one.seed for one in given] == [0, 1]
    assert [parse(one.device.uri).seed for one in given] == [0, 1]


# --- a chip and an experiment of one's own ----------------------------------------------------------------------------

OWN = """
name = "mine"
seed = 5
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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    return file


@pytest.mark.parametrize(
    ("base", "value", "expected"),
    [
        ("sim:pcm", 0.1, "sim:pcm?seed=3&stuck=0.1"),
        ("sim:pcm?layers=2-3-1", 0, "sim:pcm?layers=2-3-1&seed=3&stuck=0"),
        ("sim:pcm?stuck=0.5&seed=9", 0.1, "sim:pcm?stuck=0.1&seed=3"),
        ("sim:/a b/mine.toml?layers=2-3-1", 0.1, "sim:/a b/mine.toml?layers=2-3-1&seed=3&stuck=0.1"),
    ],
)
def test_an_address_gets_each_option_once(base: str, value: float, expected: str) -> None:
    assert SWEEPS["stuck"].address(base, value, seed=3) == expected


def test_what_an_address_says_of_pulses_is_left(own: Path) -> None:
    assert "w_max=1&" in SWEEPS["asymmetry"].address("sim:analog-8bit?w_max=1", 0.1, seed=1)


def test_an_own_task_is_the_experiment_on_its_chip(own: Path) -> None:
    task = user_task(user_experiment(own, None))
    assert (task.name, task.uri) == ("mine", "sim:analog-8bit?layers=2-3-1&engine=reference")
    on_another = user_task(user_experiment(own, "sim:pcm?layers=2-4-1"))
    assert on_another.uri == "sim:pcm?layers=2-4-1"
    trained = run(Job("mine", "stuck", 0.0, 2), pickle.loads(pickle.dumps(task)))
    alone = mgdhw.train(
        own, device="sim:analog-8bit?layers=2-3-1&seed=3&engine=reference", runs=None, overrides=["seed=7"]
    )
    assert (trained.probes, trained.accuracy) == (alone.probes, alone.accuracy)


def test_what_cannot_be_studied_is_said(own: Path) -> None:
    with pytest.raises(ConfigError, match="studies need a simulated chip"):
        user_experiment(own, "tcp:localhost:5510")
    with pytest.raises(ConfigError, match=r"has 2 inputs and 1 outputs, .* has 64 and 10; use layers=2-16-1"):
        user_task(user_experiment(own, "sim:pcm"))
    own.write_text(OWN.replace("stop_at_accuracy = 0.9", ""))
    with pytest.raises(ConfigError, match=r"evaluation\.stop_at_accuracy: studies measure the time to reach a target"):
        user_task(user_experiment(own, None))


def test_a_folder_is_of_one_study(own: Path, tmp_path: Path) -> None:
    file, task = tmp_path / "robustness.json", user_task(user_experiment(own, None))
    record_tasks(file, [task], [], [])
    record_tasks(file, [TASKS["digits"], task], {"mine"}, [])
    other = replace(task, uri="sim:pcm?layers=2-3-1")
    with pytest.raises(ConfigError, match="its trainings of task mine are of a different chip or experiment"):
        record_tasks(file, [other], {"mine", "digits"}, [])
    record_tasks(file, [replace(other, name="other"), task], {"mine"}, [])
    record_tasks(file, [other], {"other"}, [])  # there are no trainings of the one of before
    with pytest.raises(ConfigError, match="its trainings of task mine are of a different chip or experiment"):
        record_tasks(file, [task], {"mine"}, [])
    chip = tmp_path / "chip.toml"
    chip.write_text("layers = [2, 3, 1]\n")
    of_file = replace(task, name="of a file", uri=f"sim:{chip}")
    record_tasks(file, [of_file], [], [])
    chip.write_text("layers = [2, 3, 1]\nweight_bits = 7\n")
    with pytest.raises(ConfigError, match="its trainings of task of a file are of a different chip"):
        record_tasks(file, [of_file], {"of a file"}, [])
    file.write_text("[1")
    with pytest.raises(ConfigError, match=r"robustness\.json: was not written by a study"):
        record_tasks(file, [task], [], [])


def test_a_table_that_came_alone_is_of_the_studys_own_chips(own: Path, tmp_path: Path) -> None:
    file, digits = tmp_path / "robustness.json", TASKS["digits"]
    with pytest.raises(ConfigError, match="its trainings of task digits are of a different chip or experiment"):
        record_tasks(file, [replace(digits, uri="sim:pcm?layers=64-16-10")], {"digits"}, TASKS.values())
    record_tasks(file, [digits], {"digits"}, TASKS.values())
    record_tasks(tmp_path / "new.json", [replace(digits, uri="sim:pcm?layers=64-16-10")], [], TASKS.values())


def test_an_own_chip_is_followed_too(own: Path) -> None:
    given = user_experiment(own, "sim:analog-8bit?layers=2-3-1&retention=200&drift_every=10&engine=reference")
    protocol = drift.protocol(2.0, given)
    assert (protocol.learned_at, protocol.time_constant, protocol.ends_at, protocol.split) == (200, 200.0, 600, "train")
    rows = drift.run(pickle.loads(pickle.dumps(protocol)), 1)  # as a worker gets it
    steps = {part: [one.step for one in rows if one.part == part] for part in drift.PHASES}
    assert steps["learning"] == [0, 100, 200], "its target ends nothing"
    assert steps["trained"] == steps["frozen"] == [200, 300, 400, 500, 600]
    assert {one.seed for one in rows} == {1}
    drift.check_length(rows, protocol, "table")
    assert drift.to_csv(drift.from_csv(drift.to_csv(rows), "table")) == drift.to_csv(rows)
    assert protocol.of(1).seed == 5 + 1
    assert parse(protocol.of(1).device.uri).seed == 1


def test_what_cannot_be_followed_is_said(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="retention=0: expected the time constant of the cells' decay"):
        drift.protocol(2.0, user_experiment(own, "sim:analog-8bit?layers=2-3-1&retention=0"))
    with pytest.raises(
        ConfigError, match=r"'digits' has 64 inputs and 10 outputs, sim:pcm\?layers=2-3-1.* has 2 and 1"
    ):
        drift.protocol(2.0, on_device(drift.experiment(), "sim:pcm?layers=2-3-1"))
    np.savez(tmp_path / "curve.npz", x=np.eye(2), y=np.array([0.25, 0.5]))
    own.write_text(OWN.replace('"xor"', '"npz:curve.npz"'))
    with pytest.raises(ConfigError, match=r"data\.name: the drift study needs accuracies, .* \(regression\)"):
        drift.protocol(2.0, user_experiment(own, None))


def test_inputs_of_a_chip_that_decays_are_scaled_as_the_experiment_says(own: Path, tmp_path: Path) -> None:
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "large.npz", x=200 * x, y=y)
    np.savez(tmp_path / "fit.npz", x=x.astype(np.float64), y=y)
    chip = "sim:analog-8bit?layers=2-3-2&retention=200&engine=reference"
    tables = []
    for name, scale in (("large", "minmax"), ("fit", "none")):
        own.write_text(OWN.replace('"xor"', f'"npz:{name}.npz"\nscale = "{scale}"'))
        tables.append(drift.run(drift.protocol(1.0, user_experiment(own, chip)), 0))
    assert tables[0] == tables[1]
