"""Ctrl-C in a terminal: whoever presses it leaves soon, with what was finished, and knows how to go on."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.process import hostile_board

from .conftest import command
from .terminal import terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")


def program(folder: Path, text: str, *arguments: str) -> list[str]:
    """The command line of a program that runs `mgdhw` with something changed, in every process that it begins."""
    file = folder / "changed.py"
    file.write_text(text + '\nif __name__ == "__main__":\n    from mgdhw.cli.main import main\n\n    main()\n')
    return [sys.executable, "-W", "error", str(file), *arguments]


STUDY = ("study", "robustness", "--axis", "stuck", "--task", "nist7x7")
ONE_THAT_ENDS = """
import time
from contextlib import suppress
from pathlib import Path

from mgdhw.study import robustness


def run(job):
    if job.value == 0:
        return robustness.Row(job.task, job.axis, job.value, job.replica, True, 100, 200, 0.95)
    Path("begun").touch()
    while True:  # as a training that has long to go, and minds no signal
        with suppress(KeyboardInterrupt):
            time.sleep(3600)


robustness.run = run
"""


def test_a_study_of_many_trainings(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    line = program(tmp_path, ONE_THAT_ENDS, *STUDY, "--workers", "2")
    table, begun = tmp_path / "study" / "robustness.csv", tmp_path / "begun"
    with terminal(line, tmp_path, unmeasured) as seen:
        seen.wait_for(lambda _: table.exists() and begun.exists())
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
    assert "stopped; what is done is in study/robustness.csv, and the same command goes on from there" in seen.shown
    assert "Traceback" not in seen.shown
    assert table.read_text().splitlines()[1:] == ["nist7x7,stuck,0,0,True,100,200,0.95"]


def test_a_study_of_which_nothing_is_finished(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    none_ends = ONE_THAT_ENDS.replace("job.value == 0", "False")
    line = program(tmp_path, none_ends, *STUDY, "--workers", "1")
    with terminal(line, tmp_path, unmeasured) as seen:
        seen.wait_for(lambda _: (tmp_path / "begun").exists())
        seen.process.terminate()
        assert seen.end() == 143, seen.shown
    assert "stopped; no training was finished" in seen.shown
    assert "Traceback" not in seen.shown


COMPILES_FOR_EVER = """
import asyncio
import time
from pathlib import Path

from mgdhw_sim.device import SimDevice


def compiling():
    Path("begun").touch()
    while True:
        time.sleep(3600)


async def learn(self, segment):
    await asyncio.to_thread(compiling)


SimDevice.learn = learn
"""


def test_a_study_of_one_training(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    with terminal(program(tmp_path, COMPILES_FOR_EVER, "study", "drift"), tmp_path, unmeasured) as seen:
        seen.wait_for(lambda _: (tmp_path / "begun").exists())
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
    assert "stopped; nothing is kept, and the same command begins again" in seen.shown
    assert "Traceback" not in seen.shown


@pytest.mark.long
def test_twice_in_a_training(
    folder: Path, unmeasured: dict[str, str], reach: Any, mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    line = program(folder, "", "train", "long.toml")
    with terminal(line, folder, unmeasured) as seen:
        reach(seen.process, folder / "runs", 100)
        seen.press_ctrl_c()
        seen.wait_for(lambda shown: "Ctrl-C again to stop at once" in shown)
        seen.press_ctrl_c()
        seen.end()
    (command,) = re.findall(r"mgdhw (train --resume \S+)", seen.shown)
    assert summary(mgdhw(*command.split(), "--json"))["digest"] == digest_of(folder / "long.toml")


@pytest.mark.long
@pytest.mark.parametrize("line", ["values without an end", "pings, done stays", "text, slowly", "noise", "echo"])
def test_a_board_that_would_keep_one_waiting_for_ever(line: str, folder: Path, unmeasured: dict[str, str]) -> None:
    with hostile_board(f"line, from LEARN: {line}") as address:
        board = f"{address}?timeout=600&progress=600&reconnect=600"
        with terminal(command("train", "short.toml", "--device", board), folder, unmeasured) as seen:
            seen.wait_for(lambda shown: "Δ = " in shown)
            seen.press_ctrl_c()
            seen.wait_for(lambda shown: "stopping after this block" in shown)
            pressed = time.monotonic()
            seen.press_ctrl_c()
            assert seen.end() == 130, seen.shown
    assert time.monotonic() - pressed < 10.0  # two seconds or so, on a machine that does nothing else
    assert "resume with" in seen.shown or "nothing was begun" in seen.shown, seen.shown
    assert "Traceback" not in seen.shown
