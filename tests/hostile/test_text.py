"""Whatever text comes from outside - addresses, files, changes, the environment - one typed error answers.

Seeded: the same inputs each time. `python -m tests.hostile.test_text SEED` looks at others until it is interrupted.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.device.uri import suggest_address
from mgdhw.errors import MgdhwError
from mgdhw.estimate import address
from mgdhw.experiment.resolve import default_experiment
from mgdhw.experiment.schema import check_experiment, parse_experiment, to_toml
from mgdhw.runs import Run, find_run, read_replicas
from mgdhw.study.robustness import from_csv
from mgdhw_drivers.server.fault_injection import Faults
from mgdhw_drivers.transports import secret
from mgdhw_drivers.transports.transport import installed_transports
from mgdhw_sim.chip_file import load_chip
from mgdhw_sim.chip_file import to_toml as chip_to_toml
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.uri import parse as parse_chip
from tests.hostile.text import gone_wrong

URIS = [
    "sim:analog-8bit?layers=2-3-1&activation=tanh&weight_bits=8&weight_range=4&input_bipolar=true&seed=7",
    "sim:rram?weight_bits=8&dw_min=0.004&drift_every=10&retention=1e6&temperature_std=1&codes=host&engine=numba",
    "sim:pcm?cost=xent&cost_range=8&cost_bits=12&endurance=1e+06",
    "sim:mine.toml?seed=1",
    "serial:/dev/ttyACM0?baud=115200&line=uart&timeout=3",
    "serial:COM3",
    "tcp:192.168.0.7:5510?reconnect=30&dead_man=5&secret=~/secret",
    "tcp:[fe80::1%eth0]:5510",
    "tcp:lab.example.org:5510?slew=0.5&stress=200&progress=600",
    "unix:/run/user/1000/board.sock?timeout=1",
    "192.168.0.7:5510",
    "/dev/ttyUSB0?baud=9600",
]
EXPERIMENTS = [default_experiment(), to_toml(check_experiment({}, source="test"))]
CHANGES = [
    "optimizer.eta=0.05", "optimizer={name='sgd', eta=1.0}", "training.probes=1_000", "codes.family=walsh", "seed=3",
    "device.uri=sim:rram?seed=1", "data.name=npz:~/a.npz", "data.flips=3", "evaluation.stop_at_accuracy=0.9", "name=x",
]  # fmt: skip
CHIPS = [
    *(chip_to_toml(PRESETS[name]) for name in ("analog-8bit", "rram", "microring")),
    'layers = [2, 4, 1]\nsignal_range = 4\n[tables]\nactivation = "m.csv"\noutput_activation = [0, 1, 2.5]\n',
    "signal_range = 4.0\n[tables]\ncost = [[-1, 1], [-0.2, 0.1], [0, 0], [1, 1]]\nactivation = [0, 0.5, 1]\n",
]
POINTS = ["input,output\n-4,0.02\n-1,0.1\n0,0.5\n1,0.9\n4,0.98\n", "# measured\n0,0\n1,1\n"]
SECRETS = ["0123456789abcdef" * 4 + "\n"]
TRANSPORTS = installed_transports()
FAULTS = ["drop=0.01,corrupt=0.01,dup=0.01,split=0.01,delay=5ms,late=0.01,reboot=0.0001,unplug=0.0001,away=200ms"]
JSON = ['{"base": "/x", "device": {"identity": "1"}, "sessions": [{"a": [1, 2.5, null, true]}], "replicas": 3}']
STUDY = [
    "task,axis,value,replica,solved,probes,evaluations,accuracy\nxor,mismatch,0.1,3,True,1000,2000,1.0\n",
]
REPLICAS = ["replica,seed,reason,accuracy,cost,probes,evaluations,updates,digest\n0,0,done,1.0,0.1,1000,2000,3,ab01\n"]
RUNS = ["digits-20261123-004012", "runs/digits-20261123-004012", "../x", ""]


def opened(draw: random.Random, folder: Path) -> None:
    open_device(gone_wrong(draw, URIS))


def an_address(draw: random.Random, folder: Path) -> None:
    """Without a look at what is installed, which takes longer than all the rest."""
    uri = gone_wrong(draw, URIS)
    scheme = uri.partition(":")[0]
    suggest_address(uri, ("serial", "sim", "tcp", "unix"), PRESETS)
    if scheme in TRANSPORTS:
        TRANSPORTS[scheme].open_device(uri)
    else:
        parse_chip(f"sim:{uri.removeprefix('sim:')}")


def an_experiment(draw: random.Random, folder: Path) -> None:
    read = parse_experiment(gone_wrong(draw, EXPERIMENTS), source="a.toml")
    parse_experiment(to_toml(read), source="what was read")


def a_change(draw: random.Random, folder: Path) -> None:
    parse_experiment("", source="a.toml", overrides=[gone_wrong(draw, CHANGES), gone_wrong(draw, CHANGES)])


def a_chip(draw: random.Random, folder: Path) -> None:
    _written(folder / "m.csv", gone_wrong(draw, POINTS))
    load_chip(_written(folder / "chip.toml", gone_wrong(draw, CHIPS)))


def a_secret(draw: random.Random, folder: Path) -> None:
    path = _written(folder / "secret", gone_wrong(draw, SECRETS))
    path.chmod(0o600)
    secret.read(path)


def faults(draw: random.Random, folder: Path) -> None:
    Faults.parse(gone_wrong(draw, FAULTS))


def a_run(draw: random.Random, folder: Path) -> None:
    run = Run(folder)
    _written(run.experiment_file, gone_wrong(draw, EXPERIMENTS))
    _written(run.provenance_file, gone_wrong(draw, JSON))
    _written(run.summary_file, gone_wrong(draw, JSON))
    _written(run.replicas_file, gone_wrong(draw, REPLICAS))
    for read in (run.experiment, run.provenance, run.summary, run.replicas, lambda: read_replicas(run)):
        try:
            read()
        except MgdhwError:
            continue


def a_name(draw: random.Random, folder: Path) -> None:
    (address if draw.random() < 0.5 else find_run)(gone_wrong(draw, RUNS))


def a_study(draw: random.Random, folder: Path) -> None:
    from_csv(gone_wrong(draw, STUDY), "robustness.csv")


def the_environment(draw: random.Random, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MGDHW_SECRETS", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, gone_wrong(draw, [str(folder), "/tmp", "~", ""]).replace("\0", ""))
        secret.find(5510)


KINDS: dict[str, tuple[Callable[[random.Random, Path], None], int]] = {
    "a device": (opened, 100),
    "an address": (an_address, 2000),
    "an experiment": (an_experiment, 300),
    "a change": (a_change, 600),
    "a chip": (a_chip, 400),
    "a secret": (a_secret, 200),
    "faults": (faults, 500),
    "a run": (a_run, 60),
    "a name": (a_name, 300),
    "a study": (a_study, 300),
    "the environment": (the_environment, 200),
}
"""What reads it, and how many inputs it is given."""


@pytest.mark.parametrize("kind", KINDS)
def test_only_typed_errors(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read, count = KINDS[kind]
    refused = tried(read, random.Random(f"{kind} 1"), count, tmp_path)
    assert count / 10 < refused or kind in ("a run", "the environment"), "it is hostile"


def tried(read: Callable[[random.Random, Path], None], draw: random.Random, count: int, folder: Path) -> int:
    """How many inputs were refused. Raises what is no typed error."""
    refused = 0
    for number in range(count):
        refusal: MgdhwError | None = None
        try:
            read(draw, folder)
        except MgdhwError as error:
            refusal = error
        except Exception as error:
            error.add_note(f"input {number} of {read.__name__}")
            raise
        if refusal is not None:
            refused += 1
            assert refusal.__context__ is None or refusal.__suppress_context__
            assert len(str(refusal)) < 20_000, str(refusal)[:500]
    return refused


def _written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


if __name__ == "__main__":
    seed = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        while True:
            for what, (reads, how_often) in KINDS.items():
                tried(reads, random.Random(f"{what} {seed}"), how_often, Path(name))
            seed += 1
            sys.stdout.write(f"{seed}\r")
