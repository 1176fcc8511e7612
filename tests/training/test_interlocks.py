"""Interlocks: training goes on only while all are closed, and what is done meanwhile changes no bit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mgdhw
from mgdhw.device import Interlock, Motion
from mgdhw.errors import InterlockOpen
from mgdhw.training.events import Event, InterlockClosed, InterlockOpened, Started
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import CHIP
from tests.helpers.experiments import xor_experiment
from tests.helpers.interlocked import EXPERIMENT, SAFE, Answers, Bowl, after, changes, train


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(EXPERIMENT, device=Bowl(), runs=None).digest


# --- when it is asked -----------------------------------------------------------------------------------------------


def test_it_is_asked_before_anything_is_written_and_before_each_block_and_evaluation(digest: str) -> None:
    device = Bowl()
    condition = Answers([], device)
    result, heard = train(device, condition)
    assert result.digest == digest
    assert not changes(heard)
    assert condition.asked[0] == 0
    requests = [place for place, what in enumerate(device.did) if what == "infer"]
    assert len(condition.asked) == 1 + 120 // 5 + len(requests) - 1  # the first evaluation follows the first write
    for place in requests[1:]:
        assert place in condition.asked


async def test_an_asynchronous_condition_and_a_blocking_one(digest: str) -> None:
    threads = []

    def blocking() -> bool:
        threads.append(threading.current_thread())
        return True

    async def asynchronous() -> bool:
        threads.append(threading.current_thread())
        return True

    result = await mgdhw.train_async(
        EXPERIMENT,
        device=Bowl(),
        runs=None,
        interlocks=[blocking, asynchronous, Interlock("both", lambda: asynchronous())],
    )
    assert result.digest == digest
    ours = threading.current_thread()
    assert [thread is ours for thread in threads[:3]] == [False, True, True]


# --- what is done -----------------------------------------------------------------------------------------------------


def test_end_is_a_clean_end_and_the_run_can_be_resumed(tmp_path: Path, digest: str) -> None:
    device = Bowl()
    condition = Answers(after(9, "cover open"), device)
    result, heard = train(device, Interlock("cover", condition), runs=tmp_path)
    assert (result.reason, result.notes) == ("interlock", ("interlock 'cover' is open: cover open",))
    assert 0 < result.probes < 120
    assert changes(heard) == [InterlockOpened(result.probes, "cover", "cover open", "end")]
    assert set(device.did[condition.asked[-1] :]) <= {"move", "safe"}  # only the way to the safe state
    assert result.run is not None
    with contextlib.closing(sqlite3.connect(result.run / "metrics.sqlite")) as database:
        kept = database.execute("SELECT step, name, event, message FROM interlock").fetchall()
    assert kept == [(result.probes, "cover", "opened", "cover open")]
    resumed = mgdhw.train(resume=result.run, device=Bowl())
    assert (resumed.reason, resumed.digest) == ("done", digest)


@pytest.mark.parametrize("closed", range(1, 31))
def test_waiting_changes_no_bit(digest: str, closed: int) -> None:
    """Wherever it opens: the hardware is in its safe state meanwhile, comes back by a ramp, and training goes on."""
    device = Bowl()
    condition = Answers(after(closed, False, "still open", False), device)
    result, heard = train(device, Interlock("cover", condition, "wait", poll_seconds=1e-4))
    assert (result.reason, result.digest) == ("done", digest)
    assert device.largest <= 0.2 + 1e-9
    opened, closing = changes(heard)
    assert isinstance(opened, InterlockOpened)
    assert (opened.name, opened.problem) == ("cover", "its condition does not hold")
    assert isinstance(closing, InterlockClosed)
    meanwhile = device.did[condition.asked[closed] : condition.asked[closed + 3]]
    assert meanwhile[-1] == "safe"
    assert set(meanwhile) == {"move", "safe"}
    assert set(device.did[condition.asked[closed + 1] : condition.asked[closed + 3]]) <= {"safe"}


@pytest.mark.parametrize(
    "cells", ["write_noise=0.5&drift_nu=0.05&endurance=1e5", "dw_min=0.02&w_max=1&w_min=-1&up_down=0.1&dw_min_std=0.1"]
)
async def test_waiting_changes_no_bit_on_a_chip_whose_cells_wear_and_age(cells: str) -> None:
    """Nor does its learning by itself, or making its own codes."""
    uri = f"{CHIP}&engine=reference&{cells}"
    for level in ("host-codes", "device-codes", "learn"):
        found = []
        for answers in ([], after(7, False, False), after(2, False)):
            async with SimDevice(uri, parse(uri)) as device:
                await device.restrain(Motion(10.0, safe=0.0))
                result = await mgdhw.train_async(
                    xor_experiment(200, evaluation={"every": 40}, run={"level": level, "block": 20}),
                    device=device,
                    runs=None,
                    interlocks=[Interlock("cover", Answers(answers), "wait", poll_seconds=1e-4)],
                )
            found.append(result.digest)
        assert len(set(found)) == 1, level


def test_safe_goes_to_the_safe_state_and_raises(tmp_path: Path, digest: str) -> None:
    device = Bowl()
    heard: list[Event] = []
    with pytest.raises(InterlockOpen, match=r"bowl:1: interlock 'cover' is open: .*; the parameters went to the safe"):
        mgdhw.train(
            EXPERIMENT,
            device=device,
            runs=tmp_path,
            listeners=[heard.append],
            interlocks=[Interlock("cover", Answers(after(9, False)), "safe")],
        )
    assert device.did[-1] == "safe"
    (run,) = tmp_path.iterdir()
    (opened,) = changes(heard)
    assert isinstance(opened, InterlockOpened)
    assert (run / f"checkpoint-{opened.step}.npz").exists()  # nothing that was measured is lost
    assert mgdhw.train(resume=run, device=Bowl()).digest == digest


async def test_an_open_device_is_left_open_and_safe() -> None:
    async with Bowl() as device:
        with pytest.raises(InterlockOpen):
            await mgdhw.train_async(
                EXPERIMENT, device=device, runs=None, interlocks=[Interlock("x", Answers(after(5, False)), "safe")]
            )
        assert device.is_open
        assert_array_equal(device.theta, np.full(3, SAFE))


async def test_without_a_safe_state_nothing_moves() -> None:
    async with Bowl(Motion(0.2)) as device:
        condition = Answers(after(5, False), device)
        with pytest.raises(InterlockOpen, match="its driver declares no safe state: nothing moved"):
            await mgdhw.train_async(
                EXPERIMENT, device=device, runs=None, interlocks=[Interlock("x", condition, "safe")]
            )
        assert len(device.did) == condition.asked[-1]


@pytest.mark.parametrize("when_open", ["end", "safe"])
def test_one_that_is_open_from_the_beginning(tmp_path: Path, when_open: Any) -> None:
    device = Bowl()
    with pytest.raises(InterlockOpen, match="interlock 'cover' is open: water; nothing was written"):
        train(device, Interlock("cover", Answers(["water"]), when_open), runs=tmp_path)
    assert "probe" not in device.did
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_waited_for_from_the_beginning(digest: str) -> None:
    device = Bowl()
    condition = Answers(["water", False], device)
    result, heard = train(device, Interlock("cover", condition, "wait", poll_seconds=1e-4))
    assert result.digest == digest
    assert condition.asked[:3] == [0, 0, 0]
    assert isinstance(heard[0], InterlockOpened)
    assert isinstance(heard[2], Started)


def test_a_stop_ends_the_wait(tmp_path: Path, digest: str) -> None:
    session = mgdhw.TrainingHandle()

    def stop(event: Event) -> None:
        if isinstance(event, InterlockOpened):
            session.stop()

    device = Bowl()
    condition = Answers(after(9, *[False] * 100), device)
    result, _ = train(
        device, Interlock("cover", condition, "wait", 3600.0), runs=tmp_path, session=session, listeners=[stop]
    )
    assert (result.reason, result.notes) == ("stopped", ("interlock 'cover' is open: its condition does not hold",))
    assert set(device.did[condition.asked[-1] :]) <= {"move", "safe"}
    assert result.run is not None
    assert mgdhw.train(resume=result.run, device=Bowl()).digest == digest


def test_a_stop_does_not_wait_for_a_condition_that_does_not_answer() -> None:
    session, hangs, go_on = mgdhw.TrainingHandle(), threading.Event(), threading.Event()
    answers = iter([True] * 5)

    def condition() -> bool:
        if next(answers, False):
            return True
        hangs.set()
        session.stop()
        return go_on.wait(30)

    try:
        result, _ = train(Bowl(), condition, session=session)
    finally:
        go_on.set()
    assert hangs.is_set()
    assert result.reason == "stopped"


def test_while_one_is_waited_for_a_graver_one_opens() -> None:
    device = Bowl()
    wait = Interlock("cover", Answers(after(9, *[False] * 50)), "wait", 1e-4)
    grave = Interlock("leak", Answers(after(12, "water")), "safe")
    heard: list[Event] = []
    with pytest.raises(InterlockOpen, match="interlock 'leak' is open: water"):
        train(device, wait, grave, listeners=[heard.append])
    assert [(type(event), event.name) for event in changes(heard)] == [  # type: ignore[union-attr]
        (InterlockOpened, "cover"),
        (InterlockOpened, "leak"),
    ]


async def test_it_is_asked_in_the_loop_that_trains() -> None:
    seen: list[asyncio.AbstractEventLoop] = []

    async def condition() -> bool:
        seen.append(asyncio.get_running_loop())
        return True

    await mgdhw.train_async(EXPERIMENT, device=Bowl(), runs=None, interlocks=[condition])
    assert set(seen) == {asyncio.get_running_loop()}
