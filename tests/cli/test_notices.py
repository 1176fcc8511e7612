"""What engines have to say reaches whoever watches, and no script."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mgdhw.cli.log_forwarding import forward_logs
from mgdhw.cli.progress import _Bar
from mgdhw.cli.training_metrics import TrainingMetrics
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.reference import Reference
from tests.helpers.chips import CHIP

LOG = logging.getLogger("mgdhw.engine")
DECLINED = "code family 'random' runs on the reference engine, which is slower\n"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    file = tmp_path / "continuous.toml"
    file.write_text(
        f'[device]\nuri = "{CHIP}&engine=reference"\n[data]\nname = "xor"\n'
        '[training]\nprobes = 200\ntau_theta = 20\nmode = "continuous"\n'
    )
    return file


def test_what_is_declined_is_said_once_and_not_on_stdout(
    mgdhw: Any, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(kernel_args.FAMILIES, "random")  # as if it were a new one, without a kernel
    train = ("train", str(experiment), "--device", CHIP)
    done = mgdhw(*train, "--set", "run.block=10")
    assert (done.code, done.err) == (0, DECLINED)
    assert DECLINED not in done.out
    done = mgdhw(*train, "--json")
    assert DECLINED in done.err
    assert json.loads(done.out)["reason"] == "done"
    assert mgdhw(*train, "--quiet").err == ""


def test_what_goes_on_is_a_line_of_progress(mgdhw: Any, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = Reference.learn

    def compiling(self: Reference, *work: Any) -> Any:
        monkeypatch.setattr(Reference, "learn", learn)
        LOG.info("compiling")
        return learn(self, *work)

    for arguments, where in (((), "out"), (("--json",), "err"), (("--quiet",), None)):
        monkeypatch.setattr(Reference, "learn", compiling)
        done = mgdhw("train", str(experiment), *arguments)
        shown = {name: "compiling\n" in getattr(done, name) for name in ("out", "err")}
        assert shown == {name: name == where for name in ("out", "err")}


@pytest.mark.parametrize("arguments", [(), ("--quiet",), ("--replicas", "2")], ids=["train", "quiet", "replicas"])
def test_compiling_is_not_counted_as_probing(
    mgdhw: Any, experiment: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    compiled = 0.0
    learn, monotonic = Reference.learn, time.monotonic

    def compiling(self: Reference, *work: Any) -> Any:
        nonlocal compiled
        monkeypatch.setattr(Reference, "learn", learn)
        LOG.info("compiling")
        compiled = 1000.0
        return learn(self, *work)

    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + compiled)
    monkeypatch.setattr(Reference, "learn", compiling)
    done = mgdhw("train", str(experiment), "--set", "run.block=20", *arguments)
    (line,) = [line for line in done.out.splitlines() if line.startswith("time ")]
    found = re.fullmatch(r"time +16:4\d, 16:4\d of it waiting for the device, ([\d.,]+)k? probes/s", line)
    assert found is not None, line
    assert "k probes/s" in line or float(found[1].replace(",", "")) > 1  # 200 in 1000 s would be less


def test_what_goes_on_is_shown_in_the_bar() -> None:
    console = Console(width=60)
    with console.capture() as captured:
        console.print(_Bar(TrainingMetrics(), "compiling the chip"))
    assert captured.get().splitlines()[-1] == "compiling the chip"


ARGUMENTS = [(), ("--level", "host-codes"), ("--replicas", "2"), ("--replicas", "2", "--level", "host-codes")]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_learning_rate_that_throws_parameters_to_their_limits(
    mgdhw: Any, experiment: Path, optimizer: str, arguments: tuple[str, ...]
) -> None:
    common = ("train", str(experiment), "--set", "training.mode=discrete", "--set", f"optimizer.name={optimizer}")
    done = mgdhw(*common, *arguments, "--set", "optimizer.eta=1e300")
    assert done.code == 0
    (line,) = [line for line in (done.out + done.err).splitlines() if "of the parameters" in line]
    assert re.fullmatch(
        r"\d+ % of the parameters are at the ends of their range after [\d,]+ updates?; a smaller optimizer.eta"
        r" \(it is 1e\+300\) moves them less",
        line,
    )
    assert "of the parameters" not in mgdhw(*common, *arguments).err


def test_afterwards_logging_is_as_it_was() -> None:
    logger = logging.getLogger("mgdhw")
    before = (logger.level, logger.propagate, list(logger.handlers))
    doing: list[str] = []
    said: list[str] = []
    with forward_logs(doing.append, said.append):
        LOG.info("compiling")
        LOG.warning("%s is slow", "it")
        LOG.debug("nobody's business")
    assert (doing, said) == (["compiling"], ["it is slow"])
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
