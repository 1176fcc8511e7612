"""Interlocks in the terminal: what is open, what follows, and with which code a command ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mgdhw.device import Interlock
from mgdhw_sim.device import SimDevice
from tests.cli.test_best import EXPERIMENT

Guard = Callable[[str, Iterator[Any]], None]


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """Has the simulated chip declare an interlock with prepared answers, then True."""
    (tmp_path / "xor.toml").write_text(EXPERIMENT + "[run]\nblock = 20\n")

    def declare(when_open: Any, answers: Iterator[Any]) -> None:
        interlock = Interlock("cover", lambda: next(answers, True), when_open, poll_seconds=1e-3)
        monkeypatch.setattr(SimDevice, "interlocks", (interlock,))

    return declare


def test_training_ends_and_can_be_resumed(mgdhw: Any, guard: Guard) -> None:
    guard("end", iter([True] * 9 + ["[cover] is open"]))
    done = mgdhw("train", "xor.toml")
    assert done.code == 1
    assert "interlock 'cover' is open: [cover] is open; training ends" in done.out
    assert "\ninterlock 'cover' is open: [cover] is open\n" in done.out
    assert "resume with:\n  mgdhw train --resume runs/xor-" in done.out
    command = done.out.split("mgdhw train --resume ")[1].split()[0]
    assert mgdhw("train", "--resume", command, "--quiet").code == 0


def test_training_waits(mgdhw: Any, guard: Guard) -> None:
    guard("wait", iter([True] * 9 + [False] * 3))
    done = mgdhw("train", "xor.toml", "--json")
    assert done.code == 0
    assert json.loads(done.out)["reason"] == "done"
    assert "interlock 'cover' is open: its condition does not hold; waiting until it is closed" in done.err
    assert "interlock 'cover' is closed again after 0." in done.err


def test_training_raises(mgdhw: Any, guard: Guard) -> None:
    guard("safe", iter([True] * 9 + [False]))
    done = mgdhw("train", "xor.toml", "--quiet")
    assert done.code == 1
    message, note = done.err.splitlines()
    assert message.startswith("error: sim:analog-8bit?layers=2-3-1: interlock 'cover' is open: its condition does not")
    assert note.startswith("resume with: mgdhw train --resume runs/xor-")
