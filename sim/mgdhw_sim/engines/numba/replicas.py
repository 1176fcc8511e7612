"""Many segments at once: in lanes of vectors where that can be done, and on all processors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, HeldBaseline
from mgdhw.compiled.kernels.simd import LANES
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.numba.kernels import replica_lanes, scalar_segments, updates
from mgdhw_sim.engines.numba.kernels.segments import Setup
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.chip import Chip

Work = TypeVar("Work")
Answer = TypeVar("Answer")

LARGEST_CHIP = 4096
"""Parameters of a chip up to which replicas go side by side: sixteen of them still fit into a cache."""
LARGEST_MEMORY = 1 << 24
"""Inputs of all samples, likewise."""
CHUNK_PROBES = 64


def learn_many(
    chip: Chip, segments: Sequence[Segment], learn: Callable[[Chip, Segment], SegmentResult]
) -> list[SegmentResult]:
    """Each segment's result, as `learn` would have it. What a nonideal chip holds, each thread has for itself."""
    if fits_lanes(chip, segments):
        groups = [segments[start : start + LANES] for start in range(0, len(segments), LANES)]
        return [result for results in everywhere(lambda group: _learn_lanes(chip, group), groups) for result in results]
    if min(kernel_args.processors(), len(segments)) <= 1:
        return [learn(chip, segment) for segment in segments]
    return everywhere(lambda segment: learn(_beside(chip), segment), segments)


def _beside(chip: Chip) -> Chip:
    """The chip, to be worked on beside others: with registers and cells of its own, by one thread."""
    other = copy(chip)
    other.single_threaded = True
    return other


def everywhere(work: Callable[[Work], Answer], items: Sequence[Work]) -> list[Answer]:
    """All answers, in order, from as many threads as there are processors."""
    threads = min(kernel_args.processors(), len(items))
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads, thread_name_prefix="mgdhw replicas") as pool:
        return list(pool.map(work, items))


def fits_lanes(chip: Chip, segments: Sequence[Segment]) -> bool:
    """Whether these segments can go side by side: they differ in seeds and in θ only, and the chip is small."""
    first = segments[0]
    learning_rule, n_samples = first.rule, chip.memory[0].shape[0]
    if (
        chip.cells is not None
        or learning_rule.codes.amplitudes
        or learning_rule.continuous
        or learning_rule.normalise != "energy"
        or not kernel_args.has_rule(learning_rule)
    ):
        return False
    if (
        len(segments) < 2
        or learning_rule.codes.family != "random"
        or learning_rule.order.batch >= kernel_args.WIDE_BATCH
    ):
        return False
    if chip.topology.n_parameters > LARGEST_CHIP or n_samples * max(chip.spec.layers) > LARGEST_MEMORY:
        return False
    if kernel_args.int16_network(chip.spec) is None:
        return False
    return all(_common(segment) == _common(first) for segment in segments)


def _common(segment: Segment) -> tuple[object, ...]:
    """What must be the same for segments that go side by side."""
    state, learning_rule = segment.state, segment.rule
    held_baseline = None if state.held is None else state.held.step
    codes, order = replace(learning_rule.codes, seed=0), replace(learning_rule.order, seed=0)
    rule = (
        learning_rule.optimizer,
        learning_rule.eta,
        learning_rule.schedule,
        learning_rule.updates,
        learning_rule.update_period,
        learning_rule.baseline,
        learning_rule.continuous,
        learning_rule.stochastic,
        learning_rule.normalise,
    )
    energy = state.window.energy.tobytes()
    return segment.n_probes, state.step, state.update, held_baseline, codes, order, *rule, energy


def _learn_lanes(chip: Chip, segments: Sequence[Segment]) -> list[SegmentResult]:
    """Up to sixteen segments side by side. Lanes that are left over repeat the last one."""
    filled = [*segments, *[segments[-1]] * (LANES - len(segments))]
    states, learning_rule = [segment.state for segment in filled], segments[0].rule
    first, count, period = states[0], segments[0].n_probes, learning_rule.update_period
    fixed = _setup(chip, learning_rule)
    update_state = _update_state(chip, states)
    order = learning_rule.order
    batch = order.batch_of(first.step)
    usable = first.held is not None and order.batch_of(first.held.step) == batch
    own = _lanes(chip, filled, update_state, usable)
    batch_held = np.array([batch if usable else scalar_segments.NO_BATCH], dtype=np.int64)
    n_updates = (first.step + count) // period - first.step // period
    etas = kernel_args.etas(learning_rule, first.update, n_updates)
    alone = period == 1 and learning_rule.codes.groups == "all" and not first.window.energy.any()
    tile = kernel_args.tile(chip, LANES)
    evaluations, measured, updates = replica_lanes.run_lanes(
        fixed,
        kernel_args.rule(chip.spec, learning_rule),
        update_state,
        first.step,
        count,
        period,
        alone,
        batch_held,
        etas,
        own,
        tile,
    )
    results = []
    for lane in range(len(segments)):
        before = states[lane]
        held_baseline = None
        if learning_rule.baseline is Baseline.HELD and batch_held[0] != scalar_segments.NO_BATCH:
            held_baseline = before.held if measured < 0 else HeldBaseline(int(own.results[lane]), int(measured))
        state = replace(
            before,
            step=before.step + count,
            update=before.update + updates,
            theta=_lane(update_state.theta, lane),
            optimizer=_optimizer_state(before, update_state, lane),
            window=Window(_lane(update_state.cross, lane), update_state.energy.copy()),
            held=held_baseline,
            evaluations=before.evaluations + int(evaluations),
        )
        last = UpdateInfo(float(etas[-1]), float(np.sqrt(update_state.squares[lane]))) if updates else None
        results.append(SegmentResult(state, float(own.totals[lane]) / count, last))
    return results


def _setup(chip: Chip, learning_rule: LearningRule) -> Setup:
    """As for one replica, with the sample memory as numbers of 32 bits."""
    small = kernel_args.int16_network(chip.spec)
    assert small is not None, "fits_lanes"
    fixed = kernel_args.setup(chip, small, learning_rule.codes, learning_rule.order, learning_rule.baseline)
    if "lanes" not in chip.engine_cache:
        chip.engine_cache["lanes"] = tuple(memory.astype(np.int32).ravel() for memory in chip.memory)
    inputs, targets = chip.engine_cache["lanes"]
    return fixed._replace(inputs=inputs, targets=targets)


def _update_state(chip: Chip, states: Sequence[TrainState]) -> updates.UpdateState:
    size = chip.topology.n_parameters
    none = np.zeros(size)
    powers = [float(states[0].optimizer.get(name, none[0])) for name in ("beta1_power", "beta2_power")]
    theta = np.stack([state.theta for state in states], axis=1)
    return updates.UpdateState(
        theta=theta.ravel(),
        m=np.stack([state.optimizer.get("m", none) for state in states], axis=1).ravel(),
        v=np.stack([state.optimizer.get("v", none) for state in states], axis=1).ravel(),
        powers=np.array(powers),
        cross=np.stack([state.window.cross for state in states], axis=1).ravel(),
        energy=states[0].window.energy.copy(),
        squares=np.zeros(LANES),
        requested=datapath.stored_codes(chip.spec, theta.ravel()),
    )


def _lanes(
    chip: Chip, segments: Sequence[Segment], update_state: updates.UpdateState, usable: bool
) -> replica_lanes.Lanes:
    learning_rule, size = segments[0].rule, chip.topology.n_parameters
    n_words = -(-size // 128) * 4
    widest = max(chip.spec.layers)
    batches = (CHUNK_PROBES - 1) // learning_rule.order.tau_x + 2
    held_baseline = [int(s.state.held.value) if usable and s.state.held is not None else 0 for s in segments]
    return replica_lanes.Lanes(
        code_keys=_keys([segment.rule.codes.seed for segment in segments]),
        order_keys=_keys([segment.rule.order.seed for segment in segments]),
        results=np.concatenate([np.array(held_baseline, dtype=np.int32), np.zeros(2 * LANES, dtype=np.int32)]),
        words=np.zeros(CHUNK_PROBES * n_words * LANES, dtype=np.uint32),
        n_words=n_words,
        samples=np.zeros(batches * learning_rule.order.batch * LANES, dtype=np.int32),
        keys=np.zeros(16 * LANES, dtype=np.uint32),
        perturbed=update_state.requested.copy(),
        x=np.zeros(widest * LANES, dtype=np.int32),
        signals=np.zeros(widest * LANES, dtype=np.int32),
        spare=np.zeros(widest * LANES, dtype=np.int32),
        totals=np.zeros(LANES, dtype=np.int64),
    )


def _keys(seeds: Sequence[int]) -> NDArray[np.uint32]:
    return np.array([[seed & 0xFFFFFFFF for seed in seeds], [seed >> 32 for seed in seeds]], dtype=np.uint32).ravel()


def _lane(array: NDArray[Any], lane: int) -> NDArray[Any]:
    return array[lane::LANES].copy()


def _optimizer_state(
    before: TrainState, update_state: updates.UpdateState, lane: int
) -> dict[str, NDArray[np.float64]]:
    powers = {"beta1_power": update_state.powers[0], "beta2_power": update_state.powers[1]}
    return {
        name: np.array(powers[name])
        if name in powers
        else _lane({"m": update_state.m, "v": update_state.v}[name], lane)
        for name in before.optimizer
    }
