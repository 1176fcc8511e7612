"""Studies: what is varied, what is kept, and what is made of it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

import mgdhw
from mgdhw.errors import ConfigError
from mgdhw.events import Evaluated
from mgdhw.outcome import Quartiles
from mgdhw.study.axes import AXES
from mgdhw.study.drift import CHIP, study
from mgdhw.study.own import own_experiment, own_task, remember
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


def test_a_replica_is_the_same_whenever_it_is_trained() -> None:
    task = TASKS["nist7x7"]
    training = {**task.experiment["training"], "probes": 1_500}
    task = replace(task, uri=f"{task.uri}&engine=reference", experiment={**task.experiment, "training": training})
    job = Job("nist7x7", "mismatch", 0.2, 4)
    first = run(job, task)
    assert first == run(job, task)
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
    assert (found.learned_at, found.time_constant) == (5_000, 10_000)


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
    assert AXES["stuck"].address(base, value, seed=3) == expected


def test_what_an_address_says_of_pulses_is_left(own: Path) -> None:
    assert "w_max=1&" in AXES["asymmetry"].address("sim:analog-8bit?w_max=1", 0.1, seed=1)


def test_an_own_task_is_the_experiment_on_its_chip(own: Path) -> None:
    task = own_task(own_experiment(own, None))
    assert (task.name, task.uri) == ("mine", "sim:analog-8bit?layers=2-3-1&engine=reference")
    on_another = own_task(own_experiment(own, "sim:pcm?layers=2-4-1"))
    assert on_another.uri == "sim:pcm?layers=2-4-1"
    trained = run(Job("mine", "stuck", 0.0, 2), task)
    alone = mgdhw.train(
        own, device="sim:analog-8bit?layers=2-3-1&seed=3&engine=reference", runs=None, overrides=["seed=7"]
    )
    assert (trained.probes, trained.accuracy) == (alone.probes, alone.accuracy)


def test_what_cannot_be_studied_is_said(own: Path) -> None:
    with pytest.raises(ConfigError, match="a study changes the imperfections of a simulated chip"):
        own_experiment(own, "tcp:localhost:5510")
    with pytest.raises(ConfigError, match=r"has 2 inputs and 1 outputs, .* has 64 and 10; give it layers=2-16-1"):
        own_task(own_experiment(own, "sim:pcm"))
    own.write_text(OWN.replace("stop_at_accuracy = 0.9", ""))
    with pytest.raises(ConfigError, match=r"evaluation\.stop_at_accuracy: a study measures the time until a target"):
        own_task(own_experiment(own, None))


def test_a_folder_is_of_one_study(own: Path, tmp_path: Path) -> None:
    file, task = tmp_path / "robustness.json", own_task(own_experiment(own, None))
    remember(file, [task])
    remember(file, [TASKS["digits"], task])
    other = replace(task, uri="sim:pcm?layers=2-3-1")
    with pytest.raises(ConfigError, match="the trainings of task mine there are of another chip or experiment"):
        remember(file, [other])
    remember(file, [replace(other, name="other"), task])
    chip = tmp_path / "chip.toml"
    chip.write_text("layers = [2, 3, 1]\n")
    of_file = replace(task, name="of a file", uri=f"sim:{chip}")
    remember(file, [of_file])
    chip.write_text("layers = [2, 3, 1]\nweight_bits = 7\n")
    with pytest.raises(ConfigError, match="the trainings of task of a file there are of another chip"):
        remember(file, [of_file])
    file.write_text("[1")
    with pytest.raises(ConfigError, match=r"robustness\.json: is not what a study has written"):
        remember(file, [task])


async def test_an_own_chip_is_followed_too(own: Path) -> None:
    given = own_experiment(own, "sim:analog-8bit?layers=2-3-1&retention=200&drift_every=10&engine=reference")
    found = await study(2.0, 0, lambda name, event: None, given)
    assert (found.learned_at, found.time_constant) == (200, 200)
    assert found.learning.steps == (0, 100, 200), "its target ends nothing"
    assert found.trained.steps == found.frozen.steps == (200, 300, 400, 500, 600)
    with pytest.raises(ConfigError, match="retention=0: expected the time constant of the cells' decay"):
        await study(2.0, 0, lambda name, event: None, own_experiment(own, "sim:analog-8bit?layers=2-3-1&retention=0"))
