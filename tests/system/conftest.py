"""The command line as users have it: processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.firmware.core import build
from tests.system.guarded import Servers

SECONDS = 60.0
"""How long anything may take, on a machine that is busy with other things."""

EXPERIMENT = """
name = "xor"
[device]
uri = "sim:analog-8bit?layers=2-3-1"
[data]
name = "xor"
[training]
probes = {probes}
tau_theta = 20
[run]
checkpoint_seconds = 0.05
block = 10
"""


class Start(Protocol):
    """Starts `mgdhw` with arguments in the test's folder."""

    def __call__(self, *arguments: str, **options: Any) -> subprocess.Popen[str]: ...


class Finish(Protocol):
    """Runs `mgdhw` to its end."""

    def __call__(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]: ...


def command(*arguments: str) -> list[str]:
    """The command line of `mgdhw`, with the interpreter of the tests and warnings as errors."""
    return [sys.executable, "-W", "error", "-c", "from mgdhw.cli.main import main; main()", *arguments]


def environment() -> dict[str, str]:
    """This process's, less what would change how output looks."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    }


@pytest.fixture
def unmeasured() -> dict[str, str]:
    """The environment of a process, less what measures coverage there and would itself need the disk."""
    return {key: value for key, value in environment().items() if not key.startswith("COVERAGE")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands run: holds `short.toml`, `long.toml`, and one to be interrupted, however busy the machine is."""
    (tmp_path / "short.toml").write_text(EXPERIMENT.format(probes=2_000))
    (tmp_path / "long.toml").write_text(EXPERIMENT.format(probes=12_000))
    (tmp_path / "longer.toml").write_text(EXPERIMENT.format(probes=100_000))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts `mgdhw` with arguments; what still runs at the test's end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        settings: dict[str, Any] = {
            "cwd": folder,
            "env": environment(),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        }
        process = subprocess.Popen(command(*arguments), **settings)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def mgdhw(start: Start) -> Finish:
    """Runs `mgdhw` with arguments to its end."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def digest_of() -> Callable[[str], str]:
    """Digest of an experiment file's training, uninterrupted and in this process."""
    import mgdhw

    known: dict[str, str] = {}

    def digest(path: Path) -> str:
        text = path.read_text()
        if text not in known:
            known[text] = mgdhw.train(path, runs=None).digest
        return known[text]

    return digest  # type: ignore[return-value]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until a condition holds; fail if the process ends before, or it takes too long."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            out, err = process.communicate()
            pytest.fail(f"the process ended with {process.returncode}\n{out}\n{err}")
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.005)


def last_step(runs: Path) -> int:
    """Step of the newest checkpoint in a folder of runs, -1 without one."""
    # Runs only: a folder that is still being built gets another name while one looks into it.
    steps = [int(path.stem.partition("-")[2]) for path in runs.glob("[!.]*/checkpoint-*.npz")]
    return max(steps, default=-1)


@pytest.fixture
def reach() -> Callable[[subprocess.Popen[str], Path, int], None]:
    """Waits until a process has kept a checkpoint of at least some step."""

    def wait(process: subprocess.Popen[str], runs: Path, step: int) -> None:
        wait_for(lambda: last_step(runs) >= step, process)

    return wait


@pytest.fixture
def summary() -> Callable[[subprocess.CompletedProcess[str]], dict[str, Any]]:
    """The one JSON document on a finished command's stdout."""

    def read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    return read


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The C core as a process; None where it cannot be built."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        return None
    folder = tmp_path_factory.mktemp("core")
    build(folder, "all", sanitize=True)
    return folder / "mgdhw-host"


@pytest.fixture(params=["python", "c"])
def servers(request: pytest.FixtureRequest, core: Path | None, tmp_path: Path) -> Servers:
    """Both kinds."""
    if request.param == "c" and core is None:
        pytest.skip("needs make and a C compiler")
    return Servers(request.param, core, tmp_path)
