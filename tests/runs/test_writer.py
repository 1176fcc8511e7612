"""What is kept of a run waits for its disk; whoever feeds a device does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mgdhw.errors import RunError
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.state import TrainState
from mgdhw.runs import Recorder, Run, create_run, recorder, writer
from mgdhw.training.events import BlockDone, Checkpoint, Evaluated

SECONDS = 20.0


def state_at(step: int) -> TrainState:
    return TrainState(step, 0, np.zeros(3), {}, Window.empty(3), FilterState.empty(3), None, 2 * step, bytes(32))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", Experiment(name="test"), {"base": str(tmp_path)})


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """While this lasts another program is about to write."""
    with contextlib.closing(sqlite3.connect(run.metrics, isolation_level=None)) as viewer:
        viewer.execute("BEGIN IMMEDIATE")
        yield


def steps(run: Run, table: str) -> list[int]:
    with contextlib.closing(sqlite3.connect(run.metrics)) as connection:
        return [step for (step,) in connection.execute(f"SELECT step FROM {table} ORDER BY step")]


async def until_it_hangs(keeper: Recorder, run: Run, told: pytest.LogCaptureFixture) -> None:
    """Have something written until the writer says that it cannot."""
    keeper(Evaluated(1, 2, "test", 0.5, 0.25))
    keeper(Checkpoint(state_at(1)))
    deadline = time.monotonic() + SECONDS
    while "is locked by another program; training goes on" not in told.text:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_locked_database_keeps_nobody(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    longest, last = 0.0, time.monotonic()

    async def beat() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    async with Recorder(run, "began") as keeper:
        beating = asyncio.create_task(beat())
        with locked(run):
            await until_it_hangs(keeper, run, caplog)
            began = time.monotonic()
            for step in range(2, 500):
                keeper(Evaluated(step, 2 * step, "test", 0.5, 0.25))
                keeper(Checkpoint(state_at(step)))
            assert time.monotonic() - began < 1.0
            assert run.checkpoints() == []
            assert steps(run, "evaluation") == []
        await keeper.kept()
        beating.cancel()
    assert longest < 1.0
    assert steps(run, "evaluation") == list(range(1, 500))
    # The one in the writer's hands, and the newest: those between were never written.
    assert [path.name for path in run.checkpoints()] == ["checkpoint-499.npz", "checkpoint-1.npz"]
    assert caplog.text.count("is locked by another program") == 1


async def test_what_waits_is_bounded(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "WAITING_ROWS", 100)
    async with Recorder(run, "began") as keeper:
        with locked(run):
            await until_it_hangs(keeper, run, caplog)
            for step in range(2, 1000):
                keeper(Evaluated(step, 2 * step, "test", 0.5, 0.25))
            assert len(keeper._rows) == 100
    assert steps(run, "evaluation") == [1, *range(900, 1000)]
    assert caplog.text.count("the oldest of 100 rows that wait for it are lost") == 1


async def test_a_checkpoint_is_never_ahead_of_its_rows(run: Run) -> None:
    """Whenever anybody looks, what a checkpoint claims is on disk."""
    stop, ahead = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            newest = run.checkpoints()
            if newest and (step := int(newest[0].stem.partition("-")[2])) not in steps(run, "evaluation"):
                ahead.append(step)

    async with Recorder(run, "began") as keeper:
        looking = threading.Thread(target=look)
        looking.start()
        for step in range(300):
            keeper(Evaluated(step, 2 * step, "test", 0.5, 0.25))
            keeper(Checkpoint(state_at(step)))
            await asyncio.sleep(0.002)
        stop.set()
        looking.join()
    assert ahead == []
    assert run.checkpoints()[0].name == "checkpoint-299.npz"


async def test_waiting_can_be_given_up(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mgdhw.runs")

    async def train() -> None:
        async with Recorder(run, "began") as keeper:
            keeper(BlockDone(1, 1, 2, 0.5))
            keeper(Checkpoint(state_at(1)))
            await keeper.kept()
            lock.enter_context(locked(run))
            keeper(Checkpoint(state_at(2)))
            keeper(Evaluated(2, 4, "test", 0.5, 0.25))

    with contextlib.ExitStack() as lock:
        task = asyncio.create_task(train())
        deadline = time.monotonic() + SECONDS
        while "waiting for metrics.sqlite, which another program has locked" not in caplog.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2 * writer.LEAVE_SECONDS
    saved, _ = run.latest()
    assert saved is not None
    assert saved.state.step in (1, 2)
    async with Recorder(run, "began", saved, {}) as keeper:
        keeper(Checkpoint(state_at(3)))
    assert run.checkpoints()[0].name == "checkpoint-3.npz"


async def test_whoever_cancels_a_training_waits_for_no_lock(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def train() -> None:
        async with Recorder(run, "began") as keeper:
            await until_it_hangs(keeper, run, caplog)
            await asyncio.Event().wait()

    with contextlib.ExitStack() as lock:
        async with Recorder(run, "began"):
            pass  # makes the database
        lock.enter_context(locked(run))
        task = asyncio.create_task(train())
        await asyncio.sleep(0.1)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2 * (writer.CANCELLED_SECONDS + writer.LEAVE_SECONDS)


async def test_a_folder_that_is_gone(run: Run) -> None:
    """An error in the writer's thread ends the training with the event after it."""

    async def train() -> None:
        async with Recorder(run, "began") as keeper:
            await keeper.kept()
            for path in run.folder.iterdir():
                path.unlink()
            run.folder.rmdir()
            keeper(Checkpoint(state_at(1)))
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                keeper(BlockDone(2, 1, 2, 0.5))
                await asyncio.sleep(0.01)

    with pytest.raises(RunError, match=r"its folder is gone, .*somebody has deleted or moved it"):
        await train()
