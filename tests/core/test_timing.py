"""Time and energy on hardware: operation counts of a run and of an experiment, and what they take."""

import json
import math
from itertools import product
from typing import Any

import pytest

from mgdhw.block import Baseline
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.estimate import address, estimate_async, expected
from mgdhw.experiment.load import check_experiment
from mgdhw.report.units import quantity, span
from mgdhw.timing import (
    OperationCounts,
    TimeAndEnergy,
    Timing,
    count_operations,
    expected_baselines,
    time_and_energy,
    total,
)
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer

TIMING = Timing(
    baseline_seconds=1.0,
    baseline_joules=2.0,
    probe_seconds=3.0,
    probe_joules=4.0,
    settling_seconds=5.0,
    settling_joules=6.0,
    input_seconds=7.0,
    input_joules=8.0,
    update_seconds=9.0,
    write_seconds=10.0,
    write_joules=11.0,
)


def counted(**changes: Any) -> OperationCounts:
    given: dict[str, Any] = {
        "probes": 100,
        "evaluations": 150,
        "updates": 10,
        "batch": 1,
        "tau_x": 4,
        "n_parameters": 6,
        "n_inputs": 2,
        "host_codes": False,
    }
    return count_operations(**{**given, **changes})


# --- counts -----------------------------------------------------------------------------------------------------------


def test_one_sample_stays_applied_while_tau_x_lasts() -> None:
    found = counted()
    assert (found.baselines, found.samples, found.inputs) == (50, 150, 25)
    assert counted(probes=101).inputs == 26


def test_the_samples_of_a_batch_take_turns_in_every_measurement() -> None:
    found = counted(batch=8)
    assert (found.samples, found.inputs) == (1200, 1200)


def test_updates_write_all_parameters_and_so_does_every_measurement_with_codes_of_the_host() -> None:
    assert (counted().vectors, counted().parameter_writes) == (10, 60)
    assert counted(host_codes=True).parameter_writes == (10 + 150) * 6


@pytest.mark.parametrize("baseline", list(Baseline))
def test_baselines_are_those_that_blocks_ask_for(baseline: Baseline) -> None:
    """Counted one by one: a held baseline ends with the batch and with the update."""
    for tau_x, period, probes in product((1, 2, 3, 5, 8), (1, 2, 3, 4, 8), (1, 7, 24, 25)):
        ends = {step for step in range(probes) if step % tau_x == 0 or step % period == 0}
        slow = {Baseline.HELD: len(ends), Baseline.NONE: 0}.get(baseline, probes)
        assert expected_baselines(probes, baseline, tau_x=tau_x, update_period=period) == slow


@pytest.mark.parametrize("level", ["host-codes", "device-codes", "learn"])
@pytest.mark.parametrize(
    "training",
    [
        {"baseline": "held", "tau_x": 3, "tau_theta": 8},
        {"baseline": "every", "tau_x": 8, "tau_theta": 8, "batch": 4},
        {"baseline": "antithetic"},
        {"mode": "continuous", "update_every": 5},
    ],
)
async def test_an_estimate_counts_what_a_run_counts(level: str, training: dict[str, Any]) -> None:
    experiment = check_experiment(
        {
            "device": {"uri": "sim:mixed-signal?layers=2-3-1&engine=reference"},
            "data": {"name": "xor"},
            "training": {"probes": 203, "tau_theta": 10, **training},
            "run": {"level": level, "block": 7},
        },
        source="test",
    )
    async with open_device(experiment.device.uri) as device:
        *_, finished = [event async for event in Trainer(experiment, device, load("xor"))]
        assert isinstance(finished, Finished)
        assert finished.count == expected(experiment, device.info)
        assert device.info.timing is not None
        assert finished.hardware == time_and_energy(device.info.timing, finished.count)
    estimate = await estimate_async(experiment)
    assert (estimate.counts, estimate.time_and_energy) == (finished.count, finished.hardware)
    assert finished.count.evaluations == finished.state.evaluations


# --- bills ------------------------------------------------------------------------------------------------------------


def test_a_bill_item_by_item() -> None:
    items = time_and_energy(TIMING, counted(batch=2, host_codes=True)).items
    assert {name: item.count for name, item in items.items()} == {
        "baseline": 50,
        "probe": 100,
        "settling": 300,
        "input": 300,
        "update": 160,
    }
    assert {name: item.seconds for name, item in items.items()} == {
        "baseline": 2 * 50 * 1.0,
        "probe": 2 * 100 * 3.0,
        "settling": 300 * 5.0,
        "input": 300 * 7.0,
        "update": 160 * 9.0 + 960 * 10.0,
    }
    assert {name: item.joules for name, item in items.items()} == {
        "baseline": 2 * 50 * 6 * 2.0,
        "probe": 2 * 100 * 6 * 4.0,
        "settling": 300 * 6 * 6.0,
        "input": 300 * 2 * 8.0,
        "update": 960 * 11.0,
    }


def test_nothing_done_takes_nothing() -> None:
    found = time_and_energy(TIMING, counted(probes=0, evaluations=0, updates=0))
    assert (found.seconds, found.joules) == (0.0, 0.0)


def test_a_bill_survives_json() -> None:
    found = time_and_energy(TIMING, counted())
    summary = json.loads(json.dumps(found.summary()))
    assert TimeAndEnergy.from_summary(summary) == found
    assert summary["seconds"] == found.seconds == sum(item["seconds"] for item in summary["items"].values())
    with pytest.raises((KeyError, TypeError)):
        TimeAndEnergy.from_summary({"seconds": 1.0})


def test_bills_add_up() -> None:
    one = time_and_energy(TIMING, counted())
    both = total([one, one])
    assert both is not None
    assert (both.seconds, both.joules) == (2 * one.seconds, 2 * one.joules)
    assert both.items["probe"].count == 200
    assert total([]) is None


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_times_are_numbers_of_zero_or_more(value: float) -> None:
    with pytest.raises(ConfigError, match=r"^timing\.probe_seconds=.*: expected a number of 0 or more"):
        Timing(probe_seconds=value)


# --- presets and quantities -------------------------------------------------------------------------------------------


def test_a_preset_by_name_or_address() -> None:
    assert address("thermo-optic") == "sim:thermo-optic"
    assert address("sim:pcm?layers=2-1") == "sim:pcm?layers=2-1"
    with pytest.raises(ConfigError, match=r"no preset 'thermo'; did you mean 'thermo-optic'\?"):
        address("thermo")


async def test_a_device_without_timing_says_which_have_one() -> None:
    with pytest.raises(ConfigError, match=r"8bit: this device declares no timing; .* --preset \(thermo-optic, "):
        await estimate_async(check_experiment({}, source="test"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (20_000.0, "5.6 h"),
        (0.201, "200 ms"),
        (0.004, "4 ms"),
        (1.55e-6, "1.6 µs"),
        (9.96e-10, "1 ns"),
        (2.07e-19, "0.00021 fs"),
        (61.0, "1 min"),
        (59.9, "60 s"),
        (100_000.0, "28 h"),
        (200_000.0, "2.3 d"),
        (1e9, "12,000 d"),
    ],
)
def test_times_for_people(value: float, text: str) -> None:
    assert span(value) == text


@pytest.mark.parametrize(("value", "text"), [(3.1e5, "310 kJ"), (999.9, "1 kJ"), (-2e-3, "-2 mJ"), (5e16, "50,000 TJ")])
def test_quantities_for_people(value: float, text: str) -> None:
    assert quantity(value, "J") == text
