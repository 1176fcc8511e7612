"""The check of a device: on devices whose answers are known, and on those that cannot be trained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Part
from mgdhw.characterize import MAX_EVALUATIONS, Characterization, check, fitting_dataset
from mgdhw.characterize.bench import Bench
from mgdhw.characterize.noise import measure_noise
from mgdhw.characterize.response import measure_response
from mgdhw.characterize.slope import measure_slope
from mgdhw.datasets import load
from mgdhw.device import Capability, DeviceInfo
from mgdhw.errors import ConfigError, DeviceFault, LinkTimeout
from mgdhw.experiment.schema import parse_experiment, to_toml
from mgdhw.testing import FunctionDevice

Cost = Callable[[FloatArray], float]

TARGET = np.array([0.4, -0.3, 0.2])
BEND = np.array([1.0, 2.0, 0.5])


def bowl(theta: FloatArray) -> float:
    """½ Σ BEND (θ - TARGET)²: gradient and Hessian are known everywhere."""
    return float((BEND * (theta - TARGET) ** 2).sum() / 2) + 0.1


class Toy(FunctionDevice):
    """A device whose cost is a function of θ, which may drift, settle slowly, stop obeying, and fail.

    Args:
        drift: of the cost, from one measurement to the next.
        settling: share of the cost before that is still in a measurement.
    """

    def __init__(
        self, cost: Cost = bowl, *, p: int = 3, noise: float = 0.0, drift: float = 0.0, settling: float = 0.0
    ) -> None:
        super().__init__(cost, p, uri="toy:1", lsb=2.0**-8, noise=noise, seed=7)
        self.info = replace(self.info, capabilities=Capability.MEASURE)
        self.drift, self.settling = drift, settling
        self.output = 0.0
        self.measured = 0
        self.frozen = False
        self.failures: set[int] = set()

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await self.read() if self.frozen else await super().apply(theta, step)

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.measured += 1
        return await super().infer(samples, step)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.measured += 1
        if self.measured in self.failures:
            raise LinkTimeout("no answer", uri=self.uri)
        cost = await super().measure(samples, step, part) / samples.size
        self.output += (1 - self.settling) * (cost - self.output)
        return samples.size * (self.output + self.drift * self.measured)


def checked(device: Toy, **options: Any) -> Characterization:
    async def run() -> Characterization:
        async with device:
            return await check(device, load("xor"), **options)

    return asyncio.run(run())


async def bench_of(device: Toy, limit: int = MAX_EVALUATIONS) -> Bench:
    await device.open()
    return Bench(device, load("xor"), 3, limit, lambda doing, used: None)


# --- the budget -----------------------------------------------------------------------------------------------------


def test_no_more_evaluations_than_allowed_and_all_are_counted() -> None:
    device = Toy(noise=0.01)
    told: list[int] = []
    findings = checked(device, watch=lambda doing, used: told.append(used))
    assert device.measured == findings.evaluations == told[-1]
    assert 0.7 * MAX_EVALUATIONS < findings.evaluations <= MAX_EVALUATIONS  # the rest is for when nothing has learnt
    assert told == sorted(told)


def test_what_a_link_loses_is_paid_for() -> None:
    device = Toy()
    device.failures = {100, 5000, 12000}
    findings = checked(device)
    assert findings.problem is None
    assert device.measured <= findings.evaluations <= MAX_EVALUATIONS


def test_another_budget_is_kept_and_makes_longer_pilots() -> None:
    device = Toy(noise=0.01)
    findings = checked(device, budget=12_000)
    assert device.measured == findings.evaluations
    assert 0.7 * 12_000 < findings.evaluations <= findings.limit == 12_000
    longer = checked(Toy(noise=0.01), budget=24_000)
    assert 0.65 * 24_000 < longer.evaluations <= 24_000
    assert max(one.state.evaluations for one in longer.pilots) > 2 * max(
        one.state.evaluations for one in findings.pilots
    )


@pytest.mark.parametrize("budget", [-1, 0, 9_999, 10**12])
def test_a_budget_for_which_no_check_can_be_had(budget: int) -> None:
    device = Toy()
    with pytest.raises(ConfigError, match=r"expected 10,000 \.\.\. 1,000,000,000; 20,000 is what a check takes"):
        checked(device, budget=budget)
    assert device.measured == 0


async def test_the_budget_is_enforced() -> None:
    device = Toy()
    bench = await bench_of(device, limit=100)
    await bench.pairs(40, Baseline.EVERY)
    with pytest.raises(DeviceFault, match="budget of 100 evaluations is spent"):
        await bench.pairs(20, Baseline.EVERY)
    assert device.measured == bench.used == 80


# --- what is measured, against what is known ------------------------------------------------------------------------


async def test_noise_is_told_from_drift() -> None:
    still = await measure_noise(await bench_of(Toy(noise=0.02)), 4)
    assert still.sigma == pytest.approx(0.02, rel=0.15)
    assert still.sigma_single == pytest.approx(0.02, rel=0.3)
    assert still.variance(4) == pytest.approx(0.02**2, rel=0.4)
    assert not still.drifts
    device = Toy(noise=0.02, drift=1e-3)
    drifting = await measure_noise(await bench_of(device), 4)
    assert drifting.drifts
    assert drifting.sigma == pytest.approx(0.02, rel=0.15)
    assert drifting.slope == pytest.approx(2e-3, rel=0.05)  # each of these probes takes two measurements


@pytest.mark.parametrize("noise", [0.0, 0.003])
async def test_outputs_that_have_not_settled_are_suspected(noise: float) -> None:
    for settling in (0.05, 0.3):
        found = await measure_noise(await bench_of(Toy(noise=noise, settling=settling)), 4)
        assert found.unsettled
        assert found.carries
        assert found.carried == pytest.approx(settling, rel=0.3)
    for quiet in (Toy(noise=noise), Toy(noise=noise, drift=1e-3)):
        found = await measure_noise(await bench_of(quiet), 4)
        assert not found.unsettled


@pytest.mark.parametrize(("settling", "suspected"), [(0.3, True), (0.0, False)])
async def test_a_chip_whose_noise_on_four_samples_exceeds_that_on_one(settling: float, suspected: bool) -> None:
    uri = f"sim:analog-8bit?layers=2-3-1&engine=reference&settling={settling}&cost_noise=0.0002"
    async with mgdhw.open_device(uri) as device:
        await device.load(load("xor"))
        bench = Bench(device, load("xor"), 0, 5000, lambda doing, used: None)
        await bench.write(np.linspace(-1, 1, 13))
        found = await measure_noise(bench, 4)
    assert found.unsettled is suspected


@pytest.mark.long
async def test_a_deterministic_device_has_no_noise_but_that_of_rounding() -> None:
    async with mgdhw.open_device("sim:analog-8bit?layers=2-3-1") as device:
        await device.load(load("xor"))
        noise = await measure_noise(Bench(device, load("xor"), 0, 5000, lambda doing, used: None), 4)
    assert (noise.sigma, noise.slope, noise.drifts) == (0.0, 0.0, False)
    assert noise.variance(4) == pytest.approx(device.info.cost_lsb**2 / 48)


async def test_gradient_and_curvature_of_a_bowl() -> None:
    """Along random signs the mean squared slope is |g|², the mean curvature tr(H); both are known of a bowl."""
    device = Toy()
    bench = await bench_of(device)
    noise = await measure_noise(bench, 4)
    response, around = await measure_response(bench, np.full(3, 0.125), noise)
    gradient = BEND * (around - TARGET)
    assert response.slope_power == pytest.approx(float(np.square(gradient).sum()), rel=0.35)  # 64 directions
    assert response.trace == pytest.approx(float(BEND.sum()), rel=1e-6)
    np.testing.assert_allclose(response.kept, 1.0)
    assert (np.diff(response.linearity) < 0).all()
    slope = await measure_slope(bench, around, 1, 4)
    assert slope.best is not None
    along = float(gradient @ gradient / (gradient @ (BEND * gradient)))
    assert slope.best[0] == pytest.approx(along, rel=0.5)  # steps are powers of two
    np.testing.assert_array_equal(device.theta, around)


async def test_noise_below_and_curvature_above_bound_the_usable_range() -> None:
    bench = await bench_of(Toy(noise=0.003))
    noise = await measure_noise(bench, 4)
    response, _ = await measure_response(bench, np.array([0.3, -0.2, 0.1]), noise)
    assert response.usable is not None
    low, high = response.usable
    best = response.deltas[np.argmax(response.quality_held)]
    assert response.deltas[0] < low <= best <= high
    assert response.quality_held[0] < 0.5 * response.quality_held.max() > response.quality_held[-1]


def test_saturation_is_seen_where_the_odd_part_stops_growing() -> None:
    async def run() -> FloatArray:
        bench = await bench_of(Toy(lambda theta: 1 + float(np.tanh(6 * theta.sum()))))
        noise = await measure_noise(bench, 4)
        response, _ = await measure_response(bench, np.zeros(3), noise)
        return response.kept

    kept = asyncio.run(run())
    assert kept[0] == pytest.approx(1.0)
    assert kept[-1] < 0.5


# --- what is recommended --------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_recommendation_trains() -> None:
    uri = "sim:analog-8bit?layers=49-4-4"

    async def run() -> Characterization:
        async with mgdhw.open_device(uri) as device:
            return await check(device, fitting_dataset(device.info, uri))

    findings = asyncio.run(run())
    assert findings.recommendation is not None
    assert findings.evaluations <= MAX_EVALUATIONS
    text = to_toml(findings.recommendation.experiment)
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
    findings = checked(Toy(noise=noise))
    assert findings.problem is None
    assert findings.recommendation is not None
    assert findings.recommendation.experiment.training.init == "uniform"
    assert findings.recommendation.batch == 4
    assert min(pilot.cost for pilot in findings.pilots) < 0.2 + noise  # bowl's floor is 0.1
    assert findings.signal_to_noise is not None
    assert 0 < findings.signal_to_noise <= 1
    assert (findings.recommendation.delta > 2.0**-8) or noise == 0


def test_a_drifting_cost_does_not_mislead_the_pilots() -> None:
    findings = checked(Toy(noise=0.003, drift=1e-4))
    assert findings.recommendation is not None
    assert any("drifts" in reason for reason in findings.recommendation.reasons)
    best = min(findings.pilots, key=lambda pilot: pilot.cost)
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
        return float(np.mean([one.accuracy for one in mgdhw.train(values, replicas=5, runs=None).replicas]))

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
    findings = checked(Toy(lambda theta: float((theta[0] - 0.7) ** 2) + 0.01, p=1))
    assert findings.recommendation is not None
    assert min(pilot.cost for pilot in findings.pilots) < 0.02


# --- whether anything is learnt -------------------------------------------------------------------------------------


def test_where_nothing_learns_more_is_tried_and_then_it_is_said_plainly() -> None:
    """The cost falls, but never below that of a constant answer (0.25 on xor)."""
    findings = checked(Toy(lambda theta: 0.4 + bowl(theta), noise=0.003))
    assert findings.recommendation is None
    assert len(findings.others) == 2  # larger perturbations, plain gradient descent
    assert 0.9 * MAX_EVALUATIONS < findings.evaluations <= MAX_EVALUATIONS
    problem = str(findings.problem)
    assert problem.startswith("nothing was found that learns within ")
    assert "where the best constant answer has 0.25 and 50%" in problem
    assert "--budget 200000" in problem
    assert min(pilot.cost for pilot in findings.pilots) < 0.55  # a fall is no learning
    record = findings.record()
    assert record["learning"]["seen"] is False
    assert len(record["others"]) == 2


# --- what cannot be trained -----------------------------------------------------------------------------------------


def test_a_dead_device() -> None:
    findings = checked(Toy(lambda theta: 0.5))
    assert findings.recommendation is None
    assert "its cost is 0.5 whatever is done to the parameters" in str(findings.problem)
    assert findings.evaluations < 5_000
    assert findings.record()["recommendation"] is None


def test_a_cost_at_the_end_of_its_range() -> None:
    findings = checked(Toy(lambda theta: min(0.25, 1 + bowl(theta))))
    assert "stuck at an end of its converter's range" in str(findings.problem)


def test_parameters_that_do_not_move() -> None:
    device = Toy()
    device.frozen = True
    assert "its parameters do not move" in str(checked(device).problem)


def test_noise_that_drowns_everything() -> None:
    assert "cannot be told from noise" in str(checked(Toy(noise=1e3)).problem)


def test_a_cost_that_is_not_a_number() -> None:
    with pytest.raises(DeviceFault, match="a cost is not a number while timing blocks"):
        checked(Toy(lambda theta: float("nan")))


def test_a_device_that_no_dataset_fits() -> None:
    info = Toy().info
    assert fitting_dataset(info, "toy:1").name == "xor"
    with pytest.raises(ConfigError, match=r"3 inputs and 7 outputs.*--data"):
        fitting_dataset(_sized(info, 3, 7), "toy:1")
    assert fitting_dataset(_sized(info, 5, 1), "toy:1").name == "parity-5"


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
