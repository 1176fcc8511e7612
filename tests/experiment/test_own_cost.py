"""Costs of the user's own, on devices whose cost the host computes: what trains, what is kept, what is refused."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mgdhw
from mgdhw.arrays import FloatArray
from mgdhw.blocking import BlockingDevice
from mgdhw.costs import mean_squared_error
from mgdhw.device import Capability, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError
from mgdhw.experiment import own_cost
from mgdhw.experiment.load import check_experiment, load_experiment
from mgdhw.topology import Topology
from mgdhw.training.events import BlockDone, Event
from mgdhw.training.trainer import Trainer

EXPERIMENT: dict[str, Any] = {
    "name": "own",
    "data": {"name": "xor"},
    "training": {"probes": 400, "batch": 4, "tau_theta": 8, "init": "uniform"},
    "codes": {"delta": 0.02},
    "run": {"block": 10},
}
POWER = 1.5
INFO = DeviceInfo(
    "adder", "7", Topology(4), -2.0, 2.0, 0.001, 2, 1, "mse", 1.0, Capability.MEASURE | Capability.DETERMINISTIC
)


class Adder(HostCodes):
    """Its output is a sum of products of two inputs."""

    async def connect(self) -> None:
        self.info, self.theta = INFO, np.zeros(4)

    async def disconnect(self) -> None:
        self.theta = np.zeros(4)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.theta = np.round(theta / 0.001) * 0.001
        return self.theta

    async def infer(self, samples: NDArray[np.int64], step: int = 0) -> FloatArray:
        return outputs_of(self.theta, self.dataset.values(samples))


class BlockingAdder(BlockingDevice):
    """The same, by calls that block."""

    def start_up(self) -> None:
        self.info, self.theta = INFO, np.zeros(4)

    def shut_down(self) -> None:
        self.theta = np.zeros(4)

    def set_parameters(self, theta: FloatArray) -> FloatArray:
        self.theta = np.round(theta / 0.001) * 0.001
        return self.theta

    def read_outputs(self, inputs: FloatArray) -> FloatArray:
        return outputs_of(self.theta, inputs)


class Measuring(Adder):
    """It has a cost unit of its own."""

    async def measure(self, samples: NDArray[np.int64], step: int, part: Any) -> float:
        return 1.0


def outputs_of(theta: FloatArray, x: FloatArray) -> FloatArray:
    a, b, c, d = theta
    return np.asarray((a * x[:, :1] + b * x[:, 1:] + c * x[:, :1] * x[:, 1:] + d) / 2)


def steep(outputs: FloatArray, targets: FloatArray) -> FloatArray:
    return np.asarray((np.abs(outputs - targets) ** POWER).mean(axis=1))


def adder() -> Adder:
    return Adder("adder:7")


def train(**more: Any) -> mgdhw.Result:
    return mgdhw.train(EXPERIMENT, device=adder(), **{"runs": None, **more})


def stop_at(session: mgdhw.TrainingHandle, step: int) -> Any:
    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= step:
            session.stop()

    return listen


def test_it_is_what_trains_and_what_is_reported() -> None:
    device = adder()
    ours = mgdhw.train(EXPERIMENT, device=device, runs=None, cost=steep)
    others = train()
    assert device.own_cost is None, "lent for the training"
    assert not np.array_equal(ours.theta, others.theta)
    outputs = outputs_of(np.round(ours.theta / 0.001) * 0.001, np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]))
    assert ours.cost == pytest.approx(steep(outputs, np.array([[0], [1], [1], [0.0]])).mean())
    short: dict[str, Any] = {"runs": None, "cost": steep, "overrides": ["training.probes=48"]}
    blocking = mgdhw.train(EXPERIMENT, device=BlockingAdder("adder:7"), **short)
    assert blocking.digest == mgdhw.train(EXPERIMENT, device=adder(), **short).digest


def test_the_devices_own_cost_given_as_a_function_walks_the_same_way() -> None:
    """To the same parameters, bit for bit; the digest says that it was given."""
    ours, others = train(cost=mean_squared_error), train()
    assert np.array_equal(ours.theta, others.theta)
    assert ours.cost == others.cost
    assert ours.digest != others.digest


def test_the_digest_goes_with_what_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = train(cost=steep).digest
    assert train(cost=lambda y, t: steep(y, t)).digest == digest, "whatever it is called"
    assert train(cost=functools.partial(steep)).digest == digest
    monkeypatch.setitem(steep.__globals__, "POWER", 1.6)
    assert train(cost=steep).digest != digest, "a constant that it uses has changed"


def test_a_run_goes_on_with_the_same_cost_only(tmp_path: Path) -> None:
    whole, session = train(cost=steep), mgdhw.TrainingHandle()
    stopped = train(cost=steep, runs=tmp_path, session=session, listeners=[stop_at(session, 150)])
    assert stopped.reason == "stopped"
    assert stopped.run is not None
    kept = load_experiment(stopped.run / "experiment.toml")
    assert kept.cost is not None
    assert kept.cost.startswith(f"{__name__}.steep@")
    provenance = json.loads((stopped.run / "provenance.json").read_text())
    assert provenance["cost"]["name"] == f"{__name__}.steep"
    assert "** POWER).mean(axis=1)" in provenance["cost"]["source"]

    with pytest.raises(ConfigError, match=r"steep, which has to be given again: mgdhw\.train\(\.\.\., cost=steep\)"):
        mgdhw.train(resume=stopped.run, device=adder())
    with pytest.raises(ConfigError, match=r"is not the one that the experiment was made with, .*steep@"):
        mgdhw.train(resume=stopped.run, device=adder(), cost=mean_squared_error)
    resumed = mgdhw.train(resume=stopped.run, device=adder(), cost=steep)
    assert resumed.digest == whole.digest

    with pytest.raises(ConfigError, match="steep, which has to be given again"):
        mgdhw.evaluate(stopped.run, device=adder())
    evaluation = mgdhw.evaluate(stopped.run, device=adder(), cost=steep)
    assert evaluation.scores["train"].cost == whole.cost
    again = mgdhw.train(stopped.run / "experiment.toml", device=adder(), runs=None, cost=steep)
    assert again.digest == whole.digest, "what was kept can be repeated"


def test_a_run_with_the_devices_cost_does_not_go_on_with_another(tmp_path: Path) -> None:
    session = mgdhw.TrainingHandle()
    stopped = train(runs=tmp_path, session=session, listeners=[stop_at(session, 150)])
    assert stopped.run is not None
    with pytest.raises(ConfigError, match="the run began with the cost of its device; begin a new one with another"):
        mgdhw.train(resume=stopped.run, device=adder(), cost=steep)
    with pytest.raises(ConfigError, match="the run began with the cost of its device"):
        mgdhw.evaluate(stopped.run, device=adder(), cost=steep)


def test_replicas_have_it_too(tmp_path: Path) -> None:
    together = mgdhw.train_replicas(EXPERIMENT, device=adder(), replicas=2, runs=tmp_path, cost=steep)
    alone = mgdhw.train(EXPERIMENT, device=adder(), runs=None, cost=steep, overrides=["seed=1"])
    assert together.replicas[1].digest == alone.digest
    assert together.run is not None
    assert json.loads((together.run / "provenance.json").read_text())["cost"]["name"].endswith("steep")
    with pytest.raises(ConfigError, match="steep, which has to be given again"):
        mgdhw.train_replicas(resume=together.run, device=adder(), replicas=2)
    again = mgdhw.train_replicas(resume=together.run, device=adder(), replicas=2, cost=steep)
    assert again.digest == together.digest


@pytest.mark.parametrize(
    "device", ["sim:analog-8bit?layers=2-3-1&codes=host", Measuring("adder:7")], ids=["simulated", "own"]
)
def test_a_device_that_measures_its_cost_refuses(device: Any) -> None:
    with pytest.raises(ConfigError, match=r"measures its cost \(mse\) by itself, .* table of costs from its file"):
        mgdhw.train(EXPERIMENT, device=device, runs=None, cost=steep)


async def test_a_trainer_by_hand_wants_it_as_well() -> None:
    dataset = mgdhw.load_dataset("xor")
    experiment = own_cost.with_cost(check_experiment(EXPERIMENT, source="test"), steep, dataset)
    async with adder() as device:
        with pytest.raises(ConfigError, match="steep, which has to be given again"):
            Trainer(experiment, device, dataset)
        with own_cost.lent(device, steep):
            assert [event async for event in Trainer(experiment, device, dataset)]


WRONG: dict[str, tuple[Any, str]] = {
    "one number": (lambda y, t: np.square(y - t).mean(), r"answered an array of shape \(\) to 64 samples of 1"),
    "one for each output": (
        lambda y, t: y - t,
        r"shape \(64, 1\) .* expected one number for each sample, shape \(64,\)",
    ),
    "nothing": (lambda y, t: None, "answered"),
    "text": (lambda y, t: "cost", "answered a str to 64 samples"),
    "one that raises": (lambda y, t: y.nothing, "raises AttributeError for outputs of -4 ... 4: .*nothing"),
    "one of another mind": (lambda y, t: y[:, 0] * random.random(), "answers something else when asked for the same"),
}


@pytest.mark.parametrize(("cost", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_cost_is_refused_before_anything_moves(cost: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        train(cost=cost, runs=tmp_path)
    assert str(error.value).startswith(f"cost '{__name__}.<lambda>': ")
    assert list(tmp_path.iterdir()) == []


def test_a_cost_may_spoil_what_it_is_given_and_need_not_be_defined_everywhere() -> None:
    def spoiling(outputs: FloatArray, targets: FloatArray) -> FloatArray:
        outputs -= targets
        return np.asarray((outputs * np.log(np.abs(outputs) + 0.1)).mean(axis=1) + 1)

    assert np.isfinite(train(cost=spoiling).cost)


def test_a_cost_in_a_file_is_the_devices_matter() -> None:
    with pytest.raises(ConfigError, match=r"cost: expected the name and fingerprint .* \(got 'xent'\)"):
        check_experiment({"cost": "xent"}, source="mine.toml")
