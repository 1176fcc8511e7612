"""The check of a device: on devices whose answers are known, and on those that cannot be trained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Part
from mgdhw.characterize import MAX_EVALUATIONS, Characterization, check, matching_dataset
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.line_search import measure_line_search
from mgdhw.characterize.noise import measure_noise
from mgdhw.characterize.response import measure_response
from mgdhw.datasets import load
from mgdhw.device import Capability, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceFault, LinkTimeout
from mgdhw.experiment.schema import parse_experiment, to_toml
from mgdhw.topology import Topology

Cost = Callable[[FloatArray], float]

TARGET = np.array([0.4, -0.3, 0.2])
BEND = np.array([1.0, 2.0, 0.5])


def bowl(theta: FloatArray) -> float:
    """½ Σ BEND (θ - TARGET)²: gradient and Hessian are known everywhere."""
    return float((BEND * (theta - TARGET) ** 2).sum() / 2) + 0.1


class Toy(HostCodes):
    """A device without codes whose cost is a function of θ, the same for every sample."""

    def __init__(
        self, cost: Cost = bowl, *, p: int = 3, noise: float = 0.0, drift: float = 0.0, settling: float = 0.0
    ) -> None:
        super().__init__("toy:1")
        self.cost, self.noise, self.drift, self.settling = cost, noise, drift, settling
        self.output = 0.0
        self.random = np.random.default_rng(7)
        self.measured = 0
        self.frozen = False
        self.failures: set[int] = set()
        self.theta = np.zeros(p)
        self.info = DeviceInfo(
            model="toy",
            identity="1",
            topology=Topology(p),
            theta_min=-2.0,
            theta_max=2.0,
            theta_lsb=2.0**-8,
            n_inputs=2,
            n_outputs=1,
            cost_kind="mse",
            cost_lsb=1.0,
            capabilities=Capability.MEASURE,
        )

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...

    async def load(self, dataset: Any) -> None: ...

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if not self.frozen:
            self.theta = theta.copy()
        return await self.read()

    async def read(self) -> FloatArray:
        return self.theta.copy()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        """Off by as much as the cost says."""
        self.measured += 1
        return load("xor").targets[samples] + np.sqrt(max(0.0, self.cost(self.theta)))

    async def measure(self, samples: IntArray, step: int, part: Part) -> float:
        self.measured += 1
        if self.measured in self.failures:
            raise LinkTimeout("no answer", uri=self.uri)
        noise = self.noise * float(self.random.standard_normal())
        cost = self.cost(self.theta)
        self.output += (1 - self.settling) * (cost - self.output)
        return samples.size * (self.output + noise + self.drift * self.measured)


def checked(device: Toy, **options: Any) -> Characterization:
    async def run() -> Characterization:
        async with device:
            return await check(device, load("xor"), **options)

    return asyncio.run(run())


async def bench_of(device: Toy, limit: int = MAX_EVALUATIONS) -> BudgetedDevice:
    await device.open()
    return BudgetedDevice(device, load("xor"), 3, limit, lambda activity, used: None)


# --- the budget -----------------------------------------------------------------------------------------------------


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
    assert drifting.drift_rate == pytest.approx(2e-3, rel=0.05)  # each of these probes takes two measurements


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
        bench = BudgetedDevice(device, load("xor"), 0, 5000, lambda activity, used: None)
        await bench.write(np.linspace(-1, 1, 13))
        found = await measure_noise(bench, 4)
    assert found.unsettled is suspected


@pytest.mark.long
async def test_a_deterministic_device_has_no_noise_but_that_of_rounding() -> None:
    async with mgdhw.open_device("sim:analog-8bit?layers=2-3-1") as device:
        await device.load(load("xor"))
        noise = await measure_noise(BudgetedDevice(device, load("xor"), 0, 5000, lambda activity, used: None), 4)
    assert (noise.sigma, noise.drift_rate, noise.drifts) == (0.0, 0.0, False)
    assert noise.variance(4) == pytest.approx(device.info.cost_lsb**2 / 48)


async def test_gradient_and_curvature_of_a_bowl() -> None:
    """Along random signs the mean squared slope is |g|², the mean curvature tr(H); both are known of a bowl."""
    device = Toy()
    bench = await bench_of(device)
    noise = await measure_noise(bench, 4)
    response, around = await measure_response(bench, np.array([0.1, 0.1, 0.1]), noise)
    gradient = BEND * (around - TARGET)
    assert response.slope_power == pytest.approx(float(np.square(gradient).sum()), rel=0.35)  # 64 directions
    assert response.trace == pytest.approx(float(BEND.sum()), rel=1e-6)
    np.testing.assert_allclose(response.kept, 1.0)
    assert (np.diff(response.linearity) < 0).all()
    slope = await measure_line_search(bench, around, 1, 4)
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
    result = checked(Toy(lambda theta: float((theta[0] - 0.7) ** 2) + 0.01, p=1))
    assert result.recommendation is not None
    assert min(pilot.cost for pilot in result.pilots) < 0.02


# --- whether anything is learnt -------------------------------------------------------------------------------------


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


# --- what cannot be trained -----------------------------------------------------------------------------------------


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
    with pytest.raises(DeviceFault, match=r"a cost is NaN or infinite \(timing blocks\)"):
        checked(Toy(lambda theta: float("nan")))


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
        async def measure(self, samples: IntArray, step: int, part: Part) -> float:
            if self.measured == 200:
                task.cancel()  # as Ctrl-C does
            return await super().measure(samples, step, part)

    device = Slow()
    await device.open()
    task = asyncio.ensure_future(check(device, load("xor")))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert device.measured < MAX_EVALUATIONS
