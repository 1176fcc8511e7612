"""The handle of a training is for one; whoever interrupts it in a program or a cell is told how to go on with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import mgdhw
from mgdhw.errors import ConfigError
from mgdhw.training.events import BlockDone, Event, Started
from tests.runs.kept import XOR

ENDLESS: dict[str, Any] = {
    "name": "xor",
    "device": {"uri": "sim:analog-8bit?layers=2-3-1"},
    "data": {"name": "xor"},
    "training": {"probes": 10**9, "tau_theta": 20},
    "run": {"block": 10},
}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def cancelled(runs: Path | None, session: mgdhw.TrainingHandle | None = None) -> None:
    """A cell that awaits: a notebook cancels its task, and so do asyncio.run and whoever else runs a loop."""
    begun = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone):
            begun.set()

    task = asyncio.create_task(mgdhw.train_async(ENDLESS, runs=runs, listeners=[listen], session=session))
    await begun.wait()
    if session is None:
        task.cancel()
    else:
        session.stop()
        session.stop()
    with contextlib.suppress(asyncio.CancelledError):  # of two stops, the first may have done
        await task


async def test_a_cell_that_awaits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await cancelled(tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    assert told(caplog) == [f"training was interrupted; resume with: mgdhw train --resume {run}"]


async def test_nothing_is_said_of_what_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    await cancelled(None)
    assert told(caplog) == []


async def test_who_has_asked_knows_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await cancelled(tmp_path / "runs", mgdhw.TrainingHandle())
    assert told(caplog) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("times", [1, 2])
def test_a_cell_that_waits(tmp_path: Path, times: int) -> None:
    """However impatient: one error, which says how to go on, and nothing of how it was brought about."""

    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone):
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as raised:
        mgdhw.train(ENDLESS, runs=tmp_path / "runs", listeners=[interrupt])
    (run,) = (tmp_path / "runs").iterdir()
    assert str(raised.value) == f"training was stopped; resume with: mgdhw train --resume {run}"
    assert raised.value.__suppress_context__


def test_a_handle_is_for_one_training(digest: str) -> None:
    session = mgdhw.TrainingHandle()
    assert not session.stop()
    assert mgdhw.train(XOR, runs=None, session=session).reason == "stopped"
    for again in (
        lambda: mgdhw.train(XOR, runs=None, session=session),
        lambda: mgdhw.train_replicas(XOR, runs=None, session=session, replicas=2),
    ):
        with pytest.raises(ConfigError, match=r"this one has had its own .*: session = mgdhw\.TrainingHandle\(\)"):
            again()
    assert mgdhw.train(XOR, runs=None, session=mgdhw.TrainingHandle()).digest == digest


def test_a_handle_is_free_again_where_nothing_began(digest: str) -> None:
    session = mgdhw.TrainingHandle()
    session.stop()
    with pytest.raises(ConfigError, match="nonsense"):
        mgdhw.train({**XOR, "nonsense": 1}, runs=None, session=session)
    assert mgdhw.train(XOR, runs=None, session=session).digest == digest


def test_a_handle_is_not_shared_by_two_at_once() -> None:
    session = mgdhw.TrainingHandle()

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            with pytest.raises(ConfigError, match="a handle is for one training"):
                mgdhw.train(XOR, runs=None, session=session)

    assert mgdhw.train(XOR, runs=None, session=session, listeners=[listen]).reason == "done"
