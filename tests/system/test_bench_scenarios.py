"""Racks of instruments when something goes wrong: `python -m tests.system.bench_scenarios 100` plays more."""

from __future__ import annotations

import pytest

from tests.system.bench_scenarios import Scenario, play

QUICK = (22, 28, 7, 9)
"""A late answer, overloads, an interlock, a limit that θ + θ̃ would violate."""
LONG = (1, 2, 3, 4, 5, 8, 21, 25, 26, 32)


def hold(seed: int) -> None:
    scenario = Scenario.of(seed)
    ending = play(scenario)
    assert ending.broken == [], scenario


@pytest.mark.parametrize("seed", QUICK)
def test_faults_of_instruments(seed: int) -> None:
    hold(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG)
def test_more_faults_of_instruments(seed: int) -> None:
    hold(seed)
