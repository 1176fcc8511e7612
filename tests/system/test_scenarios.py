"""One of each kind of the scenarios of `scenarios.py`, which plays a hundred."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.firmware.core import build

from . import scenarios

QUICK = 2
KINDS = [
    pytest.param(seed, marks=() if seed == QUICK else pytest.mark.long) for seed in range(len(scenarios.HAPPENINGS))
]


@pytest.fixture(scope="session")
def digests() -> dict[str, str]:
    """Of the same trainings in this process."""
    return scenarios.digests()


@pytest.fixture(scope="session")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C core as a process."""
    if sys.platform == "win32" or shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("needs make, a C compiler and POSIX")
    folder = tmp_path_factory.mktemp("firmware")
    build(folder, "all")
    return folder / "mgdhw-host"


@pytest.mark.parametrize("seed", KINDS)
def test_a_served_device_stays_safe(seed: int, tmp_path: Path, digests: dict[str, str]) -> None:
    scenario = scenarios.Scenario.of(seed, learns=False)
    ending = scenarios.Player(scenario, tmp_path, digests[scenario.level], None).play()
    assert not ending.broken, scenario


@pytest.mark.long
@pytest.mark.parametrize("seed", range(len(scenarios.HAPPENINGS)))
def test_a_board_in_c_stays_safe(seed: int, tmp_path: Path, digests: dict[str, str], host_program: Path) -> None:
    scenario = scenarios.Scenario.of(seed, learns=True)
    ending = scenarios.Player(scenario, tmp_path, digests[scenario.level], host_program).play()
    assert not ending.broken, scenario
