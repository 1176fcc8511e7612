"""Interlocks and stops at awkward moments: nothing moves unasked, and a resumed run ends as an undisturbed one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mgdhw
from mgdhw.arrays import FloatArray, IntArray
from mgdhw.device import Interlock, Motion
from mgdhw.errors import InterlockOpen
from tests.helpers.chips import CHIP
from tests.helpers.experiments import xor_experiment
from tests.helpers.interlocked import EXPERIMENT, SAFE, Answers, Bowl, after

FOREVER = 3600.0
FINE = {**EXPERIMENT, "codes": {"delta": 0.01}}
SLOW = Motion(0.02, safe=SAFE)


@pytest.mark.parametrize("level", ["host-codes", "device-codes", "learn"])
@pytest.mark.parametrize(
    "cells", ["write_noise=0.5&drift_nu=0.05&endurance=1e5", "dw_min=0.02&w_max=1&w_min=-1&up_down=0.1&dw_min_std=0.1"]
)
def test_a_run_that_an_interlock_has_ended_is_resumed_with_the_cells_of_that_moment(
    tmp_path: Path, cells: str, level: str
) -> None:
    uri = f"{CHIP}&engine=reference&{cells}"
    experiment = xor_experiment(120, evaluation={"every": 40}, run={"level": level, "block": 20})
    undisturbed = mgdhw.train(experiment, device=uri, runs=None)
    cover = Interlock("cover", Answers(after(6, "open")), "end")
    ended = mgdhw.train(experiment, device=uri, runs=tmp_path, interlocks=[cover])
    assert (ended.reason, ended.probes) == ("interlock", 80)
    assert mgdhw.train(resume=ended.run, device=uri).digest == undisturbed.digest


def test_one_that_opens_on_the_way_back_is_heard_before_anything_is_measured() -> None:
    """The way back from the safe state may take minutes."""
    device = Bowl(SLOW)
    asked: list[int] = []

    def cover() -> bool:
        asked.append(len(device.did))
        return len(asked) not in (5, 7)  # open; closed: the way back; open again

    result = mgdhw.train(FINE, device=device, runs=None, interlocks=[Interlock("cover", cover, "wait", 1e-3)])
    assert set(device.did[asked[5] : asked[6]]) == {"move"}
    assert result.digest == mgdhw.train(FINE, device=Bowl(SLOW), runs=None).digest


class Evaluating(Bowl):
    """Calls something in its evaluation at the end."""

    def __init__(self, motion: Motion | None, hook: Callable[[], object], seconds: float = 0.0) -> None:
        super().__init__(motion)
        self.hook, self.seconds = hook, seconds
        self.evaluations = 0
        self.at = 0

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.evaluations += 1
        outputs = await super().infer(samples, step)
        if self.evaluations == 2:  # the best of all, so that there is a way to it at the end
            outputs = self.dataset.targets[samples] * 1.0
        if self.evaluations == 7:
            self.at = len(self.did)
            self.hook()
            await asyncio.sleep(self.seconds)
        return outputs


async def test_one_that_opens_in_the_last_evaluation_is_heard_before_the_last_writes() -> None:
    still: list[Any] = [True]
    device = Evaluating(SLOW, lambda: still.append(False))
    experiment = {**FINE, "run": {"block": 5, "end_at": "best"}}
    interlock = Interlock("cover", lambda: still[-1], "safe")
    async with device:
        with pytest.raises(InterlockOpen, match="cover"):
            await mgdhw.train_async(experiment, device=device, runs=None, interlocks=[interlock])
        assert (device.theta == SAFE).all()
        assert set(device.did[device.at :]) <= {"move", "safe"}


def test_a_stop_in_the_last_evaluation_leaves_it_to_the_resumed_run(tmp_path: Path) -> None:
    undisturbed = mgdhw.train(EXPERIMENT, device=Evaluating(None, lambda: None), runs=None)
    session = mgdhw.TrainingHandle()
    stopped = mgdhw.train(EXPERIMENT, device=Evaluating(None, session.stop, FOREVER), runs=tmp_path, session=session)
    assert (stopped.reason, stopped.probes) == ("stopped", 120)
    resumed = mgdhw.train(resume=stopped.run, device=Bowl())
    assert (resumed.reason, resumed.cost, resumed.digest) == ("done", undisturbed.cost, undisturbed.digest)


class StopsInWrite(Bowl):
    """Asks for a stop in the write after an update, which takes for ever."""

    hook: Callable[[], object] | None = None
    writes = 0

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.writes += step == 45
        if self.writes == 2 and self.hook is not None:
            hook, self.hook = self.hook, None
            hook()
            await asyncio.sleep(FOREVER)
        return await super().apply(theta, step)


def test_the_digest_of_a_stopped_run_is_that_of_its_last_state() -> None:
    found = []
    for device in (Bowl(), StopsInWrite()):
        session = mgdhw.TrainingHandle()
        if isinstance(device, StopsInWrite):
            device.hook = session.stop

        def at_40(event: Any, session: mgdhw.TrainingHandle = session, device: Bowl = device) -> None:
            if type(event).__name__ == "BlockDone" and event.step == 40 and not isinstance(device, StopsInWrite):
                session.stop()

        found.append(mgdhw.train(EXPERIMENT, device=device, runs=None, session=session, listeners=[at_40]))
    assert [result.probes for result in found] == [40, 40]
    assert found[0].digest == found[1].digest
