"""Mutated requests into the core in C, with and without sanitizers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware.core import Core, build
from tests.helpers.paths import ROOT

from .fuzz_core import fuzz

pytestmark = pytest.mark.long

FRAMES, SANITIZED_FRAMES, LONG_FRAMES = 12_000, 60_000, 200_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the core is built."""
    return tmp_path_factory.mktemp("core")


def test_mutated_frames_end_no_board(folder: Path) -> None:
    build(folder, "libcore.so")
    answers = fuzz(Core(folder / "libcore.so"), FRAMES)
    assert set(answers) >= {"answered", "BAD", "MISMATCH", "UNSUPPORTED", "SAFE", "LIMIT"}


@pytest.mark.long
def test_more_of_them(folder: Path) -> None:
    build(folder, "libcore.so")
    fuzz(Core(folder / "libcore.so"), LONG_FRAMES, first_seed=100)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer is loaded before Python")
def test_sanitizers_have_nothing_to_say(folder: Path) -> None:
    build(folder / "sanitized", "libcore.so", sanitize=True)
    found = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "tests.hostile.fuzz_core", str(SANITIZED_FRAMES), "--seed", "50"]
    command += ["--library", str(folder / "sanitized" / "libcore.so")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("", "sim", "drivers")),
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
        "COVERAGE_PROCESS_START": "",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert "nothing hung" in done.stdout
