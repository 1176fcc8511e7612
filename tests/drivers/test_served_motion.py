"""A served device moves no faster than it may, whoever asks for what: recorded at the hardware."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from mgdhw.device import Capability, Motion
from mgdhw_drivers.protocol.numbers import ANSWER, CapabilityBits, Code, Reason, State, Type
from mgdhw_drivers.server.describe import describe
from mgdhw_drivers.server.limits import Limits
from mgdhw_drivers.server.stress_limit import Limited, StressLimit

from .direct import CHIP, code_of, direct, value_of
from .recorder import Recorder

SLEW = Limits(slew=0.25)
LSB = 0.125


async def test_a_set_that_goes_further_becomes_a_ramp() -> None:
    driver = Recorder()
    async with direct(driver, SLEW) as talk:
        await talk.prepare()
        assert talk.board.work.head.max_slew == 2.0
        assert (await talk.set(np.array([1.0, -0.5]))).type == Type.SET | ANSWER
        assert [move.tolist() for move in driver.moves[-3:]] == [[0.5, -0.5], [0.75, -0.5], [1.0, -0.5]]
        assert (await talk.ask(Type.SAFE)).type == Type.SAFE | ANSWER
        assert driver.theta.tolist() == [0.0, 0.0]  # before it was closed
        assert not driver.energised
    assert driver.largest_step() == 0.25


async def test_identifying_again_and_again_gives_no_swing_away() -> None:
    driver = Recorder()
    async with direct(driver, Limits(slew=0.25, stress=6.0)) as talk:
        await talk.prepare()
        refused = 0
        for number in range(20):
            await talk.identify(session=1 + number % 2)  # another session: the board goes to its safe state in between
            answer = await talk.set(np.full(2, 1.0 if number % 2 else -1.0))
            refused += code_of(answer) is Code.LIMIT
            if code_of(answer) is Code.LIMIT:
                assert value_of(answer) == -1
        # Each takes one of stress, and the way back another: after three there is none left.
        assert refused == 17
        assert talk.board.work.stress.sum == pytest.approx(6.0 / LSB)
    assert driver.largest_step() == 0.25


async def test_a_ramp_is_ended_by_what_comes_after_it_and_counted() -> None:
    driver = Recorder()
    driver.info = replace(driver.info, motion=Motion(LSB, step_seconds=0.02, safe=np.array([0.25, 0.0])))
    async with direct(driver) as talk:
        await talk.prepare()
        assert (talk.board.work.head.max_slew, talk.board.work.head.slew_interval) == (1.0, 200)
        asking = asyncio.create_task(talk.set(np.full(2, 1.0)))
        await talk.until(lambda: len(driver.moves) > 5)
        pong = await talk.pong()
        assert pong.running  # that SET
        talk.board.disconnected()
        await talk.until(lambda: not driver.energised)
        asking.cancel()
        assert driver.theta.tolist() == [0.25, 0.0]
        assert max(move.max() for move in driver.moves) < 1.0
        assert talk.board.state is State.SAFE
        talk.connect()
        assert (await talk.identify()).payload[8] == Reason.LINK_LOST
        assert talk.board.work.stress.sum >= 8
    assert driver.largest_step() == LSB


async def test_perturbations_that_swing_too_far_are_refused() -> None:
    async with direct(CHIP, Limits(slew=0.25)) as talk:
        await talk.prepare()
        assert not talk.board.work.head.capabilities & CapabilityBits.LEARN
        most = int(talk.board.work.head.max_slew) // 2
        assert (await talk.ask(Type.PROBE, talk.probe(amplitude=most))).type == Type.PROBE | ANSWER
        answer = await talk.ask(Type.PROBE, talk.probe(amplitude=most + 1))
        assert (code_of(answer), value_of(answer)) == (Code.LIMIT, -3)
        assert (await talk.ask(Type.PROBE, talk.probe(amplitude=most))).type == Type.PROBE | ANSWER


async def test_nor_may_perturbations_swing_further_than_the_device_declares() -> None:
    driver = Recorder()
    driver.info = replace(
        driver.info,
        capabilities=Capability.MEASURE | Capability.PROBE,
        motion=Motion(LSB, safe=0.0),
    )
    async with direct(driver) as talk:
        await talk.prepare()
        answer = await talk.ask(Type.PROBE, talk.probe(amplitude=3))
        assert (code_of(answer), value_of(answer)) == (Code.LIMIT, -3)
        assert "measure" not in driver.told


def described(limits: Limits, lsb: object, motion: Motion | None = None) -> float:
    info = replace(Recorder().info, theta_lsb=lsb, motion=motion)  # type: ignore[arg-type]
    return describe(info, limits, floats=True, cells=0).head.max_slew


def test_the_largest_move_is_the_smallest_that_anybody_allows_in_whole_steps() -> None:
    assert described(Limits(), 0.1) == 0.0
    assert described(Limits(slew=0.6), 0.1) == 6.0  # 0.6 / 0.1 is less in floating point
    assert described(Limits(slew=0.25), 0.1) == 2.0
    assert described(Limits(slew=1.0), 0.1, Motion(0.3)) == 3.0
    assert described(Limits(slew=0.2), 0.1, Motion(0.3)) == 2.0
    assert described(Limits(slew=0.4), np.array([0.01, 0.1])) == 4.0
    assert described(Limits(), np.array([0.01, 0.1]), Motion(np.array([0.05, 0.2]))) == 2.0


def test_stress_is_counted_in_the_devices_units() -> None:
    stress = StressLimit(100.0, 0.01)
    stress.moved(np.zeros(2))
    stress.moved(np.array([0.0, 0.9]))
    assert stress.sum == pytest.approx(90.0)
    with pytest.raises(Limited):
        stress.check(np.array([0.0, 0.7]))
