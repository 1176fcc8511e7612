"""What counts as an open interlock, and who heeds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.characterize import check
from mgdhw.datasets import load
from mgdhw.device import Interlock
from mgdhw.errors import ConfigError, DeviceUnavailable, InterlockOpen, LinkTimeout
from mgdhw_drivers.server.hardware import Hardware
from mgdhw_drivers.server.limits import Limits
from tests.helpers.interlocked import EXPERIMENT, Answers, Bowl, after, changes, train


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(EXPERIMENT, device=Bowl(), runs=None).digest


# --- what it answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "it answered None, expected True, False, or what is wrong"),
        ("", "it answered '', expected True, False, or what is wrong"),
        (1, "it answered 1, expected True, False, or what is wrong"),
        (ValueError("no number"), "it cannot be asked: ValueError: no number"),
        (np.False_, "its condition does not hold"),
    ],
)
def test_whatever_is_not_true_is_open(answer: Any, says: str) -> None:
    result, _ = train(Bowl(), Interlock("cover", Answers(after(5, answer))))
    assert result.notes == (f"interlock 'cover' is open: {says}",)


def test_a_query_that_fails_is_repeated(digest: str) -> None:
    lost: list[Exception] = [OSError("timeout"), LinkTimeout("no answer", uri="meter:1")]
    result, heard = train(Bowl(), Interlock("cover", Answers(after(5, *lost))))
    assert (result.digest, changes(heard)) == (digest, [])
    result, _ = train(Bowl(), Interlock("cover", Answers(after(5, *lost, OSError("timeout")))))
    assert result.notes == ("interlock 'cover' is open: it cannot be asked: OSError: timeout",)


def test_a_query_over_the_device_s_own_link_has_it_reopened(digest: str) -> None:
    device = Bowl()
    lost = [LinkTimeout("no answer", uri=device.uri)] * 4
    result, _ = train(device, Interlock("cover", Answers(after(9, *lost))))
    assert (result.reason, result.digest) == ("done", digest)
    with pytest.raises(LinkTimeout):
        train(Bowl(), Interlock("cover", Answers(after(9, *(lost * 10)))))


# --- who declares it ------------------------------------------------------------------------------------------------


class Guarded(Bowl):
    """Declares one of its own."""

    answer: Any = True

    async def connect(self) -> None:
        self.interlocks = (Interlock("pressure", lambda: self.answer),)


async def test_a_driver_declares_its_own(tmp_path: Path, digest: str) -> None:
    result = await mgdhw.train_async(EXPERIMENT, device=Guarded(), runs=tmp_path, interlocks=[lambda: True])
    assert result.digest == digest
    device = Guarded()
    device.answer = "2 bar"
    for call in (
        lambda: mgdhw.train_async(EXPERIMENT, device=device, runs=None),
        lambda: mgdhw.evaluate_async(result.run or "", device=device),
    ):
        with pytest.raises(InterlockOpen, match="interlock 'pressure' is open: 2 bar"):
            await call()
    assert "probe" not in device.did
    assert "infer" not in device.did


async def test_a_check_heeds_it() -> None:
    async with Guarded() as device:
        device.answer = False
        with pytest.raises(InterlockOpen, match="nothing was sent"):
            await check(device, load("xor"))
        assert device.did == []


async def test_who_would_not_heed_it_refuses() -> None:
    with pytest.raises(ConfigError, match="has interlocks, which replicas do not heed"):
        await mgdhw.train_replicas_async(EXPERIMENT, replicas=2, device=Guarded(), runs=None)
    hardware = Hardware(Guarded(), Limits())
    with pytest.raises(DeviceUnavailable, match="has interlocks, which are checked only by a training in the same"):
        await hardware.open()
    await hardware.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Interlock("a", lambda: True, "stay"), "interlock 'a': when_open: expected end, wait, safe"),  # type: ignore[arg-type]
        (lambda: Interlock("a", True), "interlock 'a': its condition is no function"),  # type: ignore[arg-type]
        (lambda: Interlock("a", lambda: True, poll_seconds=0.0), "poll_seconds: expected a positive number"),
        (lambda: train(Bowl(), 7), "interlocks: expected an Interlock or a function"),
        (lambda: train(Bowl(), lambda: True, lambda: True), "interlocks: two are named '<lambda>'"),
    ],
)
def test_what_is_no_interlock(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()
