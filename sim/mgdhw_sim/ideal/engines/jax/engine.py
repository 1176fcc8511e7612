"""The engine that JAX compiles, on whatever JAX finds: a GPU, or the CPU.

Networks are float32; codes, sums, parameters and costs are float64, so that the updates are those of the host. 64-bit
types are enabled around each call, and nothing else in the process sees them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Part
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import probes_to_update
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.jax.forward import Forward
from mgdhw_sim.ideal.engines.jax.units import Data, Units, evaluate_units
from mgdhw_sim.ideal.engines.jax.windows import (
    Course,
    Loop,
    Pattern,
    Rule,
    Trained,
    factor_of,
    pattern_of,
    train_windows,
)
from mgdhw_sim.ideal.engines.unit_engine import BYTES_AT_ONCE, Evaluated, UnitCodes, UnitEngine
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import cost_noise, node_variation, write_noise

SIGNALS_ON_CPU = 1 << 20
SIGNALS_ON_GPU = 1 << 28
"""Signals of the widest layer, of the samples that are evaluated together."""
UNITS_AT_ONCE = 64
WINDOWS_AT_ONCE = 256

log = logging.getLogger("mgdhw.engine")


class JaxEngine(UnitEngine):
    """Blocks and segments compiled whole."""

    name = "jax"

    def __init__(self, spec: IdealSpec) -> None:
        super().__init__(spec)
        self.forward = Forward(spec, node_variation(spec))
        self.platform = str(jax.default_backend())
        self._evaluate = jax.jit(evaluate_units, static_argnames=("units", "capacity"))
        self._train = jax.jit(train_windows, static_argnames="loop")
        self._train_many = jax.jit(_many, static_argnames="loop")
        self._outputs = jax.jit(self.forward.outputs)

    def load(self, dataset: Dataset) -> None:
        self._dataset = dataset
        inputs = dataset.inputs if dataset.inputs.dtype == np.uint8 else dataset.inputs.astype(np.float32)
        with jax.enable_x64(True):
            self._data = Data(jnp.asarray(inputs), jnp.asarray(dataset.input_scale), jnp.asarray(dataset.targets))

    def outputs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        network, narrow = self.spec.network, theta.astype(np.float32)
        found = np.empty((samples.size, network.n_outputs))
        at_once = self._part(samples.size)
        for start in range(0, samples.size, at_once):
            chosen = samples[start : start + at_once]
            x = self._dataset.values(np.resize(chosen, at_once)).astype(np.float32)
            y = self._outputs(narrow, x.reshape(at_once, *network.shape))
            found[start : start + at_once] = np.asarray(y)[: chosen.size]
        return found

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._dataset.targets[samples])

    def _part(self, batch: int) -> int:
        """Samples to evaluate together: parts of one size, as large as there is room for."""
        room = SIGNALS_ON_CPU if self.platform == "cpu" else SIGNALS_ON_GPU
        parts = -(-batch * self.spec.network.most_signals // room)
        return -(-batch // max(1, parts))

    def evaluate(self, theta: FloatArray, samples: IntArray, codes: UnitCodes, first: int, count: int) -> Evaluated:
        units = self._units(codes, samples.size)
        inside, base = _drawn_inside(codes.codes), 0.0
        capacity = UNITS_AT_ONCE
        if not inside:
            capacity = max(1, min(capacity, BYTES_AT_ONCE // (2 * self.topology.n_parameters)))
        found: list[tuple[FloatArray, FloatArray]] = []
        with jax.enable_x64(True):
            for start in range(first, first + count, capacity):
                asked = min(capacity, first + count - start)
                values = None if inside else _padded(codes.values(start, asked), capacity)
                total, plus, minus = self._evaluate(
                    units,
                    self._data,
                    theta,
                    samples.astype(np.int32),
                    np.uint64(start),
                    asked,
                    np.uint64(codes.codes.spec.seed),
                    np.asarray(codes.codes.amplitude, dtype=np.float64),
                    values,
                    capacity=capacity,
                )
                base = float(total)
                found.append((np.asarray(plus)[:asked], np.asarray(minus)[:asked]))
        plus, minus = (np.concatenate(sides) for sides in zip(*found, strict=True))
        return Evaluated(base, plus, minus)

    def _units(self, codes: UnitCodes, batch: int) -> Units:
        return Units(self.forward, codes.by_layer, codes.antithetic, self._part(batch))

    def learn(self, segment: Segment) -> SegmentResult:
        return self.learn_many([segment])[0]

    def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        rule = segments[0].rule
        codes = self._codes(rule)
        units = self._units(codes, rule.order.batch)
        pattern = pattern_of(rule, units.probes)
        if pattern is None or rule.continuous or rule.stochastic:
            return super().learn_many(segments)
        if any(_shared(segment) != _shared(segments[0]) for segment in segments):
            return [result for segment in segments for result in self.learn_many([segment])]
        heads = probes_to_update(segments[0].state, rule) % rule.update_period
        if heads:
            return [self._after_head(segment, min(heads, segment.n_probes)) for segment in segments]
        windows, tail = divmod(segments[0].n_probes, rule.update_period)
        results = self._windows(segments, units, pattern, windows) if windows else []
        if not tail:
            return results
        if not results:
            return [super(JaxEngine, self).learn(segment) for segment in segments]
        return [self._joined(segment, result) for segment, result in zip(segments, results, strict=True)]

    def _after_head(self, segment: Segment, head: int) -> SegmentResult:
        """A segment that begins within a window: its rest one block after another, then what follows."""
        return self._joined(segment, super().learn(replace(segment, n_probes=head)))

    def _joined(self, segment: Segment, first: SegmentResult) -> SegmentResult:
        """The result of a segment of which the first part has been run."""
        done = first.state.step - segment.state.step
        if done == segment.n_probes:
            return first
        rest = self.learn(replace(segment, state=first.state, n_probes=segment.n_probes - done))
        cost = (first.cost * done + rest.cost * (segment.n_probes - done)) / segment.n_probes
        return SegmentResult(rest.state, cost, rest.last or first.last)

    def _windows(
        self, segments: Sequence[Segment], units: Units, pattern: Pattern, windows: int
    ) -> list[SegmentResult]:
        """Segments of whole windows, side by side."""
        rule, begin = segments[0].rule, segments[0].state
        codes = Codes(rule.codes, self.topology)
        factor, counts_energy = factor_of(rule, codes)
        loop = Loop(units, pattern, rule.optimizer, counts_energy)
        at_once = self._windows_at_once(rule, pattern, len(segments))
        noise_sum = 0.0
        with jax.enable_x64(True):
            rules = [_rule(segment.rule, codes, factor) for segment in segments]
            trained = [self._start(segment) for segment in segments]
            stacked = len(segments) > 1
            states: Any = _stack(trained) if stacked else trained[0]
            numbers: Any = _stack(rules) if stacked else rules[0]
            for start in range(0, windows, at_once):
                count = min(at_once, windows - start)
                courses = [self._course(segment, units, pattern, start, count, at_once) for segment in segments]
                noise_sum += self._plus_noise(rule, begin.step + start * pattern.probes, count * pattern.probes)
                if stacked:
                    states = self._train_many(loop, self._data, numbers, _stack(courses), states)
                else:
                    states = self._train(loop, self._data, numbers, courses[0], states)
            states = jax.tree.map(np.asarray, states)
        probes = windows * pattern.probes
        eta = _eta(rule, begin.update + windows - 1)
        results = []
        for place, segment in enumerate(segments):
            own = jax.tree.map(lambda values, place=place: values[place], states) if stacked else states
            state = replace(
                segment.state,
                step=segment.state.step + probes,
                update=segment.state.update + windows,
                theta=own.theta,
                optimizer=dict(own.optimizer),
                window=Window.empty(self.topology.n_parameters, integer=False),
                held=None,
                evaluations=segment.state.evaluations + windows * _evaluations(rule, pattern),
            )
            cost = (float(own.cost) + noise_sum) / probes
            results.append(SegmentResult(state, cost, UpdateInfo(eta, float(own.norm))))
        return results

    def _windows_at_once(self, rule: LearningRule, pattern: Pattern, replicas: int) -> int:
        n, each = self.topology.n_parameters, 4 * pattern.batches * rule.order.batch
        if not _drawn_inside(Codes(rule.codes, self.topology)):
            each += 2 * pattern.batches * pattern.units * n
        if self.spec.cost_noise:
            each += 8 * pattern.probes
        if self.spec.write_noise:
            each += 8 * n
        return max(1, min(WINDOWS_AT_ONCE, BYTES_AT_ONCE // (replicas * each)))

    def _codes(self, rule: LearningRule) -> UnitCodes:
        return UnitCodes(Codes(rule.codes, self.topology), rule.baseline is Baseline.ANTITHETIC)

    def _start(self, segment: Segment) -> Trained:
        state = segment.state
        optimizer = {name: jnp.asarray(value) for name, value in state.optimizer.items()}
        held = jnp.asarray(self.written(segment))
        return Trained(jnp.asarray(state.theta), held, optimizer, jnp.zeros(()), jnp.zeros(()))

    def _course(
        self, segment: Segment, units: Units, pattern: Pattern, start: int, count: int, capacity: int
    ) -> Course:
        """What differs from window to window, for windows from `start` of a segment on."""
        rule, state = segment.rule, segment.state
        step = state.step + start * pattern.probes
        probes = count * pattern.probes
        if rule.order.tau_x >= pattern.probes:
            numbers = (step + np.arange(count) * pattern.probes) // rule.order.tau_x
            drawn = rule.order.samples(int(numbers[0]), int(numbers[-1] - numbers[0]) + 1)[numbers - numbers[0]]
        else:
            drawn = rule.order.samples(step // rule.order.tau_x, count * pattern.batches)
        samples = drawn.reshape(count, pattern.batches, rule.order.batch).astype(np.int32)
        eta = np.array([_eta(rule, state.update + start + at) for at in range(count)])
        codes, values = Codes(rule.codes, self.topology), None
        if not _drawn_inside(codes):
            of_window = pattern.batches * pattern.units
            values = self._codes(rule).values(step // units.probes, count * of_window).reshape(count, of_window, -1)
        noise = written = None
        if self.spec.cost_noise:
            noise = self._difference_noise(rule, step, probes).reshape(count, pattern.probes)
        if self.spec.write_noise:
            written = write_noise(self.spec, step + pattern.probes * np.arange(1, count + 1))
        return Course(
            jnp.asarray(np.uint64(step // units.probes)),
            jnp.asarray(count),
            jnp.asarray(_padded(samples, capacity)),
            jnp.asarray(_padded(eta, capacity)),
            *(None if array is None else jnp.asarray(_padded(array, capacity)) for array in (values, noise, written)),
        )

    def _difference_noise(self, rule: LearningRule, step: int, probes: int) -> FloatArray:
        """(probes,) noise of C̃."""
        steps, size = np.arange(step, step + probes), rule.order.batch
        noise = cost_noise(self.spec, steps, size, Part.PLUS)
        if rule.baseline is Baseline.ANTITHETIC:
            return noise - cost_noise(self.spec, steps, size, Part.MINUS)
        if rule.baseline is Baseline.EVERY:
            return noise - cost_noise(self.spec, steps, size, Part.BASELINE)
        measured = steps - steps % min(rule.order.tau_x, rule.update_period)
        first, which = np.unique(measured, return_inverse=True)
        return noise - cost_noise(self.spec, first, size, Part.BASELINE)[which]

    def _plus_noise(self, rule: LearningRule, step: int, probes: int) -> float:
        if not self.spec.cost_noise:
            return 0.0
        steps = np.arange(step, step + probes)
        return float(cost_noise(self.spec, steps, rule.order.batch, Part.PLUS).sum())


def _drawn_inside(codes: Codes) -> bool:
    """Whether compiled code makes these codes; all others are made on the host and passed in."""
    return codes.spec.family == "random"


def _rule(rule: LearningRule, codes: Codes, factor: FloatArray) -> Rule:
    return Rule(
        jnp.asarray(np.uint64(rule.codes.seed)),
        jnp.asarray(codes.amplitude, jnp.float64),
        jnp.asarray(factor),
        jnp.asarray(rule.low, jnp.float64),
        jnp.asarray(rule.high, jnp.float64),
    )


def _shared(segment: Segment) -> tuple[object, ...]:
    """What segments that are run side by side have in common: all but seeds, θ and the optimizer's state."""
    rule, state = segment.rule, segment.state
    return (
        state.step,
        state.update,
        segment.n_probes,
        replace(rule.codes, seed=0),
        replace(rule.order, seed=0),
        rule.baseline,
        rule.continuous,
        rule.stochastic,
        rule.update_period,
        rule.normalise,
        rule.optimizer,
        rule.eta,
        rule.schedule,
        rule.updates,
    )


def _eta(rule: LearningRule, update: int) -> float:
    return rule.eta * rate(rule.schedule, Progress(update, rule.updates))


def _evaluations(rule: LearningRule, pattern: Pattern) -> int:
    """Applications of a batch in a window."""
    return pattern.probes + pattern.batches if rule.baseline is Baseline.HELD else 2 * pattern.probes


def _padded(values: Any, count: int) -> Any:
    """With as many rows as the compiled code has been made for."""
    missing = count - values.shape[0]
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)]) if missing else values


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _many(loop: Loop, data: Data, rules: Rule, courses: Course, states: Trained) -> Trained:
    """`train_windows` for replicas side by side."""
    count = courses.count[0]  # of all: a loop with one number of turns

    def one(rule: Rule, course: Course, state: Trained) -> Trained:
        return train_windows(loop, data, rule, course._replace(count=count), state)

    trained: Trained = jax.vmap(one)(rules, courses, states)
    return trained
