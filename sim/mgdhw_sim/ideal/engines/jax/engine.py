"""The engine that JAX compiles, on whatever JAX finds: a GPU, or the CPU.

Networks are float32; codes, sums, parameters and costs are float64, so that the updates are those of the host. 64-bit
types are enabled around each call, and nothing else in the process sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.codes import CodeArray, Codes
from mgdhw.datasets import Dataset
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.segment import Segment
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.engines.jax.forward import Forward
from mgdhw_sim.ideal.engines.jax.units import Data, Units, evaluate_units
from mgdhw_sim.ideal.engines.jax.windows import Carry, Loop, Rule, Windows, train_windows
from mgdhw_sim.ideal.engines.unit_engine import BYTES_AT_ONCE, Evaluated, UnitCodes
from mgdhw_sim.ideal.engines.window_engine import Course, Pattern, Trained, WindowEngine, factor_of
from mgdhw_sim.ideal.node_blocks import NodesEvaluated
from mgdhw_sim.ideal.spec import IdealSpec

SIGNALS_ON_CPU = 1 << 20
SIGNALS_ON_GPU = 1 << 28
"""Signals of the widest layer, of the samples that are evaluated together."""
UNITS_AT_ONCE = 64
WINDOWS_AT_ONCE = 256


class JaxEngine(WindowEngine):
    """Blocks and segments compiled whole.

    Args:
        spec: what is run.
        make_node_engine: makes the engine that runs blocks which perturb nodes.
    """

    name = "jax"

    def __init__(self, spec: IdealSpec, make_node_engine: Callable[[], Engine]) -> None:
        super().__init__(spec)
        self._make_node_engine = make_node_engine
        self.forward = Forward(spec)
        self.platform = str(jax.default_backend())
        self._evaluate = jax.jit(evaluate_units, static_argnames=("units", "capacity"))
        self._train = jax.jit(train_windows, static_argnames="loop")
        self._train_many = jax.jit(_many, static_argnames="loop")
        self._outputs = jax.jit(self.forward.outputs)
        self._of_nodes: Engine | None = None

    def load(self, dataset: Dataset) -> None:
        self._dataset = dataset
        if self._of_nodes is not None:
            self._of_nodes.load(dataset)
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

    def evaluate_nodes(
        self, theta: FloatArray, samples: IntArray, codes: CodeArray, noise: FloatArray, *, antithetic: bool
    ) -> NodesEvaluated:
        """By the engine for CPUs: this one perturbs parameters alone."""
        if self._of_nodes is None:
            self._of_nodes = self._make_node_engine()
            self._of_nodes.load(self._dataset)
        return self._of_nodes.evaluate_nodes(theta, samples, codes, noise, antithetic=antithetic)

    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        return reference.costs(self.spec.cost, self.outputs(theta, samples), self._dataset.targets[samples])

    def close(self) -> None:
        if self._of_nodes is not None:
            self._of_nodes.close()

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

    def train(self, segments: Sequence[Segment], codes: UnitCodes, pattern: Pattern, windows: int) -> list[Trained]:
        rule = segments[0].rule
        factor, counts_energy = factor_of(rule, codes.codes)
        loop = Loop(self._units(codes, rule.order.batch), pattern, rule.optimizer, counts_energy)
        at_once = self._windows_at_once(rule, pattern, len(segments))
        side_by_side = len(segments) > 1
        with jax.enable_x64(True):
            rules = [_rule(segment.rule, codes.codes, factor) for segment in segments]
            carried = [self._start(segment) for segment in segments]
            numbers: Any = _stack(rules) if side_by_side else rules[0]
            states: Any = _stack(carried) if side_by_side else carried[0]
            for start in range(0, windows, at_once):
                count = min(at_once, windows - start)
                courses = [self._course(segment, pattern, start, count, at_once) for segment in segments]
                if side_by_side:
                    states = self._train_many(loop, self._data, numbers, _stack(courses), states)
                else:
                    states = self._train(loop, self._data, numbers, courses[0], states)
            found: Carry = jax.tree.map(np.asarray, states)
        if not side_by_side:
            return [Trained(found.theta, found.optimizer, float(found.cost), float(found.norm))]
        return [
            Trained(
                found.theta[place],
                {name: value[place] for name, value in found.optimizer.items()},
                float(found.cost[place]),
                float(found.norm[place]),
            )
            for place in range(len(segments))
        ]

    def _windows_at_once(self, rule: LearningRule, pattern: Pattern, replicas: int) -> int:
        n, each = self.topology.n_parameters, 4 * pattern.batches * rule.order.batch
        if not _drawn_inside(Codes(rule.codes, self.topology)):
            each += 2 * pattern.batches * pattern.units * n
        if self.spec.cost_noise:
            each += 8 * pattern.probes
        if self.spec.write_noise:
            each += 8 * n
        return max(1, min(WINDOWS_AT_ONCE, BYTES_AT_ONCE // (replicas * each)))

    def _start(self, segment: Segment) -> Carry:
        state = segment.state
        optimizer = {name: jnp.asarray(value) for name, value in state.optimizer.items()}
        held = jnp.asarray(self.written(segment))
        return Carry(jnp.asarray(state.theta), held, optimizer, jnp.zeros(()), jnp.zeros(()))

    def _course(self, segment: Segment, pattern: Pattern, start: int, count: int, capacity: int) -> Windows:
        """What differs from window to window, with room for as many as the loop has been compiled for."""
        codes = self.unit_codes(segment.rule)
        course = Course.of(self.spec, segment, pattern, codes.probes, start, count)
        values = None
        if not _drawn_inside(codes.codes):
            of_window = pattern.batches * pattern.units
            values = codes.values(course.first_unit, count * of_window).reshape(count, of_window, -1)
        arrays = (course.samples.astype(np.int32), course.eta, values, course.noise, course.write_noise)
        padded = (None if array is None else jnp.asarray(_padded(array, capacity)) for array in arrays)
        return Windows(jnp.asarray(np.uint64(course.first_unit)), jnp.asarray(count), *padded)


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


def _padded(values: Any, count: int) -> Any:
    """With as many rows as the compiled code has been made for."""
    missing = count - values.shape[0]
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)]) if missing else values


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _many(loop: Loop, data: Data, rules: Rule, courses: Windows, states: Carry) -> Carry:
    """`train_windows` for replicas side by side."""
    count = courses.count[0]  # of all: a loop with one number of turns

    def one(rule: Rule, course: Windows, state: Carry) -> Carry:
        return train_windows(loop, data, rule, course._replace(count=count), state)

    trained: Carry = jax.vmap(one)(rules, courses, states)
    return trained
