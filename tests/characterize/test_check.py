"""The check of a device: its budget, what it recommends, and devices that cannot be trained."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Part
from mgdhw.characterize import MAX_EVALUATIONS, Characterization, check
from mgdhw.characterize.matching_dataset import matching_dataset
from mgdhw.datasets import load
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.experiment.load import parse_experiment, to_toml
from tests.characterize.toy import Toy, bench_of, bowl, checked

# --- the budget -------------------------------------------------------------------------------------------------------


def test_no_more_evaluations_than_allowed_and_all_are_counted() -> None:
    device = Toy(noise=0.01)
    reported: list[int] = []
    result = checked(device, watch=lambda activity, used: reported.append(used))
    assert device.measured == result.evaluations == reported[-1]
    assert 0.7 * MAX_EVALUATIONS < result.evaluations <= MAX_EVALUATIONS  # the rest is for when nothing has learnt
    assert reported == sorted(reported)


def test_what_a_link_loses_is_paid_for() -> None:
    device = Toy()
    device.failures = {100, 5000, 12000}
    result = checked(device)
    assert result.problem is None
    assert device.measured <= result.evaluations <= MAX_EVALUATIONS


def test_another_budget_is_kept_and_makes_longer_pilots() -> None:
    device = Toy(noise=0.01)
    result = checked(device, budget=12_000)
    assert device.measured == result.evaluations
    assert 0.7 * 12_000 < result.evaluations <= result.limit == 12_000
    longer = checked(Toy(noise=0.01), budget=24_000)
    assert 0.65 * 24_000 < longer.evaluations <= 24_000
    assert max(one.state.evaluations for one in longer.pilots) > 2 * max(one.state.evaluations for one in result.pilots)


@pytest.mark.parametrize("budget", [-1, 0, 9_999, 10**12])
def test_a_budget_for_which_no_check_can_be_had(budget: int) -> None:
    device = Toy()
    with pytest.raises(ConfigError, match=r"expected 10,000 to 1,000,000,000 \(default: 20,000\)"):
        checked(device, budget=budget)
    assert device.measured == 0


async def test_the_budget_is_enforced() -> None:
    device = Toy()
    bench = await bench_of(device, limit=100)
    await bench.measure_pairs(40, Baseline.EVERY)
    with pytest.raises(DeviceFault, match="budget of 100 evaluations ran out"):
        await bench.measure_pairs(20, Baseline.EVERY)
    assert device.measured == bench.used == 80


# --- what is recommended ----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_recommendation_trains() -> None:
    uri = "sim:analog-8bit?layers=49-4-4"

    async def run() -> Characterization:
        async with mgdhw.open_device(uri) as device:
            return await check(device, matching_dataset(device.info, uri))

    result = asyncio.run(run())
    assert result.recommendation is not None
    assert result.evaluations <= MAX_EVALUATIONS
    text = to_toml(result.recommendation.experiment)
    experiment = parse_experiment(
        text, source="test", overrides=["evaluation.stop_at_accuracy=0.9", "evaluation.every=640"]
    )
    assert experiment.optimizer.name == "adam"
    result = mgdhw.train(experiment, runs=None)
    assert result.reason == "target"
    assert result.evaluations < 10_000


@pytest.mark.long
def test_the_same_seed_gets_the_same_again_whoever_makes_the_codes() -> None:
    async def run(uri: str) -> dict[str, Any]:
        async with mgdhw.open_device(uri) as device:
            return (await check(device, load("xor"))).record()

    by_chip, by_host = (asyncio.run(run(f"sim:analog-8bit?layers=2-3-1&codes={who}")) for who in ("chip", "host"))
    for record in (by_chip, by_host):
        for key in ("device", "timing", "identity"):
            del record[key]
    assert by_chip == by_host


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_device_without_codes_and_converters(noise: float) -> None:
    result = checked(Toy(noise=noise))
    assert result.problem is None
    assert result.recommendation is not None
    assert result.recommendation.experiment.training.init == "uniform"
    assert result.recommendation.batch == 4
    assert min(pilot.cost for pilot in result.pilots) < 0.2 + noise  # bowl's floor is 0.1
    assert result.signal_to_noise is not None
    assert 0 < result.signal_to_noise <= 1
    assert (result.recommendation.delta > 2.0**-8) or noise == 0


def test_a_drifting_cost_does_not_mislead_the_pilots() -> None:
    result = checked(Toy(noise=0.003, drift=1e-4))
    assert result.recommendation is not None
    assert any("drifts" in reason for reason in result.recommendation.reasons)
    best = min(result.pilots, key=lambda pilot: pilot.cost)
    assert best.cost < best.curve[0][1] - 0.05  # though C₀ has risen by more than 1 meanwhile


def test_eta_hardly_depends_on_the_seed_of_the_check() -> None:
    etas = []
    for seed in range(4):
        advice = checked(Toy(noise=0.01), seed=seed, budget=10_000).recommendation
        assert advice is not None
        etas.append(advice.eta)
    assert max(etas) <= 2 * min(etas)


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 9])
def test_a_recommendation_is_no_worse_than_the_packaged_settings(number: int) -> None:
    """Two of the ten chips of bench_scripts/recommendations.py, one of them pulsed."""
    uri = {
        1: "seed=1&weight_bits=8&cost_noise=0.0266&read_noise=0.0144&neuron_std=0.0949&stuck=0.0156&settling=0.1",
        9: "seed=9&weight_bits=6&cost_noise=0.003&read_noise=0.06&neuron_std=0.08&w_max=4&w_min=-4&dw_min_std=0.5",
    }[number]
    uri = f"sim:analog-8bit?layers=49-4-4&{uri}"

    async def run() -> Characterization:
        async with mgdhw.open_device(uri) as device:
            return await check(device, load("nist7x7"))

    def accuracy(values: dict[str, Any], probes: int) -> float:
        training = values["training"] | {"probes": probes}
        values = values | {"seed": 1000, "device": {"uri": uri}, "training": training, "evaluation": {"every": probes}}
        return float(np.mean([one.accuracy for one in mgdhw.train_replicas(values, replicas=5, runs=None).replicas]))

    advice = asyncio.run(run()).recommendation
    assert advice is not None
    packaged = {
        "data": {"name": "nist7x7"},
        "training": {"batch": 4, "tau_theta": 50},
        "optimizer": {"name": "adam", "eta": 0.05},
        "schedule": {"name": "cosine", "final": 0.05},
    }
    ours = accuracy(advice.experiment.model_dump(mode="json", exclude_none=True), 32_768)
    assert ours >= accuracy(packaged, 16_000) - 0.02  # its baselines are measured for each probe


def test_one_parameter() -> None:
    result = checked(Toy(lambda theta: float((theta[0] - 0.7) ** 2) + 0.01, p=1))
    assert result.recommendation is not None
    assert min(pilot.cost for pilot in result.pilots) < 0.02


# --- whether anything is learnt ---------------------------------------------------------------------------------------


def test_where_nothing_learns_more_is_tried_and_then_it_is_said_plainly() -> None:
    """The cost falls, but never below that of a constant answer (0.25 on xor)."""
    result = checked(Toy(lambda theta: 0.4 + bowl(theta), noise=0.003))
    assert result.recommendation is None
    assert len(result.others) == 2  # larger perturbations, plain gradient descent
    assert 0.9 * MAX_EVALUATIONS < result.evaluations <= MAX_EVALUATIONS
    problem = str(result.problem)
    assert problem.startswith("no setting was found that learns within ")
    assert "(best constant output: cost 0.25, 50% correct)" in problem
    assert "--budget 200000" in problem
    assert min(pilot.cost for pilot in result.pilots) < 0.55  # a fall is no learning
    record = result.record()
    assert record["learning"]["seen"] is False
    assert len(record["others"]) == 2


# --- what cannot be trained -------------------------------------------------------------------------------------------


def test_a_dead_device() -> None:
    result = checked(Toy(lambda theta: 0.5))
    assert result.recommendation is None
    assert "its cost is constant (0.5)" in str(result.problem)
    assert result.evaluations < 5_000
    assert result.record()["recommendation"] is None


def test_a_cost_at_the_end_of_its_range() -> None:
    result = checked(Toy(lambda theta: min(0.25, 1 + bowl(theta))))
    assert "the cost is saturated" in str(result.problem)


def test_parameters_that_do_not_move() -> None:
    device = Toy()
    device.frozen = True
    assert "its parameters do not respond to writes" in str(checked(device).problem)


def test_noise_that_drowns_everything() -> None:
    assert "hidden in noise" in str(checked(Toy(noise=1e3)).problem)


def test_a_cost_that_is_not_a_number() -> None:
    with pytest.raises(DeviceFault, match=r"the cost of probe \d+ is not a number"):
        checked(Toy(lambda theta: float("nan")))


class Spiky(Toy):
    """A hundredth of its readings is fifty standard deviations off, and one is an overload."""

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        cost = await super().measure(samples, step, part)
        if self.measured == 100:
            return 9.9e37
        return cost + (50 * self.noise * samples.size if self.measured % 97 == 0 else 0.0)


def test_outliers_are_recommended_to_be_measured_again() -> None:
    result = checked(Spiky(noise=0.001))
    assert result.noise is not None
    assert 4 <= result.noise.outliers <= 12
    assert result.recommendation is not None
    assert result.recommendation.experiment.readings.outliers == "repeat"
    assert any("readings.outliers measures such probes again" in why for why in result.recommendation.reasons)
    assert result.record()["noise"]["outliers"] == result.noise.outliers


def test_a_device_that_no_dataset_fits() -> None:
    info = Toy().info
    assert matching_dataset(info, "toy:1").name == "xor"
    with pytest.raises(ConfigError, match=r"3 inputs and 7 outputs.*--data"):
        matching_dataset(_sized(info, 3, 7), "toy:1")
    assert matching_dataset(_sized(info, 5, 1), "toy:1").name == "parity-5"


def _sized(info: DeviceInfo, n_inputs: int, n_outputs: int) -> DeviceInfo:
    values = {name: getattr(info, name) for name in info.__slots__}
    return DeviceInfo(**{**values, "n_inputs": n_inputs, "n_outputs": n_outputs})


async def test_a_check_can_be_stopped_though_the_device_never_waits() -> None:
    class Slow(Toy):
        async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
            if self.measured == 200:
                task.cancel()  # as Ctrl-C does
            return await super().measure(samples, step, part)

    device = Slow()
    await device.open()
    task = asyncio.ensure_future(check(device, load("xor")))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert device.measured < MAX_EVALUATIONS
