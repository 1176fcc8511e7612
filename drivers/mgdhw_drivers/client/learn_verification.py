"""Verification of answers to LEARN: everything in them that the host can compute.

A board that counts otherwise than its host has run other probes or updates than those that were asked for, and its θ is
not the one that the run would have had.
"""

from __future__ import annotations

import math

import numpy as np

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.errors import DeviceFault
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import next_block
from mgdhw.timing import expected_baselines
from mgdhw_drivers.client.costs import CostChecker
from mgdhw_drivers.protocol.messages import LearnResult
from mgdhw_drivers.protocol.numbers import LearnResultFlag
from mgdhw_drivers.protocol.segments import N_SCALARS, rates_of


def updates_of(segment: Segment) -> int:
    """Updates that a segment makes."""
    step, period = segment.state.step, segment.rule.update_period
    return (step + segment.n_probes) // period - step // period


def evaluations_of(segment: Segment) -> int:
    """Evaluations that a segment takes: its probes, and the baselines that they are compared with."""
    state, rule, probes = segment.state, segment.rule, segment.n_probes
    if rule.baseline is not Baseline.HELD:
        return probes + expected_baselines(probes, rule.baseline, tau_x=1, update_period=1)
    # Where θ or the batch changes after the first probe; and at the first probe, unless what is held still holds.
    counted = [
        expected_baselines(until, Baseline.HELD, tau_x=rule.order.tau_x, update_period=rule.update_period)
        for until in (state.step + probes, state.step + 1)
    ]
    first = 0 if next_block(state, rule, 1).valid_held() is not None else 1
    return probes + counted[0] - counted[1] + first


class Verification:
    """Verifies one answer to LEARN.

    Args:
        segment: that was asked for.
        result: what the board says of it.
        cost_checker: knows which costs there can be.
        uri: the device's address, for errors.
    """

    def __init__(self, segment: Segment, result: LearnResult, cost_checker: CostChecker, uri: str) -> None:
        self._segment = segment
        self._result = result
        self._cost_checker = cost_checker
        self._uri = uri

    def check_counts(self) -> None:
        """What the message alone says. Raises DeviceFault."""
        segment, learn_result, rule = self._segment, self._result, self._segment.rule
        updates = updates_of(segment)
        self._same("step", learn_result.step, segment.state.step + segment.n_probes)
        self._same("updates", learn_result.update, segment.state.update + updates)
        self._same("evaluations", learn_result.evaluations, evaluations_of(segment))
        flags = LearnResultFlag(learn_result.flags)
        self._same("whether there was an update", LearnResultFlag.UPDATED in flags, updates > 0)
        if updates:
            self._same("eta", learn_result.eta, rates_of(segment)[-1])
            if not learn_result.gradient_norm >= 0:
                raise self._fault("gradient_norm", learn_result.gradient_norm, "a number of 0 or more")
        self._same("the numbers of the optimizer", learn_result.scalars, self._scalars(updates))
        between = learn_result.step % rule.update_period > 0
        self._same(
            "whether a baseline is held", LearnResultFlag.HELD in flags, between and rule.baseline is Baseline.HELD
        )
        if rule.continuous or not between:
            self._same("whether the window is empty", LearnResultFlag.WINDOW_EMPTY in flags, True)
        elif FAMILIES[rule.codes.family].two_level:  # every probe moves some parameter
            self._same("whether the window is empty", LearnResultFlag.WINDOW_EMPTY in flags, False)
        if rule.continuous:
            self._same("whether there is a last cost", LearnResultFlag.ANALOG_COST in flags, True)
            for name in ("analog_cost", "high_passed"):
                self._finite(name, getattr(learn_result, name))
        self._finite("cost", learn_result.cost)
        self._cost_checker.check_range(learn_result.cost, learn_result.cost, rule.order.batch)

    def check_state(self, result: SegmentResult) -> None:
        """What the state's areas hold. Raises DeviceFault."""
        before, state, rule = self._segment.state, result.state, self._segment.rule
        if state.held is not None:
            self._check_held(state.held.value, state.held.step)
        if state.update == before.update:
            if not np.array_equal(state.theta, before.theta):
                raise self._fault("theta", "other parameters", "those that it was given, for there was no update")
            return
        low, high = np.broadcast_to(rule.low, state.theta.shape), np.broadcast_to(rule.high, state.theta.shape)
        good = (state.theta >= low) & (state.theta <= high)
        if not good.all():
            i = int(np.argmin(good))
            raise self._fault(f"parameter {i} of theta", f"{state.theta[i]:g}", f"{low[i]:g} ... {high[i]:g}")

    def _check_held(self, value: int | float, step: int) -> None:
        """The baseline in force: measured where θ or the batch changed last, or the one that was carried."""
        state, rule, end = self._segment.state, self._segment.rule, self._result.step
        due = max((end - 1) // period * period for period in (rule.order.tau_x, rule.update_period))
        carried = next_block(state, rule, 1).valid_held()
        if due > state.step or carried is None:
            self._same("the step of the held baseline", step, max(due, state.step))
            self._finite("held_value", float(value))
            self._cost_checker.check_range(float(value), float(value), rule.order.batch)
        else:
            self._same("the step of the held baseline", step, carried.step)
            self._same("held_value", value, carried.value)

    def _scalars(self, updates: int) -> tuple[float, ...]:
        """The numbers of the optimizer's state: as they have to be, or as claimed where gradients decide them."""
        state, optimizer = self._segment.state.optimizer, self._segment.rule.optimizer
        after, names = optimizer.scalars_after(state, updates), optimizer.scalars()
        expected = [after.get(name, claimed) for name, claimed in zip(names, self._result.scalars, strict=False)]
        return (*expected, *[1.0] * (N_SCALARS - len(names)))

    def _same(self, what: str, claimed: object, expected: object) -> None:
        if claimed != expected:
            raise self._fault(what, claimed, expected)

    def _finite(self, what: str, claimed: float) -> None:
        if not math.isfinite(claimed):
            raise self._fault(what, claimed, "a finite number")

    def _fault(self, what: str, claimed: object, expected: object) -> DeviceFault:
        return DeviceFault(
            f"the board's answer to LEARN is wrong: {what}: it says {claimed}, expected {expected}; its firmware counts"
            " or rounds differently (run.level=device-codes leaves it less to do)",
            uri=self._uri,
        )
