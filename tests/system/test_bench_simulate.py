"""The example racks, simulated by `mgdhw bench simulate` in a process of its own, and trained through pyvisa."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgdhw_drivers.bench.load import load_rack
from tests.system.bench_rig import BENCHES, moves_too_fast
from tests.system.conftest import SECONDS, Finish, Start

EXPERIMENT = """
name = "rehearsal"
seed = {seed}
[data]
name = "xor"
[training]
probes = 1500
batch = 4
tau_theta = 16
init = "uniform"
init_scale = 1.0
[codes]
family = "{codes}"
delta = 0.25
[optimizer]
name = "adam"
eta = {eta}
[evaluation]
every = 32
stop_at_accuracy = 1.0
stop_at_cost = 0.2
"""
SETTINGS = {
    "source-and-scope": {"codes": "random", "eta": 0.8, "seed": 1},
    "source-measure-units": {"codes": "walsh", "eta": 0.4, "seed": 5},
    "generator-and-digitizer": {"codes": "walsh", "eta": 0.4, "seed": 5},
}


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """What a process prints, up to a line with a text."""
    assert process.stdout is not None
    found: list[str] = []
    for line in process.stdout:
        found.append(line.rstrip("\n"))
        if text in line:
            return found
    pytest.fail(f"ended with {process.wait()}: {found}")


def train_simulated(
    name: str,
    folder: Path,
    start: Start,
    mgdhw: Finish,
    summary: Callable[..., dict[str, Any]],
    *options: str,
    end: signal.Signals = signal.SIGTERM,
) -> dict[str, Any]:
    """Simulate a rack, train it, and end the simulation; the summary of the training."""
    rack, moves = folder / "rack.toml", folder / "moves.csv"
    (folder / "rehearsal.toml").write_text(EXPERIMENT.format(**SETTINGS[name]))
    example = str(BENCHES / f"{name}.toml")
    simulated = start("bench", "simulate", example, "-o", str(rack), "--record", str(moves), *options)
    lines = lines_until(simulated, "train it with")
    assert lines[-1] == f"train it with: mgdhw train EXPERIMENT.toml --device bench:{rack}"
    found = summary(mgdhw("train", "rehearsal.toml", "--device", f"bench:{rack}", "--json"))
    simulated.send_signal(end)
    out, err = simulated.communicate(timeout=SECONDS)
    assert (simulated.returncode, err) == (0, "")
    assert re.search(r"largest step of a channel: 1, of", out)
    assert moves_too_fast(load_rack(rack), moves) == []
    return found


def check_trained(found: dict[str, Any]) -> None:
    """The target was reached."""
    assert (found["reason"], found["accuracy"]) == ("target", 1.0), json.dumps(found)


def test_a_generator_and_a_digitizer_are_rehearsed(
    folder: Path, start: Start, mgdhw: Finish, summary: Callable[..., dict[str, Any]]
) -> None:
    check_trained(train_simulated("generator-and-digitizer", folder, start, mgdhw, summary))


@pytest.mark.long
@pytest.mark.parametrize("name", ["source-and-scope", "source-measure-units"])
def test_racks_are_rehearsed(
    name: str, folder: Path, start: Start, mgdhw: Finish, summary: Callable[..., dict[str, Any]]
) -> None:
    check_trained(train_simulated(name, folder, start, mgdhw, summary))


@pytest.mark.long
def test_a_rack_of_serial_ports_is_rehearsed(
    folder: Path, start: Start, mgdhw: Finish, summary: Callable[..., dict[str, Any]]
) -> None:
    options = ("--pty", "--latency", "1ms")
    found = train_simulated("generator-and-digitizer", folder, start, mgdhw, summary, *options, end=signal.SIGINT)
    check_trained(found)
