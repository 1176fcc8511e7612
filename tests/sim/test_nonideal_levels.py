"""Training nonideal chips: levels, cuts, kills, replicas and evaluation change no bit; host codes where they may."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mgdhw
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.resolve import load_dataset
from mgdhw.learning.state import TrainState
from mgdhw.runs.checkpoint import load, save
from mgdhw.training.events import Checkpoint, Event, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.nonidealities import OF_CELLS
from mgdhw_sim.uri import parse

pytestmark = pytest.mark.long

DAC = "dac_gain=0.02&cell_gain_std=0.05&stuck=0.08&dead=0.05&write_noise=0.03&endurance=12&endurance_dtod=0.3"
PULSES = "w_max=3&w_min=-2.5&up_down=0.1&dw_min_std=0.3&dw_min_dtod=0.2&endurance=60&write_noise=0.01"
AGEING = "retention=300&drift_nu=0.02&drift_every=7&rest=0.1&settling=0.2"
EXACT = "input_noise=0.02&read_noise=0.03&cost_noise=0.002&adc_noise=0.02&adc_inl=0.5&neuron_std=0.1"
WARM = "temperature_std=5&temperature_every=40&temperature_midpoint=0.01&temperature_steepness=-0.003"
CHIPS = {
    "dac": f"{DAC}&{AGEING}&{EXACT}&{WARM}",
    "pulses": f"{PULSES}&{AGEING}&{EXACT}&{WARM}",
    "exact": f"{EXACT}&{WARM}",
}
PROBES = 120


def experiment(chip: str, **run: Any) -> dict[str, Any]:
    return {
        "name": "xor",
        "device": {"uri": f"sim:analog-8bit?layers=2-3-1&seed=5&engine=reference&{CHIPS[chip]}"},
        "data": {"name": "xor"},
        "training": {"probes": PROBES, "tau_theta": 6, "tau_x": 2},
        "run": {"level": "device-codes", **run},
    }


def digest(chip: str, *overrides: str, **run: Any) -> str:
    return mgdhw.train(experiment(chip, **run), runs=None, overrides=list(overrides)).digest


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    return {chip: digest(chip) for chip in CHIPS}


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("level", ["device-codes", "learn"])
@pytest.mark.parametrize("block", [1, 50])
def test_levels_and_cuts_change_nothing(chip: str, level: str, block: int, digests: dict[str, str]) -> None:
    assert digest(chip, level=level, block=block) == digests[chip]


def test_host_codes_agree_where_writes_are_exact(digests: dict[str, str]) -> None:
    assert digest("exact", level="host-codes", block=13) == digests["exact"]


@pytest.mark.parametrize("name", OF_CELLS)
def test_writes_are_exact_without_effects_on_cells_only(name: str) -> None:
    value = {"w_max": "1&w_min=-1", "retention": "9", "endurance": "9"}.get(name, "0.1")
    assert parse(f"sim:analog-8bit?{EXACT}&{WARM}").nonidealities.exact_writes
    assert not parse(f"sim:analog-8bit?{name}={value}").nonidealities.exact_writes


class Notes:
    """A listener that keeps what the user is told at the start."""

    def __init__(self) -> None:
        self.found: tuple[str, ...] = ()

    def __call__(self, event: Event) -> None:
        self.found += getattr(event, "notes", ())


def test_host_codes_are_noted_as_another_experiment_where_writes_are_not_exact() -> None:
    for chip, level, noted in (("dac", "host-codes", True), ("dac", "learn", False), ("exact", "host-codes", False)):
        notes = Notes()
        mgdhw.train(experiment(chip, level=level), runs=None, listeners=[notes], overrides=["training.probes=20"])
        assert any("writes to this device are not exact" in note for note in notes.found) == noted


async def follow(chip: str, level: str, resume: TrainState | None, stop_after: int, path: Path) -> str | None:
    """Train from a state until enough checkpoints are written, as if killed then; the digest if it got to its end."""
    given = check_experiment(experiment(chip, level=level, block=11, checkpoint_seconds=1e-9), source="test")
    dataset, written = load_dataset(given, Path()), 0
    async with mgdhw.open_device(given.device.uri) as device:
        events = Trainer(given, device, dataset, resume=resume)
        async with contextlib.aclosing(events.__aiter__()) as stream:
            async for event in stream:
                if isinstance(event, Checkpoint):
                    save(path, event.state)
                    written += 1
                if isinstance(event, Finished):
                    return event.digest
                if written == stop_after:
                    return None
    return None


@pytest.mark.parametrize("level", ["device-codes", "learn"])
@pytest.mark.parametrize("chip", CHIPS)
async def test_a_killed_run_goes_on_with_its_cells(
    chip: str, level: str, tmp_path: Path, digests: dict[str, str]
) -> None:
    path = tmp_path / "checkpoint"
    assert await follow(chip, level, None, 5, path) is None
    state = load(path).state
    assert 0 < state.step < PROBES
    assert set(state.cells) == {"requested", "value", "born", "wear", "written"}
    assert await follow(chip, level, state, 4, path) is None
    again = load(path).state
    assert state.step < again.step < PROBES
    assert await follow(chip, level, again, 1000, path) == digests[chip]


@pytest.mark.parametrize("level", ["device-codes", "learn"])
@pytest.mark.parametrize("chip", ["dac", "pulses"])
def test_replicas_begin_with_fresh_cells(chip: str, level: str) -> None:
    """And at their own time, whatever those before them came to: also an evaluation in the middle sees that."""
    for wanted in (["evaluation.stop_at_cost=0.25", "evaluation.every=6"], ["evaluation.stop_at_cost=60"]):
        found = mgdhw.train_replicas(experiment(chip, level=level), runs=None, replicas=3, overrides=wanted)
        for number, one in enumerate(found.replicas):
            given = experiment(chip, level=level)
            alone = mgdhw.train(given, runs=None, overrides=[*wanted, f"seed={number}"])
            assert (one.digest, one.probes, one.cost) == (alone.digest, alone.probes, alone.cost)


async def test_a_restored_chip_is_as_old_as_the_next_write_says() -> None:
    uri, theta = experiment("dac")["device"]["uri"], np.linspace(-1, 1, 13)
    async with mgdhw.open_device(uri) as used, mgdhw.open_device(uri) as other:
        fresh = await used.snapshot()
        await used.write(theta, 10_000)
        await used.restore(fresh)
        for step in (3, 500):
            assert_array_equal(await used.write(theta, step), await other.write(theta, step))


@pytest.mark.parametrize("level", ["device-codes", "learn"])
@pytest.mark.parametrize("chip", CHIPS)
def test_evaluating_a_run_puts_its_cells_back(chip: str, level: str, tmp_path: Path) -> None:
    result = mgdhw.train(experiment(chip, level=level), runs=tmp_path)
    assert result.run is not None
    score = mgdhw.evaluate(result.run).scores[result.split]
    assert (score.cost, score.accuracy) == (result.cost, result.accuracy)
