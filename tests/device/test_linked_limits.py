"""Limits on several parameters together: checked before anything is sent, kept by training, and by every ramp."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.device import DifferenceLimit, LinkedLimit, Motion, PowerLimit
from mgdhw.device.linked_limits import LinkedConstraint, first_violation
from mgdhw.errors import ConformanceError, LimitExceeded
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.function_device import FunctionDevice
from tests.helpers.limited import LSB, ONE, Limited

POWER = PowerLimit("supply", 1.0, (1.0, 0.5), (0, 2))
APART = DifferenceLimit.of_neighbors("gradient", 0.5, (0, 1, 2))


def drawn(low: float, high: float) -> st.SearchStrategy[FloatArray]:
    return st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).uniform(low, high, 3))


VALUES, ROOMS = drawn(-1.5, 1.5), drawn(0.0, 0.1)


# --- what a limit says ----------------------------------------------------------------------------------------------


def test_the_power_is_weighted_and_of_its_parameters_only() -> None:
    assert POWER.violation(np.array([0.9, 9.0, 0.6])) is None
    found = POWER.violation(np.array([0.9, 0.0, 0.7]))
    assert found == "the sum of powers of parameters 0, 2 would be 1.055, more than 1"


def test_the_first_pair_too_far_apart_is_named() -> None:
    assert APART.violation(np.array([0.0, 0.5, 1.0])) is None
    found = APART.violation(np.array([0.0, 0.5, 1.25]))
    assert found == "parameters 1 and 2 would be 0.5 and 1.25, 0.75 apart, more than 0.5"


@pytest.mark.parametrize("limit", [POWER, APART])
@given(theta=VALUES, room=ROOMS, where=drawn(-1.0, 1.0))
def test_what_is_allowed_with_room_is_allowed_wherever_a_perturbation_leads(
    limit: LinkedLimit, theta: FloatArray, room: FloatArray, where: FloatArray
) -> None:
    corners = [theta + (np.array(signs) - 1) * room for signs in np.ndindex(3, 3, 3)]
    if limit.violation(theta, room) is None:
        for point in (*corners, theta + where * room):
            assert limit.violation(point * (1 - 1e-9)) is None
    else:  # no more than the worst case is refused
        assert any(limit.violation(point * (1 + 1e-8)) is not None for point in corners)


@pytest.mark.parametrize("limit", [POWER, APART])
@given(theta=VALUES, room=ROOMS)
def test_what_is_not_allowed_is_moved_to_where_it_is(limit: LinkedLimit, theta: FloatArray, room: FloatArray) -> None:
    before = theta.copy()
    moved = limit.pulled_in(theta, room)
    assert_array_equal(theta, before)
    if limit.violation(theta, room) is None:
        assert moved is theta
    elif limit is POWER:
        assert limit.violation(moved, room) is None
        assert moved[1] == theta[1]
        assert (np.abs(moved) <= np.abs(theta)).all()
    else:
        assert abs(moved.sum() - theta.sum()) < 1e-9


@settings(max_examples=50)
@given(wanted=VALUES, room=ROOMS, before=VALUES)
def test_an_update_never_ends_beyond_any_of_several_limits(
    wanted: FloatArray, room: FloatArray, before: FloatArray
) -> None:
    constraint = LinkedConstraint((POWER, APART), room, -2.0, 2.0)
    start = constraint.close_to(0.1 * before)
    assert start is not None
    assert first_violation((POWER, APART), constraint(start, wanted), room) is None
    assert constraint(start, start) is start


def test_an_update_that_several_limits_do_not_let_pass_is_taken_back_by_halves() -> None:
    class Stubborn(DifferenceLimit):
        def pulled_in(self, theta: FloatArray, room: float | FloatArray) -> FloatArray:
            return theta

    constraint = LinkedConstraint((Stubborn("stubborn", 0.5, ((0, 1),)),), 0.0, -2.0, 2.0)
    assert_array_equal(constraint(np.zeros(3), np.array([1.5, 0.0, 1.0])), [0.375, 0.0, 0.25])
    assert constraint.close_to(np.array([1.5, 0.0, 1.0])) is None


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (PowerLimit("p", 1.0, indices=(0, 3)), "'p' names parameter 3, expected 0 ... 2"),
        (PowerLimit("p", 1.0, indices=(0, 0)), "'p' names a parameter twice"),
        (PowerLimit("p", 1.0, indices=()), "'p' has no parameters"),
        (PowerLimit("p", 1.0, (1.0, 2.0)), "'p' has 2 weights for 3 parameters"),
        (PowerLimit("p", 1.0, (1.0, -2.0, 1.0)), "'p' has a weight that is negative or no number"),
        (PowerLimit("p", 0.0), "'p' has maximum 0.0, expected a positive number"),
        (DifferenceLimit("d", 1.0, ()), "'d' has no pairs of parameters"),
        (DifferenceLimit("d", 1.0, ((1, 1),)), "'d' has a pair of a parameter and itself"),
        (DifferenceLimit("d", float("nan"), ((1, 2),)), "'d' has maximum nan, expected a positive number"),
    ],
)
async def test_a_declaration_that_makes_no_sense_is_refused_on_opening(limit: LinkedLimit, says: str) -> None:
    with pytest.raises(ConformanceError, match=says):
        async with Limited([limit]):
            pass


async def test_a_safe_state_beyond_a_limit_is_refused_on_opening() -> None:
    with pytest.raises(ConformanceError, match=r"info\.motion\.safe, .* violates limit 'supply': the sum"):
        async with Limited([POWER], Motion(0.1, safe=1.0)):
            pass


# --- what a device refuses ------------------------------------------------------------------------------------------


async def test_a_write_beyond_a_limit_is_refused_before_anything_is_sent() -> None:
    async with Limited([POWER, APART]) as device:
        with pytest.raises(LimitExceeded, match=r"limit 'gradient': parameters 1 and 2 would be 0\.5 and 1\.1, 0\.6"):
            await device.write(np.array([0.0, 0.5, 1.1]))
        with pytest.raises(LimitExceeded, match=r"limit 'supply': .* nothing was sent \(reduce the parameters, or"):
            await device.write(np.array([1.1, 0.8, 0.8]))
        assert device.at == []


@pytest.mark.parametrize("limit", [PowerLimit("supply", 0.03), DifferenceLimit("gradient", 0.1, ((0, 1),))])
async def test_a_perturbation_beyond_a_limit_is_refused_before_anything_is_sent(limit: LinkedLimit) -> None:
    block = Block(0, 4, CodeSpec("random", 1, 10), SampleOrder(2, 4, 1, 1), Baseline.HELD)
    async with Limited([limit]) as device:
        await device.load(ONE)
        await device.write(np.array([0.05, 0.0, 0.0]))
        device.at.clear()
        with pytest.raises(LimitExceeded, match=rf"limit '{limit.name}': .* \(reduce codes\.delta"):
            await device.probe(block)
        assert device.at == []


# --- ramps ----------------------------------------------------------------------------------------------------------


def inside(limits: list[LinkedLimit], rng: np.random.Generator) -> FloatArray:
    """θ on the grid, within the limits with half a step of room, often close to one."""
    constraint = LinkedConstraint(tuple(limits), 1.5 * LSB, -1.9, 1.9)
    found = constraint.close_to(rng.uniform(-1.9, 1.9, 3))
    assert found is not None
    return np.rint(found / LSB) * LSB


async def test_no_point_of_a_ramp_violates_a_limit_that_its_ends_keep() -> None:
    limits: list[LinkedLimit] = [POWER, APART]
    rng = np.random.default_rng(16)
    device = Limited(limits, Motion(np.array([0.03, 0.1, 0.07]), 0.0, 0.0))
    async with device:
        for _ in range(60):
            await device.write(inside(limits, rng))
        await device.write(np.array([0.0, 0.25, 0.5]))  # off the grid's middle
    assert_array_equal(device.theta, np.zeros(3))
    assert len(device.at) > 600
    for point in device.at:
        assert first_violation(limits, point) is None
    steps = np.array([after - before for before, after in pairwise(device.at)])
    assert (np.abs(steps).max(axis=0) <= np.array([0.03, 0.1, 0.07]) + 1e-9).all()


async def test_ramps_at_full_speed_would_violate_it() -> None:
    """Which is why they are straight: the same way without the declaration."""
    violated = []
    for limits in ([APART], []):
        device = Limited(limits, Motion(np.array([0.5, 0.01, 0.5]), 0.0))
        async with device:
            await device.write(np.array([0.75, 0.75, 0.75]))
        violated.append(any(APART.violation(point) is not None for point in device.at))
    assert violated == [False, True]


async def test_a_straight_ramp_is_stopped_and_gone_on_with() -> None:
    device = Limited([APART], Motion(0.01, 0.0, 0.0))
    async with device:
        going = asyncio.ensure_future(device.write(np.array([1.0, 1.5, 1.9])))
        while len(device.at) < 20:  # noqa: ASYNC110 (a recorder sets no events)
            await asyncio.sleep(0)
        going.cancel()
    assert_array_equal(device.theta, np.zeros(3))
    assert all(APART.violation(point) is None for point in device.at)


def test_a_function_device_declares_none() -> None:
    device = FunctionDevice(lambda theta: 0.0, 2)
    assert replace(device.info).linked_limits == ()
