"""XOR on an instrument that reads 9.9e37 once in 200 and is ten standard deviations off once in 100."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.device import Acquisition, readings
from mgdhw.device.readings import GuardCounts
from mgdhw.errors import ConfigError, Overload
from mgdhw.experiment.load import check_experiment
from mgdhw.learning.outliers import RECENT
from mgdhw.random.sample_order import SampleOrder
from mgdhw.runs.checkpoint import load
from mgdhw.testing import FunctionDevice
from mgdhw.training.events import BlockDone, Checkpoint, Event, Finished, Guarded, Started
from mgdhw.training.outlier_guard import guard_outliers
from tests.core.running import stop_at
from tests.helpers.chips import CHIP
from tests.helpers.readings import Instrument

FAULTS = {"overloads": 5, "spikes": 10, "noise": 0.01}
SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2)))


def experiment(seed: int = 0, *, baseline: str = "held", probes: int = 4_800, **sections: Any) -> dict[str, Any]:
    return {
        "data": {"name": "xor"},
        "seed": seed,
        "training": {
            "probes": probes,
            "batch": 4,
            "tau_theta": 16,
            "tau_x": 16,
            "init": "uniform",
            "init_scale": 0.5,
            "baseline": baseline,
        },
        "codes": {"delta": 0.02},
        "optimizer": {"name": "adam", "eta": 0.02},
        "evaluation": {"stop_at_cost": 0.03, "every": 400},
        **sections,
    }


# --- Show 8 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_codes", [False, True], ids=["host-codes", "device-codes"])
@pytest.mark.parametrize("outliers", ["repeat", "clip"])
@pytest.mark.parametrize("seed", SEEDS)
def test_xor_is_learnt_by_bad_readings(seed: int, outliers: str, *, own_codes: bool) -> None:
    device = Instrument(**FAULTS, seed=10 * seed, own_codes=own_codes)
    result = mgdhw.train(experiment(seed, readings={"outliers": outliers}), device=device, runs=None)
    counts = result.guarded
    assert (result.reason, result.accuracy) == ("target", 1.0)
    assert counts.overloads >= 5
    assert counts.outliers + counts.clipped >= 5
    assert (counts.clipped > 0) == (outliers == "clip")
    assert result.summary()["guarded"] == counts.summary()
    assert counts.overloads >= device.found["overload"] - (counts.outliers if own_codes else 0)


@pytest.mark.parametrize("own_codes", [False, True], ids=["host-codes", "device-codes"])
@pytest.mark.parametrize("seed", SEEDS)
def test_without_the_guard_it_is_not(seed: int, monkeypatch: pytest.MonkeyPatch, *, own_codes: bool) -> None:
    faults = {**FAULTS, "seed": 10 * seed, "own_codes": own_codes}
    with pytest.raises(Overload, match=r"the cost of probe \d+ is 9.9e\+37, an overload"):
        mgdhw.train(experiment(seed, probes=1_600, readings={"repeat": 0}), device=Instrument(**faults), runs=None)  # type: ignore[arg-type]
    monkeypatch.setattr(readings, "LARGEST", np.inf)  # as if nobody knew of sentinels
    result = mgdhw.train(experiment(seed, probes=1_600), device=Instrument(**faults), runs=None)  # type: ignore[arg-type]
    assert (result.reason, result.guarded) == ("done", GuardCounts())
    assert result.cost > 0.15


@pytest.mark.parametrize("own_codes", [False, True])
def test_a_spike_of_a_hundred_deviations_is_as_if_it_had_not_been(*, own_codes: bool) -> None:
    given = experiment(probes=800, readings={"outliers": "repeat"})
    clean = mgdhw.train(given, device=Instrument(), runs=None)
    spiky = Instrument(spikes=10, size=100.0, seed=0, own_codes=own_codes)
    result = mgdhw.train(given, device=spiky, runs=None)
    assert result.guarded.outliers >= 5
    early = mgdhw.train(given, device=Instrument(spikes=10, size=100.0), runs=None)
    assert early.digest == result.digest
    if spiky.found["spike"] == result.guarded.outliers:  # none among those that the guard began with
        assert result.digest == clean.digest


# --- nothing depends on how the work is done --------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ["held", "every", "antithetic"])
def test_cuts_and_levels_change_no_bit(baseline: str) -> None:
    digests = set()
    for own_codes, block in ((False, 1), (False, 50), (True, 7), (True, 64)):
        given = experiment(baseline=baseline, probes=320, readings={"outliers": "clip"}, run={"block": block})
        device = Instrument(**FAULTS, own_codes=own_codes)
        digests.add(mgdhw.train(given, device=device, runs=None).digest)
    assert len(digests) == 1


@pytest.mark.parametrize("own_codes", [False, True])
def test_a_run_that_is_resumed_ends_alike(tmp_path: Path, *, own_codes: bool) -> None:
    given = experiment(probes=640, readings={"outliers": "repeat"}, evaluation={"every": 160}, run={"block": 5})
    whole = mgdhw.train(given, device=Instrument(**FAULTS, own_codes=own_codes), runs=None)
    session = mgdhw.TrainingHandle()
    first = mgdhw.train(
        given,
        device=Instrument(**FAULTS, own_codes=own_codes),
        runs=tmp_path,
        session=session,
        listeners=[stop_at(session, 333)],
    )
    assert first.run is not None
    assert first.reason == "stopped"
    assert len(load(sorted(first.run.glob("checkpoint-*"))[-1]).state.recent) == RECENT
    last = mgdhw.train(resume=first.run, device=Instrument(**FAULTS, own_codes=own_codes))
    assert (last.digest, last.guarded) == (whole.digest, whole.guarded)
    assert mgdhw.train(resume=first.run, device=Instrument()).guarded == whole.guarded  # finished: from its record
    with sqlite3.connect(first.run / "metrics.sqlite") as connection:
        rows = connection.execute("SELECT kind, message FROM fault").fetchall()
    connection.close()
    assert {kind for kind, _ in rows} == {"Guarded"}
    assert any("measured again (overload)" in message for _, message in rows)


def test_overloads_alone_leave_the_digest_of_a_run_without() -> None:
    clean, bad = (mgdhw.train(experiment(probes=320), device=Instrument(n), runs=None) for n in (0, 20))
    assert clean.digest == bad.digest
    assert clean.evaluations == bad.evaluations
    assert bad.guarded.overloads > 0
    assert clean.guarded == GuardCounts()


# --- held baselines ---------------------------------------------------------------------------------------------------


async def test_a_held_baseline_that_is_off_is_measured_again() -> None:
    """Ten probes to a baseline, and the one of step 30 is off: that of probe 30 finds it."""
    block = Block(0, 60, CodeSpec(), SampleOrder(0, 4, 1, 10), Baseline.HELD)
    noise = np.random.default_rng(0).normal(size=60)
    reference = np.zeros(60)
    reference[30:40] = 50.0
    asked: list[Block] = []

    async def measure(one: Block) -> Costs:
        asked.append(one)
        assert one.n_probes == 1
        return Costs(noise[[one.first_step]], np.zeros(1), 2)

    settings = looking_for_outliers("clip")
    guard = FunctionDevice(lambda theta: 0.0, 1).guard
    costs, recent = await guard_outliers(settings, block, Costs(noise, reference, 66), (), measure, guard)
    assert [(one.first_step, one.held) for one in asked] == [(30, None)]
    assert not costs.reference.any()
    np.testing.assert_array_equal(costs.perturbed, noise)
    assert guard.counts == GuardCounts(outliers=1)
    assert recent == tuple(noise)[-RECENT:]


def looking_for_outliers(outliers: str) -> Any:
    return check_experiment({"readings": {"outliers": outliers}}, source="test").readings


# --- what the user is told --------------------------------------------------------------------------------------------


def test_a_device_that_learns_by_itself_is_asked_for_probes() -> None:
    heard: list[Event] = []
    given: dict[str, Any] = {"device": {"uri": CHIP}, "data": {"name": "xor"}, "training": {"probes": 200}}
    given["readings"] = {"outliers": "clip"}
    mgdhw.train(given, runs=None, listeners=[heard.append])
    started = heard[0]
    assert isinstance(started, Started)
    assert started.level == "device-codes"
    assert any(note.startswith("readings.outliers = clip: the host looks at every probe") for note in started.notes)
    with pytest.raises(ConfigError, match=r"readings\.outliers: a device that learns by itself"):
        mgdhw.train({**given, "run": {"level": "learn"}}, runs=None)


def test_counts_are_told_before_a_checkpoint_and_before_an_error() -> None:
    heard: list[Event] = []
    device = Instrument(20)
    mgdhw.train(experiment(probes=320), device=device, runs=None, listeners=[heard.append])
    kinds = [type(event) for event in heard if isinstance(event, BlockDone | Guarded | Checkpoint | Finished)]
    assert kinds[-2:] == [Checkpoint, Finished]
    assert sum(event.counts.overloads for event in heard if isinstance(event, Guarded)) == device.found["overload"]
    heard.clear()
    with pytest.raises(Overload):
        mgdhw.train(experiment(), device=Instrument(1000), runs=None, listeners=[heard.append])
    assert isinstance(heard[-1], Guarded)
    assert heard[-1].counts == GuardCounts(3)


def test_replicas_have_it_too() -> None:
    given = experiment(probes=160, readings={"outliers": "repeat"})
    result = mgdhw.train_replicas(given, replicas=2, device=Instrument(20), runs=None)
    assert result.guarded.overloads > 0
    assert result.replicas[0].digest == mgdhw.train(given, device=Instrument(20), runs=None).digest


def test_what_cannot_be_used_is_said() -> None:
    heard: list[Event] = []
    given = experiment(probes=16, readings={"settling": 0.5, "average": 2})
    mgdhw.train(given, device=Instrument(own_codes=True), runs=None, listeners=[heard.append])
    assert isinstance(heard[0], Started)
    assert any(note.startswith("readings.settling and readings.average: not used") for note in heard[0].notes)


def test_waiting_is_in_the_timing_budget() -> None:
    device = Instrument()
    device.info = replace(device.info, acquisition=Acquisition(0.0, 2, 0.0))
    assert mgdhw.train(experiment(probes=16), device=device, runs=None).hardware is not None
    device.info = replace(device.info, acquisition=Acquisition(0.001, 3, 0.001))
    result = mgdhw.train(experiment(probes=16), device=device, runs=None)
    assert result.hardware is not None
    items = result.hardware.items
    assert items["settling"].seconds == pytest.approx(0.001 * result.evaluations)
    assert items["dead time"].seconds == pytest.approx(0.002 * result.evaluations)
