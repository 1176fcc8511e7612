"""The driver of the guide for an instrument whose calls block, in a terminal: progress while it reads, and Ctrl-C."""

from __future__ import annotations

import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from .lab import install, notes
from .terminal import Terminal, terminal

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
    pytest.mark.long,
]

EXPERIMENT = """
[device]
uri = "scope:7"
[data]
name = "xor"
[training]
probes = 2000
tau_theta = 4
batch = 1
init = "uniform"
[codes]
delta = 0.05
"""


@pytest.fixture
def lab(tmp_path: Path, unmeasured: dict[str, str]) -> dict[str, str]:
    """The environment of a process that finds the driver, and an experiment."""
    (tmp_path / "scope.toml").write_text(EXPERIMENT)
    return install(tmp_path, unmeasured)


def training(folder: Path, seen: Terminal) -> float:
    """Wait until training is under way; returns when progress was first shown."""
    seen.wait_for(lambda shown: " readings" in shown)
    first = time.monotonic()
    seen.wait_for(lambda shown: re.search(r"cost \d", shown) is not None)
    seen.wait_for(lambda _: len([note for note in notes(folder) if note.what == "read"]) >= 9)
    return first


def test_progress_is_shown_at_once_and_ctrl_c_ends_it_after_the_probe(tmp_path: Path, lab: dict[str, str]) -> None:
    line = [sys.executable, "-W", "error", "-c", "from mgdhw.cli.main import main; main()", "train", "scope.toml"]
    with terminal(line, tmp_path, lab) as seen:
        first = training(tmp_path, seen)
        shown, moved = seen.shown, [time.monotonic()]

        def moves_on(now: str) -> bool:
            nonlocal shown
            if now != shown:
                shown = now
                moved.append(time.monotonic())
            return moved[-1] - moved[0] > 3.0

        seen.wait_for(moves_on)
        assert max(after - before for before, after in pairwise(moved)) < 1.0 + 1.0
        began = next(note.when for note in notes(tmp_path) if note.what == "reading")
        assert first - began < 1.0 + 2.0  # the machine may be busy with other things
        asked = time.monotonic()
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
        ended = time.monotonic()
    assert "stopped at probe" in seen.shown
    assert "Traceback" not in seen.shown
    after = [note.what for note in notes(tmp_path) if note.when > asked]
    # The probe that runs may have its baseline still before it, and is put back; nothing is evaluated.
    assert after.count("reading") <= 2, after
    assert after[-1] == "shut down"
    assert ended - asked < 10.0


def test_twice_ctrl_c_ends_it_after_the_reading(tmp_path: Path, lab: dict[str, str]) -> None:
    line = [sys.executable, "-W", "error", "-c", "from mgdhw.cli.main import main; main()", "train", "scope.toml"]
    with terminal(line, tmp_path, lab) as seen:
        training(tmp_path, seen)
        seen.press_ctrl_c()
        seen.press_ctrl_c()
        asked = time.monotonic()
        assert seen.end() == 130, seen.shown
    assert "Traceback" not in seen.shown
    after = [note.what for note in notes(tmp_path) if note.when > asked + 0.05]
    assert after.count("reading") <= 1, after
    assert notes(tmp_path)[-1].what == "shut down"
