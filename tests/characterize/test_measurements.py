"""What a check measures, on devices whose answers are known."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import mgdhw
from mgdhw.arrays import FloatArray
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.line_search import measure_line_search
from mgdhw.characterize.noise import count_outliers, measure_noise
from mgdhw.characterize.response import measure_response
from mgdhw.datasets import load
from tests.characterize.toy import BEND, TARGET, Toy, bench_of


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


def test_outliers_are_told_from_noise_drift_and_codes() -> None:
    noise = np.random.default_rng(0).normal(size=512)
    assert count_outliers(noise, None) == 0
    assert count_outliers(noise + 0.02 * np.arange(512), None) == 0
    assert count_outliers(np.rint(0.1 * noise) / 8, 1 / 8) == 0
    noise[[100, 200, 300]] += 12.0
    assert count_outliers(noise, None) == 3
    assert count_outliers(np.rint(10 * noise) / 8, 1 / 8) == 3


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
    response, around = await measure_response(bench, np.full(3, 0.125), noise)
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
