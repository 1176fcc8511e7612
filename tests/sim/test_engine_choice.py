"""Which engine runs what, and what the user hears of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.learning.segment import Segment
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines import ENGINES, choose
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.reference import Reference
from mgdhw_sim.presets import PRESETS

XOR = {
    "data": {"name": "xor"},
    "device": {"uri": "sim:analog-8bit?layers=2-3-1"},
    "training": {"probes": 300, "tau_theta": 10},
}


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing() -> Any:
        raise ImportError("No module named 'numba'")

    monkeypatch.setitem(ENGINES, "numba", missing)
    choose.cache_clear()
    yield
    choose.cache_clear()


def test_numba_is_the_default() -> None:
    assert {spec.engine for spec in PRESETS.values()} == {"auto"}
    assert choose("auto").name == "numba"


def test_without_numba_the_reference_runs_and_says_so_once(
    without_numba: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(choose("auto"), Reference)
    for _ in range(2):
        mgdhw.train(XOR, runs=None)
    assert caplog.messages == [
        "numba cannot be had here (No module named 'numba'): the chip runs on the reference engine, which is slower"
    ]
    assert caplog.records[0].name.startswith("mgdhw.")


def test_without_numba_who_asks_for_it_is_told_at_once(without_numba: None) -> None:
    with pytest.raises(ConfigError, match="engine=numba cannot be had here"):
        mgdhw.train(XOR, device="sim:analog-8bit?layers=2-3-1&engine=numba", runs=None)


def test_what_the_engine_declines_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "mgdhw")
    monkeypatch.delitem(kernel_args.FAMILIES, "random")  # as if it were a new one, without a kernel
    auto = mgdhw.train(XOR, runs=None, overrides=["run.block=10"])
    assert caplog.messages == ["code family 'random' runs on the reference engine, which is slower"]
    caplog.clear()
    chosen = mgdhw.train(XOR, device="sim:analog-8bit?layers=2-3-1&engine=reference", runs=None)
    assert caplog.messages == []
    assert chosen.digest == auto.digest


async def test_the_first_work_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    learn = Reference.learn

    def watched(self: Reference, *work: Any) -> Any:
        seen.append(threading.current_thread() is threading.main_thread())
        return learn(self, *work)

    monkeypatch.setattr(Reference, "learn", watched)
    uri = "sim:analog-8bit?layers=2-3-1&engine=reference"
    await mgdhw.train_async(XOR, device=uri, runs=None, overrides=["run.block=100"])
    assert not seen[0]
    assert all(seen[1:])


async def test_a_first_work_that_is_cancelled_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    learn = Reference.learn

    def slow(self: Reference, *work: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return learn(self, *work)

    kept: list[Segment] = []

    def keep(self: Reference, chip: Any, segment: Segment) -> Any:
        kept.append(segment)
        return learn(self, chip, segment)

    uri = "sim:analog-8bit?layers=2-3-1&engine=reference"
    monkeypatch.setattr(Reference, "learn", keep)
    await mgdhw.train_async(XOR, device=uri, runs=None, overrides=["run.block=100"])
    monkeypatch.setattr(Reference, "learn", slow)
    async with mgdhw.open_device(uri) as device:
        await device.load(mgdhw.load_dataset("xor"))
        before = await device.read()
        work = asyncio.create_task(device.learn(kept[0]))
        await asyncio.to_thread(begun.wait)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        go_on.set()
        await asyncio.get_running_loop().shutdown_default_executor()
        assert (await device.read() == before).all()


async def test_each_kind_of_work_is_first_done_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have to be compiled, and a device that is served has to answer meanwhile."""
    threads = []
    monkeypatch.setattr(
        "mgdhw_sim.engines.reference.Reference.probe",
        lambda self, chip, block: threads.append(threading.current_thread()),
    )
    async with open_device("sim:analog-8bit?layers=2-3-1&engine=reference") as device:
        await device.load(load("xor"))
        await device.write(np.zeros(13))
        for family in ("random", "random", "walsh", "walsh", "random"):
            await device.probe(Block(0, 1, CodeSpec(family, 0, 1), SampleOrder(0, 4, 1, 1), Baseline.NONE))
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [False, True, False, True, True]
