"""Segments in windows: what lies between two updates is alike from window to window, so it can be a loop of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Part, Target
from mgdhw.codes import Codes
from mgdhw.learning.gradient import Window, estimate, oripov_scaled
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import probes_to_update
from mgdhw_sim.ideal.engines.unit_engine import UnitCodes, UnitEngine
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import cost_noise, write_noise


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a rule's windows are made, where they are all alike.

    Args:
        batches: of samples in a window.
        units: that see each of them.
        probes: of a window.
    """

    batches: int
    units: int
    probes: int


def pattern_of(rule: LearningRule, probes_of_unit: int) -> Pattern | None:
    """The pattern of a rule's windows; None if windows, batches and units do not begin together.

    None also where updates are not made of Σ C̃ θ̃ alone: node perturbation, filters, stochastic rounding.
    """
    window, tau_x = rule.update_period, rule.order.tau_x
    other = rule.continuous or rule.stochastic or rule.codes.target is Target.NODES
    if other or (window % tau_x and tau_x % window):
        return None
    of_batch = min(window, tau_x)
    if of_batch % probes_of_unit:
        return None
    return Pattern(window // of_batch, of_batch // probes_of_unit, window)


def factor_of(rule: LearningRule, codes: Codes) -> tuple[FloatArray, bool]:
    """What sums Σ C̃ θ̃ of a window are multiplied by, and whether they are then divided by the window's energy.

    (P,) and False where all windows have the same energy, or it plays no part; () and True elsewhere.
    """
    ones = np.ones(codes.topology.n_parameters)
    if rule.normalise == "oripov":
        window = Window(ones, ones.astype(np.int64))
        return oripov_scaled(window, rule.scale, rule.grid.lsb, codes, rule.update_period), False
    if codes.family.two_level:
        return estimate(Window(ones, codes.energy(0, rule.update_period)), rule.scale, rule.grid.lsb), False
    return np.asarray(rule.scale / np.asarray(rule.grid.lsb)), True


@dataclass(frozen=True, slots=True)
class Course:
    """What differs from window to window; the leading axis counts them.

    Args:
        first_unit: number of the first window's first unit.
        samples: (windows, batches, B).
        eta: (windows,) learning rates.
        noise: (windows, probes) noise of C̃; None for none.
        write_noise: (windows, P) noise of what is written after each; None for none.
    """

    first_unit: int
    samples: NDArray[np.int64]
    eta: FloatArray
    noise: FloatArray | None
    write_noise: FloatArray | None

    @classmethod
    def of(cls, spec: IdealSpec, segment: Segment, pattern: Pattern, units: int, start: int, count: int) -> Course:
        """That of windows from `start` of a segment on. `units` is the number of probes in a unit."""
        rule, state = segment.rule, segment.state
        step = state.step + start * pattern.probes
        order = rule.order
        if order.tau_x >= pattern.probes:
            numbers = (step + np.arange(count) * pattern.probes) // order.tau_x
            drawn = order.samples(int(numbers[0]), int(numbers[-1] - numbers[0]) + 1)[numbers - numbers[0]]
        else:
            drawn = order.samples(step // order.tau_x, count * pattern.batches)
        noise = written = None
        if spec.cost_noise:
            noise = _noise(spec, rule, step, count * pattern.probes).reshape(count, pattern.probes)
        if spec.write_noise:
            written = write_noise(spec, step + pattern.probes * np.arange(1, count + 1))
        eta = np.array([eta_of(rule, state.update + start + at) for at in range(count)])
        samples = drawn.reshape(count, pattern.batches, order.batch)
        return cls(step // units, samples, eta, noise, written)


@dataclass(frozen=True, slots=True)
class Trained:
    """Where windows led.

    Args:
        theta: (P,) master parameters.
        optimizer: its state.
        cost: sum of all perturbed costs, without their noise.
        norm: |ĝ| of the last update.
    """

    theta: FloatArray
    optimizer: Mapping[str, FloatArray]
    cost: float
    norm: float


class WindowEngine(UnitEngine):
    """An engine that trains whole windows in a loop of its own; what does not fit into them is run block by block."""

    @abstractmethod
    def train(self, segments: Sequence[Segment], codes: UnitCodes, pattern: Pattern, windows: int) -> list[Trained]:
        """The first windows of segments that begin with one, and differ in seeds and states alone.

        Args:
            segments: the segments.
            codes: of the first.
            pattern: of all.
            windows: how many of each.
        """

    def unit_codes(self, rule: LearningRule) -> UnitCodes:
        """The codes of a rule, unit by unit."""
        return UnitCodes(Codes(rule.codes, self.topology), rule.baseline is Baseline.ANTITHETIC)

    def learn(self, segment: Segment) -> SegmentResult:
        return self.learn_many([segment])[0]

    def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        rule = segments[0].rule
        codes = self.unit_codes(rule)
        pattern = pattern_of(rule, codes.probes)
        if any(_shared(segment) != _shared(segments[0]) for segment in segments):
            return [result for segment in segments for result in self.learn_many([segment])]
        if pattern is None:
            return [super(WindowEngine, self).learn(segment) for segment in segments]
        head = min(probes_to_update(segments[0].state, rule) % rule.update_period, segments[0].n_probes)
        windows = (segments[0].n_probes - head) // rule.update_period
        if head or not windows:  # it begins within a window, or ends within its first
            stepped = [replace(segment, n_probes=head or segment.n_probes) for segment in segments]
            results = [super(WindowEngine, self).learn(segment) for segment in stepped]
        else:
            trained = self.train(segments, codes, pattern, windows)
            results = [
                self._result(segment, pattern, windows, each) for segment, each in zip(segments, trained, strict=True)
            ]
        rest = [
            replace(segment, state=result.state, n_probes=segment.state.step + segment.n_probes - result.state.step)
            for segment, result in zip(segments, results, strict=True)
        ]
        if not rest[0].n_probes:
            return results
        return [_joined(*parts) for parts in zip(segments, results, self.learn_many(rest), strict=True)]

    def _result(self, segment: Segment, pattern: Pattern, windows: int, trained: Trained) -> SegmentResult:
        rule, state = segment.rule, segment.state
        probes = windows * pattern.probes
        of_window = pattern.probes + pattern.batches if rule.baseline is Baseline.HELD else 2 * pattern.probes
        cost = trained.cost
        if self.spec.cost_noise:
            steps = np.arange(state.step, state.step + probes)
            cost += float(cost_noise(self.spec, steps, rule.order.batch, Part.PLUS).sum())
        after = replace(
            state,
            step=state.step + probes,
            update=state.update + windows,
            theta=trained.theta,
            optimizer=dict(trained.optimizer),
            window=Window.empty(self.topology.n_parameters, integer=False),
            held=None,
            evaluations=state.evaluations + windows * of_window,
        )
        last = UpdateInfo(eta_of(rule, after.update - 1), trained.norm)
        return SegmentResult(after, cost / probes, last)


def eta_of(rule: LearningRule, update: int) -> float:
    """The learning rate of an update."""
    return rule.eta * rate(rule.schedule, Progress(update, rule.updates))


def _joined(segment: Segment, first: SegmentResult, second: SegmentResult) -> SegmentResult:
    """The result of a segment in two parts."""
    done = first.state.step - segment.state.step
    cost = (first.cost * done + second.cost * (segment.n_probes - done)) / segment.n_probes
    return SegmentResult(second.state, cost, second.last or first.last)


def _noise(spec: IdealSpec, rule: LearningRule, step: int, probes: int) -> FloatArray:
    """(probes,) noise of C̃."""
    steps, size = np.arange(step, step + probes), rule.order.batch
    noise = cost_noise(spec, steps, size, Part.PLUS)
    if rule.baseline is Baseline.ANTITHETIC:
        return noise - cost_noise(spec, steps, size, Part.MINUS)
    if rule.baseline is Baseline.EVERY:
        return noise - cost_noise(spec, steps, size, Part.BASELINE)
    measured, which = np.unique(steps - steps % min(rule.order.tau_x, rule.update_period), return_inverse=True)
    return np.asarray(noise - cost_noise(spec, measured, size, Part.BASELINE)[which])


def _shared(segment: Segment) -> tuple[object, ...]:
    """What segments that are run side by side have in common: all but seeds, θ and the optimizer's state."""
    rule, state = segment.rule, segment.state
    return (
        (state.step, state.update, segment.n_probes, rule.updates),
        (replace(rule.codes, seed=0), replace(rule.order, seed=0), rule.baseline, rule.normalise),
        (rule.continuous, rule.stochastic, rule.update_period, rule.optimizer, rule.eta, rule.schedule),
    )
