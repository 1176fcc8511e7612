"""Instruments whose calls block: one thread, one call at a time, and nothing after whoever asked has gone."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, CodeSpec
from mgdhw.blocking import BlockingDevice
from mgdhw.datasets import load
from mgdhw.device import Capability, DeviceInfo
from mgdhw.errors import DeviceUnavailable
from mgdhw.experiment.load import parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing import Verdict, run_conformance
from mgdhw.topology import Topology
from mgdhw.training.events import BlockDone, Event, Finished, Measured, Started
from mgdhw.training.readings import report_readings
from mgdhw.training.trainer import Trainer
from tests.helpers.documents import python_block

BLOCK = Block(0, 6, CodeSpec("random", 1, 3), SampleOrder(2, 4))


def scope_in_the_guide() -> str:
    """The driver for a blocking instrument in docs/drivers.md."""
    return python_block("drivers.md", "BlockingDevice")


class Instrument(BlockingDevice):
    """Three voltages; writes down each call, with its thread, when it begins and when it has ended."""

    def __init__(self, seconds: float = 0.01) -> None:
        super().__init__("instrument:1")
        self.seconds = seconds
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.running = 0
        self.most = 0
        self.voltages = np.zeros(3)
        self.fails = ""
        self.reading = threading.Event()

    def _call(self, name: str) -> None:
        self.threads.add(threading.get_ident())
        self.running += 1
        self.most = max(self.most, self.running)
        self.calls.append(name)
        if name == "read":
            self.reading.set()
        time.sleep(self.seconds)
        self.running -= 1
        if name == self.fails:
            raise OSError(5, "Input/output error")
        self.calls.append(f"{name} ended")

    def start_up(self) -> None:
        self._call("start")
        self.info = DeviceInfo(
            "instrument", "1", Topology(3), -2.0, 2.0, 2.0**-10, 2, 1, "mse", 1.0, Capability.MEASURE
        )

    def shut_down(self) -> None:
        self._call("shut")
        self.voltages = np.zeros(3)

    def set_parameters(self, theta: FloatArray) -> None:
        self._call("set")
        self.voltages = theta.copy()

    def read_outputs(self, inputs: FloatArray) -> FloatArray:
        self._call("read")
        return np.tanh(inputs @ self.voltages[:2, None] + self.voltages[2])


async def test_all_calls_are_made_in_one_thread_that_ends_with_the_device() -> None:
    device = Instrument()
    before = set(threading.enumerate())
    async with device:
        await device.load(load("xor"))
        await device.write(np.full(3, 0.5))
        await asyncio.gather(device.probe(BLOCK), device.infer(np.arange(4)))
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"instrument:1_0"}
    assert len(device.threads) == 1
    assert threading.get_ident() not in device.threads
    assert device.most == 1
    assert set(threading.enumerate()) == before
    assert device.calls[-2:] == ["shut", "shut ended"]


async def test_the_event_loop_goes_on_meanwhile() -> None:
    device = Instrument(0.1)
    async with device:
        await device.load(load("xor"))
        await device.write(np.zeros(3))
        reading = asyncio.ensure_future(device.infer(np.arange(4)))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0.001)
            turns += 1
    assert turns > 20


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1, 0.17])
async def test_a_cancelled_block_ends_with_its_reading_and_puts_the_parameters_back(after: float) -> None:
    device = Instrument(0.05)
    async with device:
        await device.load(load("xor"))
        theta = await device.write(np.full(3, 0.5))
        probing = asyncio.ensure_future(device.probe(BLOCK))
        await asyncio.sleep(after)
        made = len(device.calls)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        assert device.running == 0
        # The call that ran has ended; θ was put back; nothing that would have come is begun.
        assert [call for call in device.calls[made:] if not call.endswith("ended")] in ([], ["set"], ["read", "set"])
        assert_array_equal(await device.read(), theta)
        ended = len(device.calls)
        await asyncio.sleep(0.12)
        assert len(device.calls) == ended
    assert device.most == 1


async def test_what_waits_for_its_turn_is_never_called() -> None:
    device = Instrument(0.1)
    async with device:
        await device.load(load("xor"))
        await device.write(np.zeros(3))
        device.calls.clear()
        first = asyncio.ensure_future(device.infer(np.arange(1)))
        second = asyncio.ensure_future(device.infer(np.arange(1)))
        await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.wait({first, second})
        assert device.calls == ["read", "read ended"]


async def test_closing_waits_for_the_reading_that_runs() -> None:
    device = Instrument(0.1)
    async with device:
        await device.load(load("xor"))
        await device.write(np.zeros(3))
        device.reading.clear()
        reading = asyncio.ensure_future(device.infer(np.arange(1)))
        while not device.reading.is_set():  # noqa: ASYNC110 (it is set in a thread)
            await asyncio.sleep(0.001)
    await asyncio.wait({reading})
    assert device.calls[-4:] == ["read", "read ended", "shut", "shut ended"]
    assert device.most == 1


@pytest.mark.parametrize("fails", ["start", "shut"])
async def test_the_thread_ends_also_if_a_call_fails(fails: str) -> None:
    device = Instrument()
    device.fails = fails
    before = set(threading.enumerate())
    with pytest.raises(Exception, match="Input/output error"):
        async with device:
            pass
    assert "shut" in device.calls
    assert set(threading.enumerate()) == before
    with pytest.raises(DeviceUnavailable):
        await device.in_thread(time.sleep, 0.0)


class Readable(Instrument):
    """Rounds, and can be read."""

    def set_parameters(self, theta: FloatArray) -> FloatArray:  # type: ignore[override]
        super().set_parameters(np.rint(theta))
        return self.voltages

    def read_parameters(self) -> FloatArray:
        return self.voltages.copy()


async def test_what_is_stored_and_what_is_read_may_be_the_instruments() -> None:
    async with Readable() as device:
        assert_array_equal(await device.read(), np.zeros(3))
        assert_array_equal(await device.write(np.array([0.6, 0.4, -0.6])), [1.0, 0.0, -1.0])
        assert_array_equal(await device.read(), [1.0, 0.0, -1.0])


async def test_readings_are_heard_of_within_a_block_and_the_first_block_is_one_probe() -> None:
    experiment = parse_experiment(
        "[training]\nprobes = 2\nbatch = 4\ninit = 'uniform'\n[codes]\ndelta = 0.05", source="test"
    )
    heard: list[Event] = []
    async with Instrument(0.06) as device:
        trainer = Trainer(experiment, device, load("xor"))
        with report_readings(device, heard.append) as done:
            async for event in trainer:
                heard.append(event)
                done()
    kinds = [type(event) for event in heard]
    first = kinds.index(BlockDone)
    block = heard[first]
    assert isinstance(block, BlockDone)
    assert block.probes == 1
    assert Measured in kinds[kinds.index(Started) : first]
    assert all(event.readings <= 8 for event in heard if isinstance(event, Measured))


@pytest.mark.long
async def test_a_stop_does_not_wait_for_an_evaluation_that_takes_long() -> None:
    experiment = parse_experiment("[training]\nprobes = 600\ninit = 'uniform'\n[codes]\ndelta = 0.05", source="test")
    async with Instrument(0.15) as device:
        trainer = Trainer(experiment, device, load("xor"))
        events = []
        async for event in trainer:
            events.append(event)
            if isinstance(event, BlockDone) and event.step == 2:
                trainer.stop()
                device.calls.clear()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.state.step, finished.last.step) == ("stopped", 2, 0)
    assert device.calls.count("read") <= 1


def test_the_driver_in_the_guide_has_fifteen_lines() -> None:
    lines = [line for line in scope_in_the_guide().splitlines() if line.strip()]
    assert len(lines) <= 15


@pytest.mark.long
async def test_the_driver_in_the_guide_keeps_the_contract() -> None:
    """At a millisecond a reading: the suite makes thousands of them."""
    names: dict[str, Any] = {}
    text = scope_in_the_guide()
    assert "time.sleep(0.2)" in text
    exec(text.replace("time.sleep(0.2)", "time.sleep(0.001)"), names)
    outcomes = await run_conformance(lambda: names["Scope"]("scope:7"))
    assert [f"{one.name}: {one.why}" for one in outcomes if one.verdict is Verdict.FAILED] == []
