"""Replicas as users have them: processes of their own, interrupted."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mgdhw as library

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")

SLOW = ("train", "long.toml", "--replicas", "500", "--level", "device-codes")


def rows(folder: Path) -> list[dict[str, str]]:
    found = list((folder / "runs").glob("[!.]*/replicas.csv"))
    if not found:
        return []
    with found[0].open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for_rows(process: Any, folder: Path) -> None:
    deadline = time.monotonic() + 60.0
    while not rows(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.02)


@posix
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
def test_ctrl_c_leaves_what_is_finished(folder: Path, start: Any, times: int) -> None:
    process = start(*SLOW)
    wait_for_rows(process, folder)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "mgdhw train --resume runs/xor-" in out + err
    kept = rows(folder)
    assert 0 < len(kept) < 500
    for row in (kept[0], kept[-1]):
        alone = library.train(folder / "long.toml", runs=None, overrides=[f"seed={row['seed']}"])
        assert (row["digest"], float(row["cost"])) == (alone.digest, alone.cost)
    assert not list((folder / "runs").glob("[!.]*/.*.tmp"))


@posix
def test_ctrl_c_in_lock_step_is_prompt(folder: Path, start: Any) -> None:
    changes = ("--set", "training.probes=1_000_000", "--json", "--quiet")
    process = start("train", "long.toml", "--replicas", "300", *changes)
    deadline = time.monotonic() + 60.0
    while not list((folder / "runs").glob("[!.]*/replicas.csv")):
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.02)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert time.monotonic() - asked < 15.0, "on a busy machine"
    summary = json.loads(out)
    assert (summary["reason"], summary["finished"], summary["replicas"]) == ("stopped", 0, 300)


@posix
def test_a_killed_set_is_resumed(folder: Path, start: Any, mgdhw: Any, summary: Any) -> None:
    arguments = ("train", "short.toml", "--replicas", "40", "--level", "device-codes")
    process = start(*arguments)
    wait_for_rows(process, folder)
    process.kill()
    process.wait()
    done = len(rows(folder))
    (run,) = (folder / "runs").iterdir()
    faster = ("--set", "run.block=500")
    resumed = mgdhw("train", "--resume", str(run), *faster)
    assert resumed.returncode == 0, resumed.stderr
    assert f"40 replicas ({done} finished already)" in resumed.stdout
    whole = summary(mgdhw("train", "short.toml", "--replicas", "40", *faster, "--json"))
    assert json.loads((run / "summary.json").read_text())["digest"] == whole["digest"]
    again = mgdhw("train", "--resume", str(run))
    assert (again.returncode, again.stderr) == (0, "")
    assert f"run runs/{run.name} is finished" in again.stdout.replace(str(folder) + "/", "")


@posix
def test_a_terminal(folder: Path, start: Any) -> None:
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm-256color"
    process = start(
        "train", "short.toml", "--replicas", "5", stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
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
    assert "5 of 5 finished" in text
    assert "━" in text
    assert "█" in text
