"""Ctrl-C in a terminal: whoever presses it leaves soon, with what was finished, and knows how to go on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.process import hostile_board

from .conftest import command, wait_for
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


def run(job, task):
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
    assert "stopped; finished results are in study/robustness.csv; repeat the command to continue" in seen.shown
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


NAMES_ITSELF = ONE_THAT_ENDS.replace('Path("begun").touch()', 'Path(f"worker-{os.getpid()}").touch()').replace(
    "import time\n", "import os\nimport time\n"
)


def is_gone(process: int) -> bool:
    """Whether a process has ended; what is left of it may wait for somebody to ask how."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_workers_of_a_study_that_was_killed(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    line = program(tmp_path, NAMES_ITSELF, *STUDY, "--workers", "2")
    process = subprocess.Popen(line, cwd=tmp_path, env=unmeasured, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list(tmp_path.glob("worker-*"))) >= 2, process)
    finally:
        process.kill()
        process.wait()
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*")]
    wait_for(lambda: all(is_gone(worker) for worker in workers))


COMPILES_FOR_EVER = """
import time
from pathlib import Path

from mgdhw.study import drift


def run(course, seed):
    Path("begun").touch()
    while True:
        time.sleep(3600)


drift.run = run
"""


def test_a_study_of_chips_that_decay(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    with terminal(program(tmp_path, COMPILES_FOR_EVER, "study", "drift"), tmp_path, unmeasured) as seen:
        seen.wait_for(lambda _: (tmp_path / "begun").exists())
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
    assert "stopped; no chip was finished" in seen.shown
    assert "Traceback" not in seen.shown


LONG_IN_THE_COMPILER = """
import time
from pathlib import Path

from mgdhw_sim.engines import Engine, choose


def compiling(self, chip, segment):
    Path("begun").touch()
    while True:
        time.sleep(3600)


type(choose("auto")).learn = compiling
"""


def test_twice_while_the_compiler_works(
    folder: Path, unmeasured: dict[str, str], mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    """Or a probe that takes for ever: whoever asks twice leaves, and the run can be resumed."""
    line = program(folder, LONG_IN_THE_COMPILER, "train", "short.toml")
    with terminal(line, folder, unmeasured) as seen:
        seen.wait_for(lambda _: (folder / "begun").exists())
        seen.press_ctrl_c()
        seen.wait_for(lambda shown: "press Ctrl-C again to stop immediately" in shown)
        seen.press_ctrl_c()
        assert seen.end() == 130, seen.shown
    assert "Traceback" not in seen.shown
    (command,) = re.findall(r"mgdhw (train --resume \S+)", seen.shown)
    assert summary(mgdhw(*command.split(), "--json"))["digest"] == digest_of(folder / "short.toml")


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_huge_batch(folder: Path, unmeasured: dict[str, str], times: int) -> None:
    """A million samples a probe: a request is one probe, of seconds, and nobody waits for it who asks twice."""
    line = program(folder, "", "train", "--set", "training.batch=1048576")
    with terminal(line, folder, unmeasured) as seen:
        seen.wait_for(lambda shown: "%" in shown)
        time.sleep(1.0)  # somewhere in the first probe, or in what compiles it
        began = time.monotonic()
        for number in range(times):
            seen.press_ctrl_c()
            seen.wait_for(lambda shown, n=number: n > 0 or "stopping after this block" in shown)  # type: ignore[misc]
        assert seen.end() == 130, seen.shown
    assert time.monotonic() - began < (40 if times == 1 else 10)
    assert "Traceback" not in seen.shown
    assert "mgdhw train --resume" in seen.shown


UNDER_A_LOOP = """
import asyncio
import mgdhw


async def main():
    print("begun", flush=True)
    mgdhw.train("long.toml", overrides=["training.probes=100_000_000"])
    print("not to be reached")


asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio.run", "a notebook's"])
def test_a_blocking_call_under_a_running_loop(folder: Path, unmeasured: dict[str, str], reach: Any, loop: str) -> None:
    """The first Ctrl-C stops the training, and is raised when that is done."""
    script = folder / "script.py"
    text = UNDER_A_LOOP
    if loop != "asyncio.run":  # which leaves Python's own handler of SIGINT in place
        text = text.replace("asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())")
    script.write_text(text)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=folder, env=unmeasured, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        reach(process, folder / "runs", 100)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert out == "begun\n"
    (run,) = (folder / "runs").iterdir()
    assert f"KeyboardInterrupt: training was stopped; resume with: mgdhw train --resume runs/{run.name}" in err
    assert json.loads((run / "summary.json").read_text())["reason"] == "stopped"


OPENS_SLOWLY = """
import asyncio
import mgdhw
from mgdhw_sim.uri import parse
from mgdhw_sim.device import SimDevice


class Slow(SimDevice):
    async def __aenter__(self):
        print("opening", flush=True)
        await asyncio.sleep(3600)


async def main():
    mgdhw.train("short.toml", device=Slow("sim:analog-8bit", parse("sim:analog-8bit")))


asyncio.run(main())
"""


def test_a_blocking_call_whose_device_is_being_opened(folder: Path, unmeasured: dict[str, str]) -> None:
    script = folder / "script.py"
    script.write_text(OPENS_SLOWLY)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=folder, env=unmeasured, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "opening\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err


@pytest.mark.long
def test_twice_in_a_training(
    folder: Path, unmeasured: dict[str, str], reach: Any, mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    line = program(folder, "", "train", "longer.toml")
    with terminal(line, folder, unmeasured) as seen:
        reach(seen.process, folder / "runs", 100)
        seen.press_ctrl_c()
        seen.wait_for(lambda shown: "press Ctrl-C again to stop immediately" in shown)
        seen.press_ctrl_c()
        seen.end()
    (command,) = re.findall(r"mgdhw (train --resume \S+)", seen.shown)
    assert summary(mgdhw(*command.split(), "--json"))["digest"] == digest_of(folder / "longer.toml")


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
    assert "resume with" in seen.shown or "no training was started" in seen.shown, seen.shown
    assert "Traceback" not in seen.shown


@pytest.mark.long
@pytest.mark.parametrize("level", ["host-codes", "device-codes"])
def test_a_board_that_is_frozen(level: str, folder: Path, unmeasured: dict[str, str], reach: Any) -> None:
    socket = folder / "socket"
    with subprocess.Popen(command("serve", "sim:analog-8bit?layers=2-3-1", "--unix", str(socket))) as board:
        try:
            line = command("train", "long.toml", "--device", f"unix:{socket}?dead_man=0", "--level", level)
            with terminal(line, folder, unmeasured) as seen:
                reach(seen.process, folder / "runs", 20)
                board.send_signal(signal.SIGSTOP)
                seen.press_ctrl_c()
                seen.wait_for(lambda shown: "press Ctrl-C again to stop immediately" in shown)
                pressed = time.monotonic()
                seen.press_ctrl_c()
                assert seen.end() == 130, seen.shown
            assert time.monotonic() - pressed < 12.0  # twice two seconds or so, on a machine that does nothing else
            assert "resume with" in seen.shown, seen.shown
        finally:
            board.send_signal(signal.SIGCONT)
            board.terminate()
