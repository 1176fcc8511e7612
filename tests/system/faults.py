"""Seeded scenarios of what goes wrong between host and board, with real processes.

Play N of them with `python -m tests.system.faults [N]`, and against the C core with
`python -m tests.system.faults N build/mgdhw-host` (`make` in drivers/mgdhw_drivers/firmware).

In each, `mgdhw train` runs in a process of its own against `mgdhw serve` in another, over TCP or a pseudo-terminal,
with 1 % each of dropped, corrupted, doubled, split and late frames, reboots and unplugs; in some the host or the board
is killed (SIGKILL) at a random point and begun again. Whatever happens, the run, resumed where it ended with an error,
must come to the digest of the same training in one process. A table tells how each went.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.chips import REFERENCE_CHIP
from tests.helpers.sockets import free_port

SECONDS = 60.0
RESUMES = 12
LINE = "drop=0.01,corrupt=0.01,dup=0.01,split=0.01,delay=5ms,late=0.01"
IN_C = Path(__file__).with_name("board_in_c.py")
LAYERS = "layers=2-3-1"
EXPERIMENT = """
name = "faults"
[device]
uri = "{chip}"
[data]
name = "xor"
[training]
probes = {probes}
tau_theta = 20
[evaluation]
every = 400
[run]
checkpoint_seconds = 0.05
block = 10
level = "{level}"
retries = 6
"""
PROBES = {"host-codes": 120, "device-codes": 1200, "learn": 1200}


@dataclass(frozen=True)
class Scenario:
    """What goes wrong in one training.

    Args:
        seed: of everything.
        transport: tcp or pty.
        level: of delegation.
        faults: of the line and the board.
        killed: who is killed: host, board, or nobody.
    """

    seed: int
    transport: str
    level: str
    faults: str
    killed: str

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of a seed."""
        draw = random.Random(seed)
        level = ("host-codes", "device-codes", "learn")[seed // 2 % 3]
        extra = ("", ",reboot=0.01", ",unplug=0.01,away=100ms", ",reboot=0.005,unplug=0.005,away=100ms")[
            draw.randrange(4)
        ]
        return cls(seed, ("tcp", "pty")[seed % 2], level, LINE + extra, ("nobody", "host", "board")[draw.randrange(3)])


@dataclass(frozen=True)
class Ending:
    """How a scenario went: whether it came to the right digest, after how many resumes, and what was said."""

    holds: bool
    resumes: int
    seconds: float
    said: str


def command(*arguments: str) -> list[str]:
    """The command line of `mgdhw` with this interpreter."""
    return [sys.executable, "-c", "from mgdhw.cli.main import main; main()", *arguments]


class Board:
    """A board in a process of its own, which can be killed and begun again at the same address.

    Args:
        scenario: its line, and what goes wrong on it.
        folder: of a pseudo-terminal's name.
        program: the C core's; None: `mgdhw serve`.
    """

    def __init__(self, scenario: Scenario, folder: Path, program: Path | None) -> None:
        self._command = (
            command("serve", REFERENCE_CHIP) if program is None else [sys.executable, str(IN_C), str(program), LAYERS]
        )
        self._where = (
            ["--tcp", str(free_port())] if scenario.transport == "tcp" else ["--pty", "--link", str(folder / "port")]
        )
        self._scenario = scenario
        self._begun = 0
        self._process: subprocess.Popen[str]
        self.address = ""

    def start(self) -> None:
        """Begin, and wait until it serves."""
        options = ["--faults", self._scenario.faults, "--seed", str(self._scenario.seed * 1000 + self._begun)]
        self._begun += 1
        self._process = subprocess.Popen(
            [*self._command, *self._where, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = re.search(r" at (\S+)", self._process.stdout.readline())
        assert said is not None, "the board does not serve"
        self.address = said.group(1)

    def end(self, number: int) -> None:
        """By a signal, to all of its processes."""
        os.killpg(self._process.pid, number)
        self._process.communicate(timeout=SECONDS)


def write_experiment(folder: Path, level: str, device: str) -> Path:
    """The experiment as a file."""
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(chip=device, probes=PROBES[level], level=level))
    return path


def play(scenario: Scenario, folder: Path, wanted: str, program: Path | None = None) -> Ending:
    """Go through a scenario, in an empty folder, to the digest that is wanted."""
    began = time.monotonic()
    draw = random.Random(scenario.seed + 1_000_000)
    board, said = Board(scenario, folder, program), ""
    board.start()
    try:
        experiment = write_experiment(folder, scenario.level, REFERENCE_CHIP)
        arguments = ["train", str(experiment), "--device", board.address, "--json", "--quiet"]
        kill_after: float | None = draw.uniform(0.0, 1.5) if scenario.killed != "nobody" else None
        for resumes in range(RESUMES):
            host = subprocess.Popen(
                command(*arguments), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            if kill_after is not None:
                while host.poll() is None and not list(folder.glob("runs/[!.]*/experiment.toml")):
                    time.sleep(0.01)
                time.sleep(kill_after)  # a random point of the training is what is wanted
                kill_after = None
                if scenario.killed == "host":
                    host.kill()
                else:
                    board.end(signal.SIGKILL)
                    board.start()
            out, err = host.communicate(timeout=SECONDS)
            if host.returncode == 0:
                return Ending(json.loads(out)["digest"] == wanted, resumes, time.monotonic() - began, said)
            said = said or _last_line(err) or "killed"
            if host.returncode > 0 and "Traceback" in err:
                return Ending(False, resumes, time.monotonic() - began, f"no typed error: {_last_line(err)}")
            if list(folder.glob("runs/[!.]*/experiment.toml")):
                (run,) = folder.glob("runs/[!.]*")
                arguments = ["train", "--resume", str(run), "--device", board.address, "--json", "--quiet"]
        return Ending(False, RESUMES, time.monotonic() - began, said)
    finally:
        board.end(signal.SIGTERM)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


def digests() -> dict[str, str]:
    """The digest of each level's training in this process."""
    import mgdhw

    with tempfile.TemporaryDirectory() as folder:
        return {
            level: mgdhw.train(write_experiment(Path(folder), level, REFERENCE_CHIP), runs=None).digest
            for level in PROBES
        }


def main(count: int, say: Callable[[str], object], program: Path | None = None) -> int:
    """Play scenarios 0 ... count - 1; the number of those that went wrong."""
    wanted, wrong = digests(), 0
    say(
        f"{'seed':>4}  {'over':4} {'level':13} {'killed':7} {'resumes':>7} {'seconds':>8}  ends   faults; what was said"
    )
    for seed in range(count):
        scenario = Scenario.of(seed)
        with tempfile.TemporaryDirectory() as folder:
            ending = play(scenario, Path(folder), wanted[scenario.level], program)
        wrong += not ending.holds
        ends = "right" if ending.holds else "WRONG"
        extra = scenario.faults.removeprefix(LINE).lstrip(",")
        say(
            f"{seed:4}  {scenario.transport:4} {scenario.level:13} {scenario.killed:7} {ending.resumes:7}"
            f" {ending.seconds:8.1f}  {ends}  {extra} {ending.said[:100]}"
        )
    say(f"{count - wrong} of {count} end at the digest of the training without faults")
    return wrong


def say_now(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    sys.exit(main(number, say_now, Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None))
