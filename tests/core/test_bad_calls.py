"""Mistakes in Python get one typed error that speaks of what was called: no chain of others behind it.

An error that was raised while another one was handled would be printed under that one's traceback, which is ours and
says nothing. Where another's code has failed, its error is the cause, and says where.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.datasets import Dataset
from mgdhw.device import open_device
from mgdhw.errors import MgdhwError
from mgdhw.estimate import estimate_async
from mgdhw.experiment.load import check_experiment, parse_experiment
from mgdhw.runs.handle import blocking
from mgdhw.timing import Timing
from mgdhw_drivers.server.fault_injection import Faults
from mgdhw_drivers.transports import secret
from mgdhw_sim.chip_file import load_chip
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.spec import ChipSpec

XOR: dict[str, Any] = {"device": {"uri": "sim:analog-8bit?layers=2-3-1"}, "data": {"name": "xor"}}


def opened(uri: str) -> Callable[[], object]:
    """Opens a device, as training would."""

    async def work() -> None:
        async with open_device(uri):
            pass

    return lambda: blocking(work(), mgdhw.TrainingHandle())


def train(experiment: Any = XOR, **options: Any) -> Callable[[], object]:
    run = mgdhw.train_replicas if "replicas" in options else mgdhw.train
    return lambda: run(experiment, **{"runs": None, **options})  # type: ignore[operator]


def written(name: str, text: str | bytes) -> Path:
    """A file in the working folder."""
    path = Path(name)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    # experiments
    "no such file": (train("none.toml"), "none.toml: no such file"),
    "a folder": (train("."), "is a folder, not an experiment file"),
    "an endless name": (train("x" * 300), "cannot be read: File name too long"),
    "NUL in a name": (train("a\0b"), "is the name of no file"),
    "no TOML": (lambda: mgdhw.load_experiment(written("a.toml", "[")), "a.toml: not valid TOML"),
    "no text": (lambda: mgdhw.load_experiment(written("a.toml", b"\xff")), "not a text file"),
    "deep TOML": (lambda: mgdhw.load_experiment(written("a.toml", "x = " + "[" * 5000)), "nested too deeply"),
    "deep tables": (lambda: parse_experiment("[data" + ".a" * 5000 + "]", source="a.toml"), "data: "),
    "5,000 digits": (lambda: parse_experiment("seed = " + "9" * 5000, source="a.toml"), "too many digits"),
    "400 digits": (train({**XOR, "seed": 10**400}), "an integer of some 400 digits"),
    "10,000 digits": (train({**XOR, "seed": 10**10_000}), "digits"),
    "400 digits for a float": (train({**XOR, "optimizer": {"eta": 10**400}}), "optimizer.eta: "),
    "400 digits for a parameter": (train({**XOR, "optimizer": {"beta1": 10**400}}), "beta1: expected a finite number"),
    "no experiment": (train(7), "expected a TOML file, a mapping or an Experiment"),
    "keys that are no names": (train({1: 2}), "experiment: 1: "),
    "an unknown key": (train({**XOR, "sed": 1}), "sed: no such key"),
    "an unknown name": (train({**XOR, "codes": {"family": "walch"}}), "did you mean 'walsh'?"),
    "sizes that do not fit": (train({"data": {"name": "xor"}}), "layers=2-"),
    # changes
    "no equals sign": (train(overrides=["seed"]), "change 'seed': expected KEY=VALUE, for example optimizer.eta=0.1"),
    "a value, not a section": (train(overrides=["seed.x=1"]), "change 'seed.x=1': 'seed' is a value, not a section"),
    "out of range": (train(overrides=["seed=-1"]), "change 'seed=-1': seed: "),
    "too many digits": (train(overrides=["seed=" + "9" * 5000]), "change 'seed=9"),
    "too deep": (train(overrides=["seed=" + "[" * 5000]), "change 'seed=[["),
    "one text": (train(overrides="seed=1"), "expected a list of changes, such as ['seed=1']"),
    "no texts": (train(overrides=[("seed", 1)]), "('seed', 1): expected a text"),
    "of a file": (
        lambda: mgdhw.load_experiment(written("a.toml", ""), overrides=["x"]),
        "change 'x': expected KEY=VALUE",
    ),
    # devices
    "no scheme": (train(device="/dev/ttyACM0"), "did you mean serial:/dev/ttyACM0?"),
    "no address": (train(device=7), "device: expected an address"),
    "a class": (train(device=mgdhw.Device), "device: expected an address"),
    "two dots": (opened("tcp:host..name:5510"), "has two dots in a row"),
    "64 letters": (opened(f"tcp:{'a' * 64}.org:5510"), "64 letters between two dots"),
    "NUL": (opened("sim:a\0b.toml"), r"invalid character '\x00' in the address"),
    "a port of 5,000 digits": (opened("tcp:h:" + "9" * 5000), "at most 4,096"),
    "a port of 400 digits": (opened("tcp:h:" + "9" * 400), "expected 1 ... 65535"),
    "a seed of 400 digits": (opened("sim:rram?seed=" + "9" * 400), "an integer of some 400 digits"),
    "a period of 400 digits": (opened("sim:rram?drift_every=" + "9" * 400), "an integer of some 400 digits"),
    "no such port": (opened("serial:/dev/no-such-port?reconnect=0"), "No such file or directory"),
    "no such socket": (opened("unix:no-such.sock?reconnect=0"), "No such file or directory"),
    "an endless socket": (opened(f"unix:{'x' * 200}.sock"), "too long"),
    "no such secret": (opened("tcp:127.0.0.1:1?secret=none&reconnect=0"), "the secret cannot be read"),
    # chips
    "a chip of deep TOML": (lambda: load_chip(written("c.toml", "x = " + "[" * 5000)), "nested too deeply"),
    "a chip of 5,000 digits": (lambda: load_chip(written("c.toml", "seed = " + "9" * 5000)), "too many digits"),
    "a chip of 400 digits": (lambda: load_chip(written("c.toml", "weight_range = " + "9" * 400)), "400 digits"),
    "a size of 400 digits": (lambda: load_chip(written("c.toml", f"layers = [2, {'9' * 400}]")), "400 digits"),
    "a table over 400 digits": (
        lambda: load_chip(written("c.toml", f"signal_range = {'9' * 400}\n[tables]\nactivation = [0, 1]")),
        "400 digits",
    ),
    "a table over no number": (
        lambda: load_chip(written("c.toml", "signal_range = nan\n[tables]\nactivation = [0, 1]")),
        "signal_range=nan",
    ),
    "a table at nobody's home": (
        lambda: load_chip(written("c.toml", '[tables]\nactivation = "~nosuchuser/a.csv"')),
        "tables.activation: ~nosuchuser/a.csv: ",
    ),
    "a table with NUL": (
        lambda: load_chip(written("c.toml", '[tables]\nactivation = "a\\u0000b"')),
        "cannot be read: embedded null byte",
    ),
    "an effect of 400 digits": (lambda: Nonidealities(cost_noise=10**400), "400 digits"),
    "a time of 400 digits": (lambda: Timing(probe_seconds=10**400), "400 digits"),
    "a layer of 10,000 digits": (lambda: ChipSpec(layers=(2, 10**10_000)), "digits"),
    # runs
    "no such run": (train(None, resume="none"), "there is no run none"),
    "an endless run": (train(None, resume="x" * 300), "there is no run"),
    "NUL in a run": (train(None, resume="a\0b"), "there is no run"),
    "run and experiment": (train(resume="x"), "not both"),
    "runs in a file": (train(runs=Path(__file__)), "is no folder"),
    "runs that nobody can name": (train(runs="x" * 300), "a run cannot be made there"),
    "runs with NUL": (train(runs="a\0b"), "a run cannot be made there"),
    "nothing to evaluate": (lambda: mgdhw.evaluate("none"), "there is no run none"),
    "no replicas": (train(replicas=0), "replicas: expected 1 or more"),
    "a million digits of replicas": (train(replicas=10**400), "replicas: expected at most 1,000,000"),
    "half a replica": (train(replicas=2.5), "replicas: expected a whole number"),
    "replicas in words": (train(replicas="3"), "replicas: expected a whole number"),
    # the rest
    "a preset that is none": (
        lambda: blocking(estimate_async(check_experiment({}, source="x"), "rran"), mgdhw.TrainingHandle()),
        "did you mean 'rram'?",
    ),
    "a secret with NUL": (lambda: secret.read(Path("a\0b")), "the secret cannot be read"),
    "faults that are none": (lambda: Faults.parse("drop=" + "9" * 5000), "expected a share"),
    "a dataset without samples": (lambda: Dataset("d", np.zeros((0, 2)), 1.0, np.zeros((0, 1)), 0), "dataset 'd'"),
    "no such dataset": (lambda: mgdhw.load_dataset("digit"), "did you mean 'digits'?"),
}


@pytest.mark.parametrize("notebook", [False, True], ids=["script", "notebook"])
@pytest.mark.parametrize("case", CALLS)
def test_one_typed_error_without_a_chain(
    case: str, notebook: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, says = CALLS[case]
    monkeypatch.chdir(tmp_path)

    async def cell() -> None:
        call()

    run = (lambda: asyncio.run(cell())) if notebook else call
    with pytest.raises(MgdhwError) as raised:
        run()
    error = raised.value
    message = str(error)
    assert says in message
    assert len(message) < 2000, "whatever was given is shown in part"
    assert "--set" not in message
    for link in _chain(error):
        assert link.__context__ is None or link.__suppress_context__, f"raised while {link.__context__!r} was handled"
    assert "During handling" not in "".join(traceback.format_exception(error))


def _chain(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found
