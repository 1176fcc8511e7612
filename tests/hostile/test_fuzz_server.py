"""Mutated requests into the board in Python: no worker dies, nothing hangs, and SAFE leaves the hardware safe."""

from __future__ import annotations

import pytest

from mgdhw_drivers.server.limits import Limits

from .fuzz_server import CHIPS, Tally, fuzz

FRAMES, LONG_FRAMES = 1000, 20_000
QUICK = [chip for chip in CHIPS if "reference" in chip[0]]


@pytest.mark.parametrize(("uri", "limits"), QUICK, ids=lambda value: str(value)[-20:])
async def test_mutated_frames_end_no_worker(uri: str, limits: Limits) -> None:
    tally = Tally()
    await fuzz(uri, limits, 1, FRAMES, tally)
    assert set(tally.answers) >= {"PROBE done", "WRITE done", "BAD", "MISMATCH", "UNSUPPORTED"}
    assert not tally.faults


@pytest.mark.long
@pytest.mark.parametrize(("uri", "limits"), CHIPS, ids=lambda value: str(value)[-20:])
async def test_more_of_them(uri: str, limits: Limits) -> None:
    tally = Tally()
    await fuzz(uri, limits, 2, LONG_FRAMES, tally)
    assert set(tally.answers) >= {"PROBE done", "BAD", "MISMATCH", "UNSUPPORTED", "SAFE", "LIMIT"}
    assert not tally.faults
