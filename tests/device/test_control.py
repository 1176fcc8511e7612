"""One controller at a time: a device that two would train at once is refused to the second, whoever they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.characterize import check
from mgdhw.datasets import load
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.errors import DeviceUnavailable
from mgdhw.experiment.load import check_experiment
from mgdhw.training.events import BlockDone, Event
from mgdhw.training.replicas import Replicas
from mgdhw.training.trainer import Trainer
from tests.helpers.chips import CHIP
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(400, run={"block": 10})
EXPERIMENT = check_experiment(XOR, source="test")


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(XOR, runs=None).digest


async def digest_on(device: Device) -> str:
    return (await mgdhw.train_async(XOR, device=device, runs=None)).digest


def right_and_refused(results: list[Any], digest: str) -> None:
    (right,) = [one for one in results if not isinstance(one, BaseException)]
    (refused,) = [one for one in results if isinstance(one, BaseException)]
    assert right.digest == digest
    assert isinstance(refused, DeviceUnavailable)
    assert str(refused).startswith(CHIP)


@pytest.mark.parametrize("opened", [True, False])
async def test_two_trainings_at_once(digest: str, opened: bool) -> None:
    """The first goes on to its digest; also where the device is opened by the training."""
    device = mgdhw.open_device(CHIP)

    async def both() -> list[Any]:
        work = (mgdhw.train_async(XOR, device=device, runs=None) for _ in range(2))
        return await asyncio.gather(*work, return_exceptions=True)

    if opened:
        async with device:
            right_and_refused(await both(), digest)
            assert await digest_on(device) == digest
    else:
        right_and_refused(await both(), digest)
        assert not device.entered
        assert not device.is_open


async def test_two_trainers_in_one_task() -> None:
    async with mgdhw.open_device(CHIP) as device:
        first, second = (Trainer(EXPERIMENT, device, load("xor")).__aiter__() for _ in range(2))
        await anext(first)
        with pytest.raises(DeviceUnavailable, match="is in use by a training"):
            await anext(second)
        await first.aclose()
        await anext(Trainer(EXPERIMENT, device, load("xor")).__aiter__())


def controllers(run: Path | None) -> dict[str, Callable[[Device], Awaitable[Any]]]:
    async def first_event(events: Any) -> None:
        try:
            await anext(events)
        finally:
            await events.aclose()

    return {
        "train": lambda device: mgdhw.train_async(XOR, device=device, runs=None),
        "replicas": lambda device: mgdhw.train_replicas_async(XOR, device=device, replicas=2, runs=None),
        "resume": lambda device: mgdhw.train_async(resume=run, device=device, overrides=["run.block=5"]),
        "evaluate": lambda device: mgdhw.evaluate_async(run or "", device=device),
        "check": lambda device: check(device, load("xor")),
        "Trainer": lambda device: first_event(Trainer(EXPERIMENT, device, load("xor")).__aiter__()),
        "Replicas": lambda device: first_event(Replicas(EXPERIMENT, device, load("xor"), 2).__aiter__()),
    }


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("who", controllers(None))
async def test_whoever_comes_second_is_refused_and_touches_nothing(who: str, tmp_path: Path) -> None:
    session = mgdhw.TrainingHandle()

    def stop(event: Event) -> None:
        if isinstance(event, BlockDone):
            session.stop()

    run = (await mgdhw.train_async(XOR, runs=tmp_path, session=session, listeners=[stop])).run
    before = contents(tmp_path)
    async with mgdhw.open_device(CHIP) as device:
        theta = np.full(13, 0.5)
        await device.write(theta)
        with await take_control(device, "a bench"):
            with pytest.raises(DeviceUnavailable, match=r"is in use by a bench; .*or open another"):
                await controllers(run)[who](device)
            np.testing.assert_array_equal(await device.read(), theta)
        assert contents(tmp_path) == before
        if who != "check":  # which takes its time
            await controllers(run)[who](device)


async def test_whichever_way_out_lets_go(digest: str) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, BlockDone):
            raise ZeroDivisionError

    async with mgdhw.open_device(CHIP) as device:
        with pytest.raises(ZeroDivisionError):
            await mgdhw.train_async(XOR, device=device, runs=None, listeners=[fail])
        assert await digest_on(device) == digest

        begun = asyncio.Event()
        endless = {**XOR, "training": {"probes": 10**9}}
        work = mgdhw.train_async(endless, device=device, runs=None, listeners=[lambda event: begun.set()])
        training = asyncio.create_task(work)
        await begun.wait()
        training.cancel()
        with pytest.raises(asyncio.CancelledError):
            await training
        assert await digest_on(device) == digest

        async for event in Trainer(EXPERIMENT, device, load("xor")):
            if isinstance(event, BlockDone):
                break  # and nobody closes the iteration
        assert await digest_on(device) == digest


async def test_another_thread_is_refused(digest: str, tmp_path: Path) -> None:
    refused: list[DeviceUnavailable] = []
    async with mgdhw.open_device(CHIP) as device:

        def evaluate_meanwhile(event: Event) -> None:
            if isinstance(event, BlockDone) and not refused:
                with pytest.raises(DeviceUnavailable) as caught:
                    mgdhw.train(XOR, device=device, runs=None)  # in a thread of its own, because a loop is running
                refused.append(caught.value)

        result = await mgdhw.train_async(XOR, device=device, runs=None, listeners=[evaluate_meanwhile])
    assert result.digest == digest
    assert len(refused) == 1


async def test_a_device_is_entered_once() -> None:
    async with mgdhw.open_device(CHIP) as device:
        with pytest.raises(DeviceUnavailable, match="already open in another `async with`"):
            await device.__aenter__()
        assert (await device.read()).shape == (13,), "and it stays open"
    async with device:
        assert device.is_open


def test_a_training_handle_answers_to_its_old_name() -> None:
    with pytest.warns(DeprecationWarning, match=r"is now mgdhw\.TrainingHandle"):
        from mgdhw import Session
    assert Session is mgdhw.TrainingHandle
