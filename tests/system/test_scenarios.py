"""One of each kind of the scenarios of `scenarios.py`, which plays a hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import scenarios

QUICK = 2
KINDS = [pytest.param(seed, marks=() if seed == QUICK else pytest.mark.long) for seed in range(len(scenarios.HAPPENINGS))]


@pytest.fixture(scope="session")
def digests() -> dict[str, str]:
    """Of the same trainings in this process."""
    return scenarios.digests()


@pytest.mark.parametrize("seed", KINDS)
def test_a_served_device_stays_safe(seed: int, tmp_path: Path, digests: dict[str, str]) -> None:
    scenario = scenarios.Scenario.of(seed, learns=False)
    ending = scenarios.Player(scenario, tmp_path, digests[scenario.level], None).play()
    assert not ending.broken, scenario


@pytest.mark.parametrize("seed", KINDS)
def test_a_board_in_c_stays_safe(seed: int, tmp_path: Path, digests: dict[str, str], host_program: Path) -> None:
    scenario = scenarios.Scenario.of(seed, learns=True)
    ending = scenarios.Player(scenario, tmp_path, digests[scenario.level], host_program).play()
    assert not ending.broken, scenario
