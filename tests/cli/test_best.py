"""The best θ from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mgdhw.runs import Run

EXPERIMENT = """
name = "xor"
[device]
uri = "sim:analog-8bit?layers=2-3-1"
[data]
name = "xor"
[training]
probes = 600
tau_theta = 20
[evaluation]
every = 100
[optimizer]
eta = 0.2
"""


def test_it_is_said_evaluated_and_begun_from(mgdhw: Any, tmp_path: Path) -> None:
    (tmp_path / "xor.toml").write_text(EXPERIMENT)
    done = mgdhw("train", "xor.toml")
    assert done.code == 0, done.err
    line = re.search(r"best +([\d.]+ %) at probe ([\d,]+) \(kept: mgdhw evaluate (\S+) --best\)", done.out)
    assert line is not None, done.out
    score, step, run = line.groups()
    evaluated = mgdhw("evaluate", run, "--best")
    assert evaluated.out.startswith(f"{run}, after {step} probes")
    assert score in evaluated.out
    begun = mgdhw("train", "--from", run, "--best", "--json", "--quiet", "--set", "training.probes=100")
    assert begun.code == 0, begun.err
    found = json.loads(begun.out)
    assert found["probes"] == 100
    assert found["best"]["step"] <= 100
    origin = Run(tmp_path / found["run"]).provenance()["start"]
    assert (origin["at"], origin["step"]) == ("best", int(step))


def test_options_that_do_not_fit_together(mgdhw: Any) -> None:
    for arguments, says in (
        (["--best"], "--best: says which θ of a run training begins with; expected --from RUN, too"),
        (["--from", "a", "--resume", "b"], "--from: not allowed with --resume"),
        (["--from", "a", "--replicas", "2"], "--from: not allowed with --resume, .* nor with --replicas"),
        (["--from", "a"], "there is no run a"),
    ):
        done = mgdhw("train", *arguments)
        assert done.code == 1
        assert re.search(says, done.err), done.err
