"""Exit codes are what the guide and `mgdhw --help` say: `python -m mgdhw`, in processes of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgdhw.cli.exit_codes import EXIT_CODES
from tests.helpers.paths import DOCS

from .conftest import SECONDS, environment, last_step, wait_for

MODULE = [sys.executable, "-m", "mgdhw"]
ENDS = {
    ("--version",): 0,
    ("devices", "--json"): 0,
    ("train", "none.toml"): 1,
    ("evaluate", "none"): 1,
    ("train", "--nonsense"): 2,
    ("train", "--device", "sim:pcm", "--device", "sim:rram"): 2,
    ("nonsense",): 2,
}
SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those begun; what still runs at the test's end is killed."""
    begun: list[subprocess.Popen[bytes]] = []
    yield begun
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def documented(text: str) -> set[int]:
    """Codes in a text: numbers that stand by themselves."""
    return {int(code) for code in re.findall(r"(?<![\w-])\d+(?![\w-])", text)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
def test_every_documented_code_is_what_happens(folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    section = (DOCS / "guide.md").read_text(encoding="utf-8").partition("## Exit codes\n")[2].partition("\n## ")[0]
    in_the_guide = documented("".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| ")))
    codes = {*ENDS.values(), *SIGNALS.values()}
    assert in_the_guide == documented(EXIT_CODES) == codes

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*MODULE, *arguments], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        processes.append(process)
        return process

    endless = ("train", "long.toml", "--set", "training.probes=1_000_000_000", "--quiet")
    training = {name: begin(*endless, "--runs", name) for name in SIGNALS}
    for name, process in training.items():
        wait_for(lambda runs=folder / name: last_step(runs) >= 100, process)
        process.send_signal(getattr(signal, name))
    for name, process in training.items():
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == SIGNALS[name], err
    ended = {arguments: begin(*arguments) for arguments in ENDS}
    for arguments, process in ended.items():
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == ENDS[arguments], (arguments, err)
        assert b"Traceback" not in err


def test_the_module_is_the_command(folder: Path) -> None:
    done = subprocess.run(
        [*MODULE, "--help"], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    assert "Usage: python -m mgdhw" in done.stdout
    assert " ".join(EXIT_CODES.split()) in " ".join(done.stdout.split())
