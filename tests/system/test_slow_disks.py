"""Disks that sleep and databases that others lock: a training goes on, and nothing that is kept is ahead of itself."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXPERIMENT, command, environment, wait_for
from .terminal import terminal

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and serial ports are those of POSIX"),
]

KILLS = 12

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (access(getenv("SLOW_DISK"), F_OK) == 0) usleep(atoi(getenv("SLOW_DISK_US")));
    return real(fd);
}
int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
"""
"""What every process goes through to a disk, made slow while a file is there."""


@pytest.fixture
def slow_disk(folder: Path) -> Callable[[float], dict[str, str]]:
    """The environment of a process whose fsync takes so many seconds while the file `slow` is in the folder."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler to make a disk slow with")
    source, shim = folder / "slow.c", folder / "slow.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)

    def slowed(seconds: float) -> dict[str, str]:
        microseconds = str(round(seconds * 1e6))
        changed = {"LD_PRELOAD": str(shim), "SLOW_DISK": str(folder / "slow"), "SLOW_DISK_US": microseconds}
        return {**environment(), **changed}

    return slowed


@pytest.fixture
def board(folder: Path, start: Any) -> Iterator[Path]:
    """A served chip on a pseudo-terminal; what the server says of it goes to `server.log`."""
    port = folder / "board"
    with (folder / "server.log").open("w") as out:
        chip = "sim:analog-8bit?layers=2-3-1"
        process = start("serve", chip, "--pty", "--link", str(port), stdout=out, stderr=subprocess.STDOUT)
        wait_for(port.exists, process)
        yield port


@contextlib.contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """While this lasts another program is about to write to a database."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as viewer:
        viewer.execute("BEGIN IMMEDIATE")
        yield viewer


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.mark.long
def test_a_board_is_fed_while_the_disk_sleeps(
    folder: Path, start: Any, reach: Any, digest_of: Any, board: Path, slow_disk: Any
) -> None:
    """An fsync takes three times as long as the board waits for its host."""
    (folder / "board.toml").write_text(
        EXPERIMENT.format(probes=60_000).replace("[run]", '[run]\nlevel = "device-codes"')
    )
    arguments = ("train", "board.toml", "--json", "--device", f"serial:{board}?dead_man=1")
    process = start(*arguments, env=slow_disk(3.0))
    reach(process, folder / "runs", 100)
    (folder / "slow").touch()
    asleep = time.monotonic()
    wait_for(lambda: any(only_run(folder).glob(".checkpoint-*.tmp")), process)
    wait_for(lambda: not any(only_run(folder).glob(".checkpoint-*.tmp")), process)
    assert time.monotonic() - asleep >= 3.0
    (folder / "slow").unlink()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["digest"] == digest_of(folder / "board.toml")
    assert "fault" not in err, err
    assert "nothing received from the host" not in (folder / "server.log").read_text()


@pytest.mark.long
def test_a_board_is_fed_while_a_run_begins_on_a_slow_disk(
    folder: Path, mgdhw: Any, digest_of: Any, board: Path, slow_disk: Any
) -> None:
    (folder / "slow").touch()
    arguments = ("train", "short.toml", "--json", "--device", f"serial:{board}?dead_man=1")
    done = mgdhw(*arguments, env=slow_disk(1.5))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == digest_of(folder / "short.toml")
    assert "waiting for the disk" in done.stderr
    assert "nothing received from the host" not in (folder / "server.log").read_text()


def test_a_locked_database_is_waited_for(folder: Path, start: Any, reach: Any, digest_of: Any) -> None:
    process = start("train", "longer.toml", "--json")
    reach(process, folder / "runs", 100)
    told: list[str] = []
    with locked(only_run(folder) / "metrics.sqlite"):
        for line in process.stderr:  # until it is done but for what waits
            told.append(line)
            if "waiting for metrics.sqlite, which another program has locked" in line:
                break
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert json.loads(out)["digest"] == digest_of(folder / "longer.toml")
    notices = [line for line in told if "is locked by another program; training goes on" in line]
    assert len(notices) == 1, told
    with contextlib.closing(sqlite3.connect(only_run(folder) / "metrics.sqlite")) as curves:
        assert curves.execute("SELECT max(step) FROM curve").fetchone() == (100_000,)
        assert curves.execute("SELECT max(step) FROM evaluation").fetchone() == (100_000,)


def test_waiting_for_a_locked_database_can_be_given_up(
    folder: Path, reach: Any, mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    with terminal(command("train", "longer.toml"), folder, environment()) as seen:
        reach(seen.process, folder / "runs", 100)
        with locked(only_run(folder) / "metrics.sqlite"):
            seen.wait_for(lambda shown: "waiting for metrics.sqlite" in shown)
            seen.press_ctrl_c()
            assert seen.end() == 130, seen.shown
    assert "discarding what is not on disk yet" in seen.shown
    (line,) = re.findall(r"resume with: mgdhw (train --resume \S+)", seen.shown)
    assert not (only_run(folder) / "summary.json").exists()
    assert summary(mgdhw(*line.split(), "--json"))["digest"] == digest_of(folder / "longer.toml")


def test_a_stop_is_heard_while_a_database_is_locked(
    folder: Path, start: Any, reach: Any, mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    """Once to stop, and once more to wait no longer."""
    process = start("train", "longer.toml", "--json")
    reach(process, folder / "runs", 100)
    with locked(only_run(folder) / "metrics.sqlite"):
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "waiting for metrics.sqlite" in line:
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    resumed = mgdhw("train", "--resume", str(only_run(folder)), "--json")
    assert summary(resumed)["digest"] == digest_of(folder / "longer.toml")


def test_a_resume_waits_for_a_locked_database(
    folder: Path, start: Any, reach: Any, summary: Any, digest_of: Any
) -> None:
    process = start("train", "longer.toml", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reach(process, folder / "runs", 100)
    process.kill()
    process.wait()
    with locked(only_run(folder) / "metrics.sqlite"):
        resumed = start("train", "--resume", str(only_run(folder)), "--json")
        next(line for line in resumed.stderr if "locked by another program; training begins when that lets go" in line)
    out, err = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, err
    assert json.loads(out)["digest"] == digest_of(folder / "longer.toml")


def test_a_run_that_is_killed_while_its_database_is_locked(
    folder: Path, start: Any, reach: Any, mgdhw: Any, summary: Any, digest_of: Any
) -> None:
    process = start("train", "longer.toml", stdout=subprocess.DEVNULL)
    reach(process, folder / "runs", 100)
    with locked(only_run(folder) / "metrics.sqlite"):
        next(line for line in process.stderr if "is locked by another program" in line)
        process.kill()
        process.wait()
    resumed = mgdhw("train", "--resume", str(only_run(folder)), "--json")
    assert summary(resumed)["digest"] == digest_of(folder / "longer.toml")


@pytest.mark.long
def test_replicas_on_a_slow_disk(folder: Path, mgdhw: Any, summary: Any, slow_disk: Any) -> None:
    (folder / "slow").touch()
    slow = mgdhw("train", "short.toml", "--replicas", "5", "--json", env=slow_disk(0.5))
    quick = mgdhw("train", "short.toml", "--replicas", "5", "--json", "--runs", "quick")
    assert summary(slow)["digest"] == summary(quick)["digest"]
    assert len((only_run(folder) / "replicas.csv").read_text().splitlines()) == 6


@pytest.mark.long
def test_killed_many_times(folder: Path, start: Any, mgdhw: Any, digest_of: Any, slow_disk: Any) -> None:
    """At any instant, on a disk that is slow enough to be caught at everything that it does."""
    (folder / "slow").touch()
    kills, ends, seed = 0, 0, random.randrange(1 << 32)
    drawn = random.Random(seed)
    while kills < KILLS:
        runs = folder / f"runs-{ends}"
        arguments = ["train", "long.toml", "--runs", str(runs)]
        while True:
            process = start(*arguments, "--json", env=slow_disk(0.02))
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=drawn.uniform(0.3, 3.0))
                assert process.returncode == 0, (seed, err)
                assert json.loads(out)["digest"] == digest_of(folder / "long.toml"), seed
                ends += 1
                break
            process.kill()
            process.communicate()
            kills += 1
            begun = sorted(runs.glob("[!.]*/provenance.json"))
            if begun:
                arguments = ["train", "--resume", str(begun[0].parent), "--runs", str(runs)]
            for run in begun:
                check_nothing_is_ahead(run.parent)
    assert ends


def check_nothing_is_ahead(run: Path) -> None:
    """A checkpoint claims no step whose curve is not on disk."""
    from mgdhw.runs import Run

    saved, _ = Run(run).latest()
    if saved is None or saved.state.step == 0:
        return
    with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as curves:
        (reached,) = curves.execute("SELECT max(step) FROM curve").fetchone()
    assert reached >= saved.state.step - 12_000 / 2000 - 10, f"rows to {reached}, a checkpoint of {saved.state.step}"
