"""What `learn` promises: the host's trajectory, and the same answer whenever it is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.block import Baseline
from mgdhw.device import Capability
from mgdhw.errors import DeviceError
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import requested_theta
from mgdhw.testing.bench import Bench, Probe, on_bench
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand, demand_same, refusal
from mgdhw.testing.fitted import block_for, theta_for
from mgdhw.testing.permutation import RUNS, demand_alike
from mgdhw.testing.recipes import CASES, after, cases_for, segment_for, walk

CUTS = ((13, 7, 25), (20, 25), (1, 43, 1))
"""Ways to cut a stretch of 45 probes: at updates, between them, into single probes."""

ROUNDING = 1e-9
"""Share by which what is only reported (a mean cost, |ĝ|) may differ: it is summed in any order."""


async def learning_alone_is_learning_with_the_host(opener: Opener) -> None:
    """A segment leads where the host's own loop leads, to the bit, for every optimizer, family and mode."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        bench.needs_determinism()
        for number, case in enumerate(cases_for(bench.info)):
            segment = segment_for(bench, case)
            learned = await bench.device.learn(segment)
            for level, probe in _walked(bench, every=number == 0).items():
                walked = await walk(bench.device, probe, segment)
                if level == "host-codes":  # every probe is a write there, which cells may count
                    walked = replace(walked, state=replace(walked.state, cells=learned.state.cells))
                _demand_same_result(learned, walked, f"{case.name}, {level}")


async def learning_alone_agrees_statistically(opener: Opener) -> None:
    """A noisy device learns alone as with the host, in the mean (exact permutation test; one false alarm in 1,716)."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        if bench.is_deterministic:
            raise NotApplicable("the device is deterministic: learning alone agrees with the host to the bit")
        segment = segment_for(bench, CASES[0])
        for level, probe in _walked(bench, every=False).items():
            alone, together = [], []
            for _ in range(RUNS):
                alone.append((await bench.device.learn(segment)).state.theta)
                together.append((await walk(bench.device, probe, segment)).state.theta)
            demand_alike(np.stack(alone), np.stack(together), f"the parameters of learn and of {level}")


async def segments_can_be_cut(opener: Opener) -> None:
    """However a stretch is cut into segments, it leads to the same state."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        bench.needs_determinism()
        for case in cases_for(bench.info):
            segment = segment_for(bench, case)
            whole = (await bench.device.learn(segment)).state
            for cuts in CUTS:
                state = segment.state
                for n_probes in cuts:
                    state = (await bench.device.learn(after(state, segment, n_probes))).state
                what = f"{case.name}, cut into {'+'.join(map(str, cuts))}"
                demand_same(state, whole, what, "the parts", "the whole")


async def segments_can_be_repeated(opener: Opener) -> None:
    """A repeated segment has the same answer, whatever the device did in between."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        bench.needs_determinism()
        for case in CASES[:3]:
            segment = segment_for(bench, case)
            first = await bench.device.learn(segment)
            at_once = await bench.device.learn(segment)
            demand_same(at_once, first, f"{case.name}: repeated at once", "the second answer", "the first")
            await bench.device.learn(after(first.state, segment, 20))
            await bench.device.write(theta_for(bench.info, 1))
            await bench.device.probe(block_for(bench.info, baseline=Baseline.EVERY))
            later = await bench.device.learn(segment)
            demand_same(later, first, f"{case.name}: repeated later", "the second answer", "the first")


async def segments_end_with_their_theta_held(opener: Opener) -> None:
    """After a segment the device holds the segment's last θ, and its steps and updates are counted."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        for case in CASES:
            segment = segment_for(bench, case)
            result = await bench.device.learn(segment)
            _demand_sound(result, segment, case.name)
            bench.needs_exact_writes()
            held = await bench.device.read()
            expected = await bench.device.write(requested_theta(result.state, segment.rule))
            demand_same(held, expected, f"{case.name}: after a segment", "what is held", "its last θ as written")


async def replicas_learn_as_one_does(opener: Opener) -> None:
    """`learn_many` answers each segment as `learn` does."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        bench.needs_determinism()
        segments = [segment_for(bench, CASES[0], number=number) for number in range(3)]
        singly = [await bench.device.learn(segment) for segment in segments]
        together = await bench.device.learn_many(segments)
        demand(len(together) == 3, f"three segments have {len(together)} answers")
        for number, (one, other) in enumerate(zip(together, singly, strict=True)):
            _demand_same_result(one, other, f"replica {number}, against the same segment alone")


async def learning_is_refused_where_it_cannot_be(opener: Opener) -> None:
    """A device without Capability.LEARN refuses a segment with a DeviceError, and θ stays."""
    async with on_bench(opener) as bench:
        if Capability.LEARN in bench.info.capabilities:
            raise NotApplicable("the device can learn by itself")
        await refusal(bench.device.learn(segment_for(bench, CASES[0])), DeviceError, "a segment")
        await bench.demand_theta("after a segment was refused")


def _walked(bench: Bench, *, every: bool) -> dict[str, Probe]:
    """The levels at which the host walks: one is enough, where they agree, and host codes are slow."""
    levels = bench.levels
    if not every and "device-codes" in levels:
        levels.pop("host-codes", None)
    return levels


def _demand_same_result(ours: SegmentResult, theirs: SegmentResult, what: str) -> None:
    demand_same(ours.state, theirs.state, what, "learn", "the host's loop")
    demand_close(ours.cost, theirs.cost, f"{what}: the mean cost")
    demand((ours.last is None) == (theirs.last is None), f"{what}: one tells of a last update, the other doesn't")
    if ours.last is not None and theirs.last is not None:
        demand(ours.last.eta == theirs.last.eta, f"{what}: the last η is {ours.last.eta}, expected {theirs.last.eta}")
        demand_close(ours.last.gradient_norm, theirs.last.gradient_norm, f"{what}: the last |ĝ|")


def demand_close(value: float, expected: float, what: str) -> None:
    """Raise ConformanceError unless a number that is only reported is the one expected, but for rounding."""
    demand(bool(np.isclose(value, expected, rtol=ROUNDING)), f"{what} is {value!r}, expected {expected!r}")


def _demand_sound(result: SegmentResult, segment: Segment, name: str) -> None:
    state, period = result.state, segment.rule.update_period
    end = segment.state.step + segment.n_probes
    demand(state.step == end, f"{name}: the segment ends at step {state.step}, expected {end}")
    demand(state.update == end // period, f"{name}: {state.update} updates, expected {end // period}")
    demand(bool(np.isfinite(state.theta).all()), f"{name}: a parameter is not a number")
    inside = bool((state.theta >= segment.rule.low).all() and (state.theta <= segment.rule.high).all())
    demand(inside, f"{name}: a parameter has left the range that the recipe gives")
