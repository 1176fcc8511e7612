"""Stopping: cleanly, at once, and by Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mgdhw
from mgdhw.block import Part
from mgdhw.training.events import BlockDone, Event
from tests.core.running import READ_INIT, XOR, FaultyDevice

# --- other devices ----------------------------------------------------------------------------------------------------


ENDLESS: dict[str, Any] = {**READ_INIT, "training": {"probes": 10**7, "init": "read"}}


# --- stopping ---------------------------------------------------------------------------------------------------------


class Hanging(FaultyDevice):
    """Never answers once it has been asked for probe 500, as a link without a timeout would."""

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> float:
        if step == 500:
            await asyncio.Event().wait()
        return await super().measure(samples, step, part)


async def test_the_second_stop_is_at_once(runs: Path) -> None:
    session, device = mgdhw.TrainingHandle(), Hanging()
    hanging = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            hanging.set()

    training = asyncio.create_task(
        mgdhw.train_async(READ_INIT, device=device, session=session, listeners=[listen], runs=runs)
    )
    await hanging.wait()
    assert session.stop()
    assert session.stop()
    assert not session.stop()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert device.closed == 1
    assert not session.stop()
    assert session.run is not None
    assert session.run.checkpoints()


def test_a_stop_before_the_beginning_is_remembered() -> None:
    session = mgdhw.TrainingHandle()
    assert not session.stop()
    result = mgdhw.train(XOR, runs=None, session=session)
    assert (result.reason, result.probes) == ("stopped", 10)


def test_ctrl_c_ends_it_cleanly(runs: Path, digest: str) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="resume with: mgdhw train --resume"):
        mgdhw.train(XOR, runs=runs, listeners=[interrupt])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["probes"] == 500
    assert mgdhw.train(resume=run).digest == digest


def test_ctrl_c_twice(runs: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    device = FaultyDevice()
    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(ENDLESS, device=device, runs=runs, listeners=[interrupt])
    assert device.closed == 1


def test_more_ctrl_c_do_not_interrupt_the_closing(runs: Path) -> None:
    class Slow(FaultyDevice):
        async def disconnect(self) -> None:
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(0)
            await super().disconnect()

    device = Slow()
    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(READ_INIT, device=device, runs=runs)
    assert device.closed == 1
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["reason"] == "done"


def test_ctrl_c_before_training(runs: Path) -> None:
    class Slow(FaultyDevice):
        async def connect(self) -> None:
            signal.raise_signal(signal.SIGINT)
            await super().connect()

    with pytest.raises(KeyboardInterrupt):
        mgdhw.train(READ_INIT, device=Slow(), runs=runs)
    assert not runs.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
def test_ctrl_c_in_a_notebook(runs: Path, digest: str) -> None:
    """There the loop runs in the main thread and the training in another one."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step == 500:
            signal.pthread_kill(main, signal.SIGINT)

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            mgdhw.train({**XOR, "run": {"block": 1}}, runs=runs, listeners=[interrupt])

    loop = asyncio.new_event_loop()  # not asyncio.run, which has a handler of its own
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()
    (run,) = runs.iterdir()
    assert json.loads((run / "summary.json").read_text())["reason"] == "stopped"
    assert mgdhw.train(resume=run).digest == digest
