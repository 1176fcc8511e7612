"""No parameter moves further or sooner than its motion allows, whoever asks for it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, HostCodes, Motion
from mgdhw.device.motion import ramp, ramp_length, swings_too_far, whole_steps
from mgdhw.errors import ConformanceError, DeviceFault, DeviceUnavailable, LimitExceeded, LinkTimeout
from mgdhw.experiment.load import parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer

LSB = 0.01
DATA = Dataset("one", np.zeros((4, 1)), 1.0, np.zeros((4, 1)), 4)


class Recorder(FunctionDevice):
    """Three knobs that somebody left somewhere, and a recorder at the hardware: when each write came, and of what.

    Args:
        motion: what is declared.
        begins: (P,) where the knobs are before anybody connects.
        fail: numbers of writes that are lost after they were done.
    """

    def __init__(self, motion: Motion | None, begins: FloatArray, fail: tuple[int, ...] = ()) -> None:
        super().__init__(
            lambda theta: float(np.square(theta - 0.2).sum()),
            3,
            uri="recorder:1",
            low=-1.0,
            high=1.0,
            lsb=LSB,
            n_inputs=1,
        )
        self.info = replace(self.info, capabilities=Capability.MEASURE, motion=motion)
        self.fail = fail
        self.theta = begins.copy()
        self.at: list[FloatArray] = [begins.copy()]
        self.when: list[float] = [-np.inf]
        self.moved_when = np.full(begins.size, -np.inf)
        self.farthest = np.zeros(begins.size)
        self.soonest = np.full(begins.size, np.inf)
        self.disconnected = 0
        self.hold: asyncio.Event | None = None

    async def disconnect(self) -> None:
        self.disconnected += 1

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if self.hold is not None:
            await self.hold.wait()
        now, before = time.monotonic(), self.theta
        actual = await super().apply(theta, step)
        change = np.abs(actual - before)
        moving = change > LSB / 2
        self.farthest = np.maximum(self.farthest, change)
        self.soonest[moving] = np.minimum(self.soonest, now - self.moved_when)[moving]
        self.moved_when[moving] = now
        self.at.append(actual)
        self.when.append(now)
        if len(self.at) - 1 in self.fail:
            raise LinkTimeout("no answer", uri=self.uri)
        return actual


FAR = np.array([0.9, -0.9, 0.05])
SLOW = Motion(max_step=0.05, step_seconds=0.002, safe=0.0)


# --- ramps ----------------------------------------------------------------------------------------------------------


def test_every_parameter_moves_at_its_own_full_speed() -> None:
    points = list(ramp(np.array([0.0, 1.0, 5.0]), np.array([3.0, 0.5, 5.0]), np.array([1.0, 2.0, 1.0])))
    assert [point.tolist() for point in points] == [[1.0, 0.5, 5.0], [2.0, 0.5, 5.0], [3.0, 0.5, 5.0]]


def test_a_ramp_to_where_it_is_has_one_point() -> None:
    assert len(list(ramp(FAR, FAR, 0.1))) == ramp_length(FAR, FAR, 0.1) == 1


@given(
    start=st.integers(-2000, 2000), target=st.integers(-2000, 2000), most=st.integers(1, 400), extra=st.floats(0, 0.99)
)
def test_points_stay_on_the_grid_and_no_step_is_too_large(start: int, target: int, most: int, extra: float) -> None:
    step = whole_steps((most + extra) * LSB, LSB)
    points = [np.array([start * LSB]), *ramp(np.array([start * LSB]), np.array([target * LSB]), step)]
    codes = [round(float(point[0]) / LSB) for point in points]
    assert codes[-1] == target
    assert max((abs(b - a) for a, b in pairwise(codes)), default=0) <= most
    assert len(points) - 1 == max(1, -(-abs(target - start) // most))
    np.testing.assert_allclose([point[0] for point in points], np.array(codes) * LSB, atol=1e-9)


# --- the recorder ---------------------------------------------------------------------------------------------------


def assert_kept(device: Recorder, step: float = 0.05, seconds: float = 0.002) -> None:
    assert device.farthest.max() <= step * (1 + 1e-9)
    assert device.soonest.min() >= seconds


async def test_the_first_write_the_last_and_all_between_are_ramps() -> None:
    device = Recorder(SLOW, FAR)
    async with device:
        actual = await device.write(-FAR)
        assert_array_equal(actual, device.theta)
        await device.write(FAR)
        await device.write(np.zeros(3))
        await device.write(FAR)
    assert_array_equal(device.theta, np.zeros(3))
    assert device.disconnected == 1
    assert len(device.at) == 1 + 36 + 36 + 18 + 18 + 18
    assert_kept(device)


async def test_without_motion_a_write_is_a_write() -> None:
    device = Recorder(None, FAR)
    async with device:
        await device.write(-FAR)
    assert len(device.at) == 2


async def test_each_parameter_has_its_own_limits() -> None:
    motion = Motion(np.array([0.5, 0.1, 0.02]), np.array([0.0, 0.004, 0.001]), np.array([0.3, 0.2, 0.1]))
    device = Recorder(motion, FAR)
    async with device:
        await device.write(-FAR)
    assert_array_equal(device.theta, np.array([30, 20, 10]) * LSB)
    assert (device.farthest <= np.array([0.5, 0.1, 0.02]) + 1e-9).all()
    assert (device.soonest >= np.array([0.0, 0.004, 0.001])).all()


@pytest.mark.parametrize("baseline", Baseline)
async def test_perturbations_that_are_larger_than_a_step_are_ramps(baseline: Baseline) -> None:
    device, plain = Recorder(Motion(0.02, 0.0, 0.0), FAR), Recorder(None, FAR)
    block = Block(0, 8, CodeSpec("random", 1, 7), SampleOrder(2, 4, 1, 2), baseline)
    answers = []
    for one in (device, plain):
        async with one:
            await one.load(DATA)
            await one.write(np.full(3, 0.1))
            answers.append(await one.probe(block))
            assert_array_equal(one.theta, np.full(3, 10) * LSB)
    assert_array_equal(answers[0].perturbed, answers[1].perturbed)
    assert_array_equal(answers[0].reference, answers[1].reference)
    assert_kept(device, 0.02, 0.0)


async def test_limits_are_checked_before_the_ramp() -> None:
    device = Recorder(SLOW, FAR)
    async with device:
        with pytest.raises(LimitExceeded, match=r"parameter 1 would be 1\.5"):
            await device.write(np.array([0.0, 1.5, 0.0]))
        assert len(device.at) == 1


@pytest.mark.parametrize("lost", range(1, 40, 3))
async def test_a_write_that_is_lost_half_way_is_gone_on_with_safely(lost: int) -> None:
    device = Recorder(Motion(0.05, 0.0, 0.0), FAR, (lost,))
    async with device:
        for target in (-FAR, FAR):
            try:
                await device.write(target)
            except LinkTimeout:
                await device.write(-target)  # turning back is the worst that could be asked for
    assert_array_equal(device.theta, np.zeros(3))
    assert_kept(device, 0.05, 0.0)


async def test_a_cancelled_ramp_stops_and_closing_goes_to_the_safe_state() -> None:
    device = Recorder(SLOW, FAR)
    async with device:
        ramp = asyncio.ensure_future(device.write(-FAR))
        while len(device.at) < 5:  # noqa: ASYNC110 (a recorder sets no events)
            await asyncio.sleep(0)
        ramp.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ramp
        reached = len(device.at)
        await asyncio.sleep(0.02)
        assert len(device.at) == reached
    assert_array_equal(device.theta, np.zeros(3))
    assert_kept(device)


async def test_closing_cannot_be_cancelled_half_way() -> None:
    device = Recorder(SLOW, FAR)
    await device.open()
    closing = asyncio.ensure_future(device.close())
    await asyncio.sleep(0)
    while not device.disconnected:
        closing.cancel()
        await asyncio.sleep(0.002)
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert_array_equal(device.theta, np.zeros(3))
    assert_kept(device)


async def test_closing_in_the_middle_of_a_ramp_ends_it() -> None:
    device = Recorder(SLOW, FAR)
    await device.open()
    ramp = asyncio.ensure_future(device.write(-FAR))
    while len(device.at) < 5:  # noqa: ASYNC110 (a recorder sets no events)
        await asyncio.sleep(0)
    await device.close()
    with pytest.raises(DeviceUnavailable, match="going to the safe state"):
        await ramp
    assert_array_equal(device.theta, np.zeros(3))
    assert_kept(device)


async def test_who_writes_while_it_is_closing_is_refused_and_moves_nothing() -> None:
    device = Recorder(SLOW, FAR)
    await device.open()
    closing = asyncio.ensure_future(device.close())
    while len(device.at) < 5:  # noqa: ASYNC110 (a recorder sets no events)
        await asyncio.sleep(0)
    with pytest.raises(DeviceUnavailable, match="going to the safe state"):
        await device.write(FAR)
    await closing
    assert_array_equal(device.theta, np.zeros(3))
    assert_kept(device)


async def test_a_way_to_the_safe_state_that_fails_is_told_and_the_device_let_go() -> None:
    device = Recorder(SLOW, FAR, tuple(range(1, 1000)))
    with pytest.raises(LinkTimeout):
        async with device:
            pass
    assert device.disconnected == 1
    assert not device.is_open
    flaky = Recorder(SLOW, FAR, (3, 9))
    async with flaky:
        pass
    assert_array_equal(flaky.theta, np.zeros(3))
    assert_kept(flaky)


async def test_a_training_keeps_to_the_limits_and_to_its_bits() -> None:
    experiment = parse_experiment(
        "[training]\nprobes = 40\ntau_theta = 4\ninit = 'uniform'\n[codes]\ndelta = 0.04\n[optimizer]\neta = 0.2",
        source="test",
    )
    digests = []
    for motion in (Motion(0.03, 0.0005, 0.0), None):
        device = Recorder(motion, FAR)
        async with device:
            events = [event async for event in Trainer(experiment, device, DATA)]
        assert isinstance(events[-1], Finished)
        digests.append(events[-1].digest)
        if motion is not None:
            assert_kept(device, 0.03, 0.0005)
            assert_array_equal(device.theta, np.zeros(3))
    assert digests[0] == digests[1]


async def test_a_long_ramp_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mgdhw.device")
    device = Recorder(Motion(0.05, 0.08), FAR)
    async with device:
        await device.write(np.zeros(3))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("recorder:1: ramping the parameters: ")
    assert " of 18 steps, " in said[0]


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (Motion(0.005), "less than one theta_lsb"),
        (Motion(float("nan")), "less than one theta_lsb"),
        (Motion(0.1, -1.0), "step_seconds is negative"),
        (Motion(np.ones(2)), r"max_step has the shape \(2,\), expected a number or \(3,\)"),
        (Motion(0.1, safe=np.zeros(4)), r"safe has the shape"),
    ],
)
async def test_a_motion_that_cannot_be_is_refused_when_the_device_is_opened(motion: Motion, message: str) -> None:
    device = Recorder(motion, FAR)
    with pytest.raises(ConformanceError, match=message):
        async with device:
            pass
    assert not device.is_open
    assert len(device.at) == 1


class Blind(Recorder):
    """Cannot be read."""

    read = HostCodes.read


async def test_a_device_that_moves_slowly_has_to_know_where_it_begins() -> None:
    with pytest.raises(DeviceFault, match="its parameters are unknown: no write has"):
        await Blind(SLOW, FAR).open()


def test_a_swing_is_counted_in_whole_steps() -> None:
    assert not swings_too_far(3, 0.6, 0.1)  # 2 · 3 · 0.1 is more than 0.6 in floating point, and 0.6 / 0.1 less than 6
    assert swings_too_far(4, 0.7, 0.1)
    assert swings_too_far(1, 0.1, np.array([0.01, 0.1]))
