"""`mgdhw estimate`, and what `mgdhw train` says of hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import EXAMPLES

PAPER = str(EXAMPLES / "paper-timing.toml")
SMALL = ("--set", "data.name=xor", "--set", "training.probes=200", "--set", "training.tau_theta=10")


@pytest.mark.parametrize(
    ("preset", "shown", "seconds"),
    [("thermo-optic", "5.6 h", 20_000.0), ("mixed-signal", "200 ms", 0.2), ("superconducting", "4 ms", 0.004)],
)
def test_the_times_of_the_2023_paper(mgdhw: Any, preset: str, shown: str, seconds: float) -> None:
    done = mgdhw("estimate", PAPER, "--preset", preset)
    assert done.code == 0
    assert done.out.splitlines()[0].startswith(f"paper-timing on sim:{preset}: {shown}, ")
    (found,) = json.loads(mgdhw("estimate", PAPER, "--preset", preset, "--json").out)["estimates"]
    assert found["probes"] == 10_000_000
    assert found["seconds"] == pytest.approx(seconds, rel=0.0051)


def test_several_presets_in_one_table_each(mgdhw: Any) -> None:
    done = mgdhw("estimate", PAPER, "--preset", "pcm", "--preset", "sim:rram", "--probes", "20000")
    assert [line.split(":")[0] for line in done.out.splitlines() if " on sim:" in line] == ["paper-timing on sim"] * 2
    assert "40,000 evaluations" in done.out
    for item in ("baseline", "probe", "settling", "input", "update"):
        assert f"\n{item}" in done.out
    assert not any(line.endswith(" ") for line in done.out.splitlines())


def test_the_network_is_the_experiments(mgdhw: Any) -> None:
    command = ("estimate", PAPER, "--preset", "capacitor", "--json", "--set", "device.uri=sim:analog-8bit?layers=2-3-1")
    (found,) = json.loads(mgdhw(*command).out)["estimates"]
    assert found["parameter_writes"] == 1000 * 13


def test_an_experiment_that_comes_with_mgdhw_goes_by_its_name(mgdhw: Any, tmp_path: Path) -> None:
    command = ("--preset", "pcm", "--json")
    named, default = mgdhw("estimate", "digits", *command), mgdhw("estimate", *command)
    assert named.code == 0
    assert named.out == default.out
    (tmp_path / "digits").write_text("")  # a file of that name comes first
    assert '"experiment": "experiment"' in mgdhw("estimate", "digits", *command).out


def test_what_cannot_be_estimated(mgdhw: Any) -> None:
    done = mgdhw("estimate")
    assert done.code == 1
    assert "choose hardware with --preset (thermo-optic" in done.err
    plain = mgdhw("estimate", "--preset", "analog-8bit").err
    assert plain.startswith("error: sim:analog-8bit: this device declares no timing")
    assert "serial" not in plain  # a board is not asked for a hint
    assert "did you mean 'pcm'?" in mgdhw("estimate", "--preset", "pcn").err
    assert mgdhw("estimate", "--probes", "0").code == 2
    assert "no such file" in mgdhw("estimate", "nowhere.toml").err


def test_a_training_says_what_it_would_take(mgdhw: Any) -> None:
    device = ("--device", "sim:thermo-optic?layers=2-3-1&engine=reference")
    done = mgdhw("train", *SMALL, *device)
    assert "parameter writes" in done.out
    assert "on hardware" in done.out
    summary = json.loads(mgdhw("train", *SMALL, *device, "--json").out)
    assert summary["parameter_writes"] == 20 * 13
    assert summary["hardware"]["items"]["update"] == {"count": 20, "seconds": 0.02, "joules": 20 * 13 * 12.4e-6}
    assert json.loads((Path(summary["run"]) / "summary.json").read_text()) == summary
    again = json.loads(mgdhw("train", "--resume", summary["run"], "--json").out)
    assert again == summary


def test_replicas_say_what_they_would_take_together(mgdhw: Any) -> None:
    device = ("--device", "sim:superconducting?layers=2-3-1&engine=reference")
    summary = json.loads(mgdhw("train", *SMALL, *device, "--replicas", "3", "--json").out)
    assert summary["parameter_writes"] == 3 * 20 * 13
    assert summary["hardware"]["items"]["probe"]["count"] == 600
    again = json.loads(mgdhw("train", "--resume", summary["run"], "--json").out)
    assert (again["hardware"], again["parameter_writes"]) == (summary["hardware"], summary["parameter_writes"])


def test_a_device_without_timing_tells_only_what_was_done(mgdhw: Any) -> None:
    summary = json.loads(
        mgdhw("train", *SMALL, "--device", "sim:analog-8bit?layers=2-3-1&engine=reference", "--json").out
    )
    assert summary["hardware"] is None
