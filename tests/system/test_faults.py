"""A few of the scenarios of `faults.py`, which plays a hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import faults


@pytest.fixture(scope="session")
def digests() -> dict[str, str]:
    """Of the same trainings in this process."""
    return faults.digests()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (4, 5))])
def test_a_faulty_link_comes_to_the_digest_of_a_good_one(seed: int, tmp_path: Path, digests: dict[str, str]) -> None:
    scenario = faults.Scenario.of(seed)
    ending = faults.play(scenario, tmp_path, digests[scenario.level])
    assert ending.holds, (scenario, ending)
