"""A few of the kills of `kills.py`, which kills two hundred, and before every operation on files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

from .kills import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked and killed the POSIX way")


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
def test_killed_before_operations_on_files(stride: int) -> None:
    """In a process that has one thread, so that it can be forked."""
    script = f"import sys; from tests.system import kills; sys.exit(kills.every_operation(print, {stride}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violations" in done.stdout


@pytest.mark.long
def test_killed_at_random_instants() -> None:
    told: list[str] = []
    assert main(6, told.append) == 0, told
