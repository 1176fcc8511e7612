"""Clauses about `learn`: the host's trajectory, and reproducible results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.block import Baseline
from mgdhw.device import Capability
from mgdhw.errors import DeviceError
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import requested_theta
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, Probe, opened_dut
from mgdhw.testing.permutation_test import RUNS, require_same_distribution
from mgdhw.testing.requirements import expect_refusal, require, require_equal
from mgdhw.testing.stimuli import block_for, theta_for
from mgdhw.testing.training_cases import CASES, cases_for, continue_from, segment_for, train_from_host

CUTS = ((13, 7, 25), (20, 25), (1, 43, 1))
"""Ways to split a segment of 45 probes: at updates, between them, into single probes."""

ROUNDING = 1e-9
"""Relative tolerance of values that are only reported (mean cost, |ĝ|): their summation order is free."""


async def learning_alone_is_learning_with_the_host(opener: Opener) -> None:
    """A segment gives the same state as the host's loop, bit for bit, for every optimizer, code family and mode."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        dut.needs_determinism()
        for number, case in enumerate(cases_for(dut.info)):
            segment = segment_for(dut, case)
            learned = await dut.device.learn(segment)
            for level, probe in _host_levels(dut, every=number == 0).items():
                from_host = await train_from_host(dut.device, probe, segment)
                if level == "host-codes":  # there every probe is a write, which cells may count
                    from_host = replace(from_host, state=replace(from_host.state, cells=learned.state.cells))
                _demand_same_result(learned, from_host, f"{case.name}, {level}")


async def learning_alone_agrees_statistically(opener: Opener) -> None:
    """On a noisy device, learn and the host agree in the mean (exact permutation test; one false alarm in 1,716)."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        if dut.is_repeatable:
            raise NotApplicable("equal requests give equal results: there is no noise in which the two could agree")
        segment = segment_for(dut, CASES[0])
        for level, probe in _host_levels(dut, every=False).items():
            by_device, by_host = [], []
            for _ in range(RUNS):
                by_device.append((await dut.device.learn(segment)).state.theta)
                by_host.append((await train_from_host(dut.device, probe, segment)).state.theta)
            require_same_distribution(np.stack(by_device), np.stack(by_host), f"the parameters of learn and of {level}")


async def segments_can_be_cut(opener: Opener) -> None:
    """However training is split into segments, it leads to the same state."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        dut.needs_determinism()
        for case in cases_for(dut.info):
            segment = segment_for(dut, case)
            whole = (await dut.device.learn(segment)).state
            for cuts in CUTS:
                state = segment.state
                for n_probes in cuts:
                    state = (await dut.device.learn(continue_from(state, segment, n_probes))).state
                what = f"{case.name}, split into {'+'.join(map(str, cuts))}"
                require_equal(state, whole, what, "the parts", "the whole")


async def segments_can_be_repeated(opener: Opener) -> None:
    """A repeated segment has the same result, whatever the device did in between."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        dut.needs_repeatability()
        for case in CASES[:3]:
            segment = segment_for(dut, case)
            first = await dut.device.learn(segment)
            at_once = await dut.device.learn(segment)
            require_equal(at_once, first, f"{case.name}: repeated immediately", "the second result", "the first")
            await dut.device.learn(continue_from(first.state, segment, 20))
            await dut.device.write(theta_for(dut.info, 1))
            await dut.device.probe(block_for(dut.info, baseline=Baseline.EVERY))
            later = await dut.device.learn(segment)
            require_equal(later, first, f"{case.name}: repeated later", "the second result", "the first")


async def segments_end_with_their_theta_held(opener: Opener) -> None:
    """After a segment the device has the segment's last θ, and steps and updates are counted."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        for case in CASES:
            segment = segment_for(dut, case)
            result = await dut.device.learn(segment)
            _demand_sound(result, segment, case.name)
            dut.needs_exact_writes()
            theta_read = await dut.device.read()
            expected = await dut.device.write(requested_theta(result.state, segment.rule))
            require_equal(
                theta_read, expected, f"{case.name}: after a segment", "the actual parameters", "its last θ as written"
            )


async def replicas_learn_as_one_does(opener: Opener) -> None:
    """`learn_many` gives the result of `learn` for each segment."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        dut.needs_determinism()
        segments = [segment_for(dut, CASES[0], number=number) for number in range(3)]
        singly = [await dut.device.learn(segment) for segment in segments]
        results = await dut.device.learn_many(segments)
        require(len(results) == 3, f"three segments have {len(results)} results")
        for number, (one, other) in enumerate(zip(results, singly, strict=True)):
            _demand_same_result(one, other, f"replica {number}, against the same segment alone")


async def learning_is_refused_where_it_cannot_be(opener: Opener) -> None:
    """A device without Capability.LEARN refuses a segment with a DeviceError; θ is unchanged."""
    async with opened_dut(opener) as dut:
        if Capability.LEARN in dut.info.capabilities:
            raise NotApplicable("the device can learn on its own")
        await expect_refusal(dut.device.learn(segment_for(dut, CASES[0])), DeviceError, "a segment")
        await dut.require_theta("after a segment was refused")


def _host_levels(dut: DeviceUnderTest, *, every: bool) -> dict[str, Probe]:
    """Levels for training from the host: where they agree one is enough, and host codes are slow."""
    levels = dut.levels
    if not every and "device-codes" in levels:
        levels.pop("host-codes", None)
    return levels


def _demand_same_result(ours: SegmentResult, theirs: SegmentResult, what: str) -> None:
    require_equal(ours.state, theirs.state, what, "learn", "the host's loop")
    require_close(ours.cost, theirs.cost, f"{what}: the mean cost")
    require((ours.last is None) == (theirs.last is None), f"{what}: only one of the two reports a last update")
    if ours.last is not None and theirs.last is not None:
        require(ours.last.eta == theirs.last.eta, f"{what}: the last η is {ours.last.eta}, expected {theirs.last.eta}")
        require_close(ours.last.gradient_norm, theirs.last.gradient_norm, f"{what}: the last |ĝ|")


def require_close(value: float, expected: float, what: str) -> None:
    """Raise ConformanceError unless a reported value is as expected up to rounding."""
    require(bool(np.isclose(value, expected, rtol=ROUNDING)), f"{what} is {value!r}, expected {expected!r}")


def _demand_sound(result: SegmentResult, segment: Segment, name: str) -> None:
    state, period = result.state, segment.rule.update_period
    end = segment.state.step + segment.n_probes
    require(state.step == end, f"{name}: the segment ends at step {state.step}, expected {end}")
    require(state.update == end // period, f"{name}: {state.update} updates, expected {end // period}")
    require(bool(np.isfinite(state.theta).all()), f"{name}: a parameter is NaN or infinite")
    inside = bool((state.theta >= segment.rule.low).all() and (state.theta <= segment.rule.high).all())
    require(inside, f"{name}: a parameter is outside the range of the learning rule")
