"""Users' mistakes get a message that names the thing and the remedy, never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

GOOD = 'name = "xor"\n[device]\nuri = "sim:analog-8bit?layers=2-3-1"\n[data]\nname = "xor"\n'

BAD_FILES = {
    "not toml": ("[device\n", "bad.toml: not valid TOML"),
    "unknown section": ("[devise]\n", "devise: no such key; did you mean 'device'?"),
    "unknown key": ("[training]\nprobs = 3\n", "training.probs: no such key; did you mean 'probes'?"),
    "wrong type": ('[training]\nprobes = "many"\n', "training.probes:"),
    "negative": ("[training]\nprobes = -1\n", "training.probes:"),
    "not finite": ("[optimizer]\neta = inf\n", "optimizer.eta:"),
    "unknown scheme": ('[device]\nuri = "gpib:7"\n', "no driver for scheme 'gpib'"),
    "unknown preset": ('[device]\nuri = "sim:analog-9bit"\n', "did you mean 'analog-8bit'?"),
    "unknown option": ('[device]\nuri = "sim:analog-8bit?layer=2-1"\n', "did you mean 'layers'?"),
    "layers that do not fit": ('[data]\nname = "xor"\n', "for example layers=2-"),
    "unknown dataset": ('[data]\nname = "digit"\n', "did you mean 'digits'?"),
    "unknown data option": ('[data]\nname = "digits"\nsed = 1\n', "did you mean 'seed'?"),
    "no such data file": ('[data]\nname = "npz:mine.npz"\n', "mine.npz: no such file"),
    "a step too small": ("[codes]\ndelta = 1e-9\n", "codes.delta:"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(mgdhw: Any, tmp_path: Path, case: str) -> None:
    text, message = BAD_FILES[case]
    (tmp_path / "bad.toml").write_text(text)
    done = mgdhw("train", "bad.toml")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert message in done.err
    assert not (tmp_path / "runs").exists()


BAD_CALLS = {
    "no such file": (["train", "none.toml"], 1, "`mgdhw new none.toml` writes one"),
    "a folder": (["train", "."], 1, "is a folder"),
    "no such run": (["train", "--resume", "runs/none"], 1, "there is no run runs/none"),
    "no run to evaluate": (["evaluate", "none"], 1, "there is no run none"),
    "file and run": (["train", "good.toml", "--resume", "x"], 1, "not both"),
    "no equals sign": (["train", "good.toml", "--set", "seed"], 1, "expected KEY=VALUE"),
    "negative seed": (["train", "good.toml", "--seed", "-1"], 1, "seed:"),
    "no scheme": (["train", "good.toml", "--device", "chip"], 1, "for example sim:analog-8bit"),
    "unknown level": (["train", "good.toml", "--level", "device"], 2, "host-codes"),
    "unknown flag": (["train", "good.toml", "--jsn"], 2, "--jsn"),
    "unknown command": (["trian"], 2, "trian"),
    "a number that is none": (["train", "--seed", "x"], 2, "x"),
    "a file where runs go": (
        ["train", "good.toml", "--runs", "good.toml"],
        1,
        "runs folder good.toml: a run cannot be made there: good.toml is no folder; choose one with --runs FOLDER",
    ),
    "a file above where runs go": (["train", "good.toml", "--runs", "good.toml/x/y"], 1, "good.toml is no folder"),
    "a change to something else": (
        ["train", "good.toml", "--set", "seed=-1"],
        1,
        "error: change 'seed=-1': seed: input should be greater than or equal to 0 (got -1)",
    ),
    "two devices": (["train", "good.toml", "--device", "sim:rram", "--device", "sim:pcm"], 2, "more than once"),
    "two seeds": (["check", "sim:rram", "--seed", "1", "--seed=2"], 2, "--seed is given more than once"),
    "two ports": (["sim", "serve", "rram", "--tcp", "1", "--tcp", "2"], 2, "--tcp is given more than once"),
    "two pictures": (["sim", "show", "rram", "--plot", "a", "--plot", "b"], 2, "--plot is given more than once"),
    "a seed beyond all": (
        ["check", "sim:rram", "--seed", "9" * 400],
        1,
        "--seed an integer of some 400 digits: expected",
    ),
    "a study without end": (["study", "drift", "--constants", "inf"], 2, "--constants"),
    "two studies": (
        ["study", "drift", "--device", "sim:pcm", "--device", "sim:rram"],
        2,
        "--device is given more than once",
    ),
    "a serial port as an experiment": (["train", "/dev/ttyACM0"], 1, "expected --device serial:/dev/ttyACM0"),
    "a chip as an experiment": (
        ["train", "sim:analog-8bit?seed=1"],
        1,
        "is the address of a device, not an experiment file; expected --device 'sim:analog-8bit?seed=1', beside",
    ),
    "a serial port": (["train", "good.toml", "--device", "/dev/ttyACM0"], 1, "did you mean serial:/dev/ttyACM0?"),
    "a port": (["check", "192.168.0.7:5510"], 1, "did you mean tcp:192.168.0.7:5510?"),
    "no replicas": (["train", "good.toml", "--replicas", "0"], 1, "replicas: expected 1 or more (got 0)"),
    "replicas that are no number": (["train", "--replicas", "many"], 2, "--replicas"),
    "replicas and resume": (["train", "--resume", "x", "--replicas", "3"], 1, "not allowed with --resume"),
    "too many seeds": (["train", "good.toml", "--replicas", "9", "--seed", "9223372036854775807"], 1, "a smaller one"),
    "new in no folder": (["new", "none/mine.toml"], 1, "none/mine.toml: cannot be written"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls(mgdhw: Any, tmp_path: Path, case: str) -> None:
    arguments, code, message = BAD_CALLS[case]
    (tmp_path / "good.toml").write_text(GOOD)
    done = mgdhw(*arguments)
    assert (done.code, done.out) == (code, ""), done.err
    assert message in done.err
    assert "Traceback" not in done.err
