"""Work that takes long is done in a thread: whoever waits for it can be heard, and can leave."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.concurrency.threads import in_thread, left_behind
from mgdhw.datasets import load
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.segment import Segment
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import next_block
from mgdhw.training.prepare import first_state, learning_rule
from mgdhw_sim import device as devices
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.experiments import xor_experiment
from tests.helpers.waiting import until

XOR = xor_experiment(2000)
AGEING = "sim:analog-8bit?layers=2-3-1&write_noise=0.01&retention=1000&drift_every=10&cost_noise=0.01"


@pytest.mark.parametrize("level", ["host-codes", "device-codes", "learn"])
@pytest.mark.parametrize("uri", [XOR["device"]["uri"], pytest.param(AGEING, marks=pytest.mark.long)])
def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch, uri: str, level: str) -> None:
    changes = [f"run.level={level}", "training.probes=200"]
    inline = mgdhw.train(XOR, device=uri, runs=None, overrides=changes)
    monkeypatch.setattr(devices, "INLINE_SECONDS", 0.0)
    assert mgdhw.train(XOR, device=uri, runs=None, overrides=changes).digest == inline.digest


def works() -> bool:
    return any(thread.name == "mgdhw works" for thread in threading.enumerate())


def segment(device: SimDevice, experiment: Experiment, n_probes: int, state: TrainState | None = None) -> Segment:
    dataset = load("xor")
    rule, _ = learning_rule(experiment, device.info, dataset.n_train)
    return Segment(state or first_state(experiment, device.info, rule, dataset), rule, n_probes)


@pytest.mark.parametrize("uri", [XOR["device"]["uri"], pytest.param(AGEING, marks=pytest.mark.long)])
async def test_what_is_left_behind_touches_nothing(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    experiment = check_experiment(XOR, source="test")

    async def learn(device: SimDevice) -> np.ndarray[Any, Any]:
        result = await device.learn(segment(device, experiment, 100))
        again = next_block(result.state, segment(device, experiment, 1).rule, 10)
        return np.concatenate([result.state.theta, await device.read(), (await device.probe(again)).perturbed])

    async with SimDevice(uri, parse(uri)) as device:
        await device.load(load("xor"))
        await learn(device)  # from here on it is the same time on a chip that ages
        expected = await learn(device)
    async with SimDevice(uri, parse(uri)) as device:
        await device.load(load("xor"))
        await learn(device)
        await until(lambda: not works())
        monkeypatch.setattr(devices, "INLINE_SECONDS", 0.0)
        task = asyncio.create_task(device.learn(segment(device, experiment, 8_000_000)))
        await until(works)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 1.0
        assert works()
        np.testing.assert_array_equal(await learn(device), expected)


async def test_nobody_waits_for_what_was_cancelled() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()

    task = asyncio.create_task(in_thread(work))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_behind()
    may_end.set()
    await until(lambda: not left_behind())


async def test_what_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def test_a_loop_that_is_closed_meanwhile() -> None:
    may_end = threading.Event()

    async def leave() -> None:
        asyncio.create_task(in_thread(may_end.wait))  # noqa: RUF006  (nobody waits for it: that is what is tested)
        await asyncio.sleep(0.05)

    asyncio.run(leave())
    may_end.set()
    while left_behind():
        time.sleep(0.001)


def test_a_batch_that_would_take_all_memory() -> None:
    with pytest.raises(
        ConfigError, match=r"a batch of 1,048,576 samples would take 16 GiB .* a smaller training.batch"
    ):
        mgdhw.train(None, device="sim:analog-8bit?layers=64-4096-10", runs=None, overrides=["training.batch=1048576"])
