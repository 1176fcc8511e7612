"""Each function is compiled by one process, and whoever waits for a process that has died or hangs compiles it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mgdhw.compiled import turns
from mgdhw.compiled.turns import Turns

HOLDER = """
import sys
from pathlib import Path
from mgdhw.compiled.turns import Turns

taken = Turns()
taken.take("f-1", Path(sys.argv[1]))
print("mine", flush=True)
sys.stdin.readline()
taken.end()
print("ended", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process whose turn it is, until it gets a line or is killed."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_nobody_waits_for_himself(tmp_path: Path) -> None:
    own = Turns()
    assert not own.take("f-1", tmp_path)
    assert not own.take("f-1", tmp_path)
    own.end()
    own.end()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_a_function_is_waited_for(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Turns()
    with holder(tmp_path) as process:
        assert not own.take("g-1", tmp_path)
        own.end()

        def finish(seconds: float) -> None:
            """The first time that is waited: the other one goes on, or dies."""
            if how == "is killed":
                process.kill()
                process.wait()
            elif process.poll() is None:
                print(file=process.stdin, flush=True)
                assert process.stdout is not None
                process.stdout.readline()
                process.kill()
                process.wait()

        monkeypatch.setattr(turns.time, "sleep", finish)
        assert own.take("f-1", tmp_path)
        own.end()


def test_who_hangs_is_not_waited_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.1)
    own = Turns()
    with holder(tmp_path):
        assert own.take("f-1", tmp_path)

        def never(seconds: float) -> None:
            raise AssertionError("it waits again")

        monkeypatch.setattr(turns.time, "sleep", never)
        assert not own.take("f-1", tmp_path)
        own.end()
