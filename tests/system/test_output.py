"""What the command line prints: for scripts, for pipes, for terminals."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mgdhw as library

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")


def test_json_is_one_document(folder: Path, mgdhw: Any, summary: Any, digest_of: Any) -> None:
    done = mgdhw("train", "short.toml", "--json")
    found = summary(done)
    assert done.stdout.count("\n") == 1
    assert found.keys() >= {"accuracy", "cost", "evaluations", "probes", "seconds", "digest", "run", "reason", "split"}
    assert found["digest"] == digest_of(folder / "short.toml")
    assert (folder / found["run"] / "checkpoint-2000.npz").is_file()
    assert "100 %" in done.stderr


def test_python_and_command_line_agree(folder: Path, mgdhw: Any, summary: Any) -> None:
    ended = mgdhw("train", "short.toml", "--seed", "7", "--level", "host-codes", "--json", "--quiet")
    assert ended.stderr == ""
    done = summary(ended)
    result = library.train(folder / "short.toml", overrides=["seed=7"], runs=folder / "python")
    assert done["digest"] == result.digest
    keys = ("accuracy", "cost", "evaluations", "probes", "updates", "split", "reason")
    assert {key: done[key] for key in keys} == {key: result.summary()[key] for key in keys}


def test_a_pipe_gets_plain_lines(mgdhw: Any) -> None:
    done = mgdhw("train", "short.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "simulated chip analog-8bit, 2-3-1, 13 parameters, on xor (4 samples)"
    assert lines[1].startswith("learn, Δ = 0.125, saved in runs/xor-")
    progress = [line for line in lines if " %  " in line]
    assert 21 <= len(progress) <= 23
    assert any(line.startswith("digest") for line in lines)


def test_an_encoding_without_greek(mgdhw: Any) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = mgdhw("train", "short.toml", env=environment)
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_nobody_listens(folder: Path, start: Any, mgdhw: Any, summary: Any, digest_of: Any) -> None:
    """`mgdhw train | head -1`."""
    process = start("train", "short.toml")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait() == 1
    assert process.stderr.read() == ""
    (run,) = (folder / "runs").iterdir()
    assert summary(mgdhw("train", "--resume", str(run), "--json"))["digest"] == digest_of(folder / "short.toml")


always_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


@always_full
def test_output_that_cannot_be_written(mgdhw: Any) -> None:
    with Path("/dev/full").open("w") as full:
        done = mgdhw("train", "short.toml", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr.endswith("error: cannot write the output: No space left on device\n")


@always_full
@pytest.mark.parametrize("line", ["sim list", "sim show pcm --json", "sim serve pcm --tcp 0"])
def test_output_of_other_packages_that_cannot_be_written(mgdhw: Any, line: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = mgdhw(*line.split(), stdout=full)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


@posix
@pytest.mark.parametrize("columns", [40, 100])
def test_a_terminal(folder: Path, start: Any, columns: int) -> None:
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm-256color"
    process = start("train", "short.toml", stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # Linux says EIO at a pseudo-terminal's end
            break
        if not more:
            break
        shown += more
    os.close(ours)
    assert process.wait() == 0, shown
    text = shown.decode()
    assert "\x1b[?25l" in text  # a cursor would flicker
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "\n", text.replace("\x1b[0m", "").replace("\x1b[1m", ""))
    plain = re.sub(r"\n+", "\n", plain.replace("\r", ""))
    assert "100 %" in plain
    assert "━" in plain
    colourless = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for line in re.split(r"\r\n|\r|\x1b\[[0-9?]*[A-Zhl]", colourless):
        assert len(line) <= columns, line


def test_evaluate(folder: Path, mgdhw: Any, summary: Any) -> None:
    run = summary(mgdhw("train", "--set", "training.probes=400", "--json", "--quiet"))
    shown = mgdhw("evaluate", run["run"])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"^test +359 ", shown.stdout, re.MULTILINE)
    assert "predicted class" in shown.stdout
    found = json.loads(mgdhw("evaluate", run["run"], "--json").stdout)
    assert found["splits"]["test"]["accuracy"] == run["accuracy"]


def test_resume_from_another_folder(folder: Path, mgdhw: Any, summary: Any, digest_of: Any) -> None:
    first = summary(mgdhw("train", "short.toml", "--json", "--quiet"))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    again = summary(mgdhw("train", "--resume", str(folder / first["run"]), "--json", cwd=elsewhere))
    assert again["digest"] == digest_of(folder / "short.toml")


def test_importing_is_cheap(unmeasured: dict[str, str]) -> None:
    """Nothing heavy comes with `import mgdhw`, nor with the command's help."""
    heavy = ["numpy", "numba", "pydantic", "rich", "asyncio", "sqlite3", "importlib.metadata"]
    code = f"import sys, mgdhw, mgdhw.cli.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=unmeasured)
    assert done.stdout.strip() == "[]"
