"""The example racks, simulated on loopback, trained over real sockets."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.noise import measure_noise
from mgdhw.characterize.response import measure_response
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.bench.live_try import try_rack
from mgdhw_drivers.bench.simulate.simulation import SimulationSettings
from tests.drivers.bench.simulated import simulated

SOURCE, UNITS, GENERATOR = "source-and-scope", "source-measure-units", "generator-and-digitizer"
LARGEST = {SOURCE: 0.5, UNITS: 1.0, GENERATOR: 1.0}
"""Largest step of a parameter, in V."""
SEEDS = {SOURCE: 3, UNITS: 4, GENERATOR: 4}


def experiment(name: str, level: str = "auto") -> dict[str, Any]:
    return {
        "seed": SEEDS[name],
        "data": {"name": "xor"},
        "codes": {"delta": 0.0625},
        "training": {
            "probes": 2000, "batch": 4, "tau_x": 8, "init": "uniform", "tau_theta": 4 if name == SOURCE else 8
        },
        "optimizer": {"name": "adam", "eta": 0.3},
        "evaluation": {"every": 160, "stop_at_accuracy": 1.0, "stop_at_cost": 0.04},
        "run": {"level": level},
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(SOURCE, marks=pytest.mark.long), pytest.param(UNITS, marks=pytest.mark.long), GENERATOR],
)
async def test_example_racks_train_xor_to_its_target(name: str, tmp_path: Path) -> None:
    async with simulated(name, tmp_path) as rack:
        result = await mgdhw.train_async(experiment(name), device=rack.device(), runs=None)
        assert result.reason == "target"
        assert rack.recorder.largest
        for place, step in rack.recorder.largest.items():
            owned = any(place in rack.simulation.rack.places(group) for group in rack.simulation.rack.parameters)
            assert not owned or step <= LARGEST[name] + 1e-9, place


async def test_hardware_timed_blocks_give_the_costs_of_single_probes(tmp_path: Path) -> None:
    """The simulated chip is deterministic, and both kinds send the same numbers."""
    async with simulated(GENERATOR, tmp_path) as rack, rack.device() as device:
        await device.load(mgdhw.load_dataset("xor"))
        theta = await device.write(np.linspace(-3, 3, 9))
        for baseline in (Baseline.HELD, Baseline.ANTITHETIC):
            block = Block(0, 6, CodeSpec(seed=1, amplitude=63), SampleOrder(1, 4, 2, 3), baseline)
            single = await device.probe_with_host_codes(block)
            timed = await device.probe(block)
            np.testing.assert_allclose(timed.perturbed, single.perturbed, rtol=1e-12)
            np.testing.assert_allclose(timed.reference, single.reference, rtol=1e-12)
        np.testing.assert_array_equal(await device.read(), theta)


async def test_a_trial_shows_that_instruments_overlap(tmp_path: Path) -> None:
    async with simulated(UNITS, tmp_path, settings=SimulationSettings(latency=0.001)) as rack:
        trial = await try_rack(rack.device(), amplitude=10)
    (write,) = (phase for phase in trial.phases if phase.name == "write θ + θ̃")
    assert write.instruments == 9
    first_end = min(one.began + one.seconds for one in write.sent)
    assert all(one.began < first_end for one in write.sent)  # every write had begun when the first was confirmed


@pytest.mark.long
async def test_the_check_tries_no_swing_that_waveforms_may_not_make(tmp_path: Path) -> None:
    change = ('max_step = "1 V"', 'max_step = "100 mV"')
    data = mgdhw.load_dataset("xor")
    async with simulated(GENERATOR, tmp_path, change) as rack, rack.device() as device:
        await device.load(data)
        budgeted = BudgetedDevice(device, data, 0, 5000, lambda activity, used: None)
        response, _ = await measure_response(budgeted, np.linspace(-3, 3, 9), await measure_noise(budgeted, 4))
    assert response.deltas[-1] <= 0.05


@pytest.mark.long
async def test_tasks_that_share_a_rack_get_their_own_answers(tmp_path: Path) -> None:
    async with simulated(SOURCE, tmp_path) as rack, rack.device() as device:
        theta = await device.write(np.round(np.linspace(-0.4, 0.4, 13), 3))

        async def ask(task: int) -> int:
            wrong = 0
            for number in range(300):
                channel = (7 * task + number) % 13
                answer = await device.instruments.ask("source", f"SOUR:VOLT? (@{channel + 1})")
                wrong += float(answer) != theta[channel]
            return wrong

        assert await asyncio.gather(*(ask(task) for task in range(4))) == [0, 0, 0, 0]
