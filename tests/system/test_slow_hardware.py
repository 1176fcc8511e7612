"""Hardware of 0.2 s a measurement, in a terminal: progress by measurements, and Ctrl-C answered within one of them."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from .conftest import command
from .lab import LOGGED, install, notes
from .terminal import Terminal, terminal

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
    pytest.mark.long,
]

EXPERIMENT = """
[device]
uri = "scope:7"
[data]
name = "npz:many.npz"
[training]
probes = 2000
tau_theta = 4
batch = {batch}
init = "uniform"
[codes]
delta = 0.05
[run]
block = {block}
"""
MOVES_SLOWLY = (
    LOGGED
    + """
    def start_up(self):
        from dataclasses import replace
        from mgdhw.device import Motion
        super().start_up()
        self.voltages = np.zeros(3)
        self.info = replace(self.info, motion=Motion(0.001, 0.01, safe=0.0))

    def read_parameters(self):
        return self.voltages
"""
).replace("import time\n", "import time\nimport numpy as np\n", 1)
IMPATIENCE = 2.0
"""Seconds for a reading of 0.2 s, what is said about it, and the process' end, on a machine that is busy besides."""


def lab(folder: Path, environment: dict[str, str], *, test: int = 1, batch: int = 1, block: int = 1) -> dict[str, str]:
    """An experiment with many or few test samples, and a driver that finds them."""
    draw = np.random.default_rng(1)
    x, x_test = draw.uniform(size=(40, 2)), draw.uniform(size=(test, 2))
    np.savez(folder / "many.npz", x_train=x, y_train=x[:, :1], x_test=x_test, y_test=x_test[:, :1])
    (folder / "slow.toml").write_text(EXPERIMENT.format(batch=batch, block=block))
    return install(folder, environment)


def readings(folder: Path) -> int:
    return sum(note.what == "read" for note in notes(folder))


def shows_readings_as_they_are_made(seen: Terminal) -> None:
    """Their number grows, at least every second."""
    numbers: list[int] = []
    began = time.monotonic()

    def grows(shown: str) -> bool:
        found = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) readings", shown)]
        if found and (not numbers or found[-1] > numbers[-1]):
            numbers.append(found[-1])
        return len(numbers) >= 4

    seen.wait_for(grows)
    assert time.monotonic() - began < 4 * IMPATIENCE


def ends_within_a_reading(seen: Terminal, folder: Path, code: int = 130) -> None:
    """Press Ctrl-C, once: it ends, with one reading more at most, besides the one that runs."""
    asked = time.monotonic()
    seen.press_ctrl_c()
    assert seen.end() == code, seen.shown
    assert time.monotonic() - asked < 0.2 + 2 * IMPATIENCE
    assert "Traceback" not in seen.shown
    after = [note.what for note in notes(folder) if note.when > asked + 0.05]
    assert after.count("reading") <= 2, after
    assert after[-1] == "shut down"


@pytest.mark.parametrize(("batch", "block"), [(40, 1), (1, 60)])
def test_a_probe_of_many_samples_and_a_block_of_many_probes(
    tmp_path: Path, unmeasured: dict[str, str], batch: int, block: int
) -> None:
    environment = lab(tmp_path, unmeasured, batch=batch, block=block)
    with terminal(command("train", "slow.toml"), tmp_path, environment) as seen:
        shows_readings_as_they_are_made(seen)
        ends_within_a_reading(seen, tmp_path)
        (resume,) = re.findall(r"mgdhw (train --resume \S+)", seen.shown)
        assert "stopped at probe 0 of 2,000" in seen.shown
    with terminal(command(*resume.split()), tmp_path, environment) as seen:  # and it can be gone on with
        shows_readings_as_they_are_made(seen)
        ends_within_a_reading(seen, tmp_path)


def test_an_evaluation_of_a_whole_test_set(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    environment = lab(tmp_path, unmeasured, test=200)
    with terminal(command("train", "slow.toml"), tmp_path, environment) as seen:
        shows_readings_as_they_are_made(seen)
        ends_within_a_reading(seen, tmp_path)
        assert readings(tmp_path) < 100
        assert "not evaluated" in seen.shown


def test_evaluate(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    environment = lab(tmp_path, unmeasured)
    with terminal(command("train", "slow.toml", "--set", "training.probes=1"), tmp_path, environment) as seen:
        assert seen.end() == 0, seen.shown
    (run,) = (tmp_path / "runs").iterdir()
    with terminal(command("evaluate", str(run)), tmp_path, environment) as seen:
        shows_readings_as_they_are_made(seen)
        ends_within_a_reading(seen, tmp_path)


def test_check(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    environment = lab(tmp_path, unmeasured)
    with terminal(command("check", "scope:7"), tmp_path, environment) as seen:
        seen.wait_for(lambda _: readings(tmp_path) >= 5)
        shown = readings(tmp_path)
        seen.wait_for(lambda text: any(f" {number} of" in text for number in range(shown, shown + 40)))
        ends_within_a_reading(seen, tmp_path)


def test_a_ramp(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    lab(tmp_path, unmeasured)
    environment = install(tmp_path / "moves", unmeasured, MOVES_SLOWLY)
    with terminal(command("train", "slow.toml"), tmp_path, environment) as seen:
        seen.wait_for(lambda shown: "ramping the parameters" in shown)
        asked = time.monotonic()
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
        assert time.monotonic() - asked < 0.2 + 2 * IMPATIENCE  # back the way that it has come
        assert "Traceback" not in seen.shown
        assert "reading" not in {note.what for note in notes(tmp_path)}
        assert notes(tmp_path)[-1].what == "shut down"
