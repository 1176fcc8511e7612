"""The compiled engine: the whole loop in machine code, by numba."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs, Target
from mgdhw.compiled.kernels.simd import LANES
from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines import stepped
from mgdhw_sim.engines.base import Engine
from mgdhw_sim.engines.numba import kernel_args, marshalling, nonideal, replicas
from mgdhw_sim.engines.numba.kernels import continuous_mode, inference, scalar_segments, segments, thread_team
from mgdhw_sim.engines.numba.kernels.small_batch import Int16Network
from mgdhw_sim.engines.numba.kernels.updates import UpdateState
from mgdhw_sim.engines.numba.supported import unsupported_nonideality
from mgdhw_sim.engines.numba.team_choice import ProbeThreads
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.chip import Chip

LARGEST_TILE = 1 << 24
"""Signals of a batch that are kept side by side."""
INFER_PRODUCTS = 1 << 28
"""Products of parameters and samples from which on an evaluation is compiled: less is done in numpy meanwhile."""
INFER_SAMPLES = 128
"""That are worked on side by side."""


class NumbaEngine(Engine):
    """Runs blocks of every family and baseline, and segments with every optimizer.

    Some updates are made in Python, between compiled blocks: those by stochastic rounding, those scaled as in the 2025
    paper, those of layers with amplitudes of their own, and those of continuous mode on chips that are nonideal or
    whose numbers are large. Chips of small numbers (`kernel_args.int16_network`) run on vectors; the scalar kernels run
    everything.
    """

    name = "numba"

    def unsupported_reason(self, chip: Chip, work: Block | Segment) -> str | None:
        codes = work.codes if isinstance(work, Block) else work.rule.codes
        if codes.target is Target.NODES:
            return "node perturbation"
        if codes.amplitudes and codes.groups == "all":
            return "an amplitude of its own for each layer, of layers that are perturbed together,"
        if codes.family not in kernel_args.FAMILIES:
            return f"code family {codes.family!r}"
        if chip.spec.cost not in kernel_args.COSTS:
            return f"cost {chip.spec.cost!r}"
        unknown = unsupported_nonideality(chip.spec)
        return None if unknown is None else f"{unknown} of the chip"

    def probe(self, chip: Chip, block: Block) -> Costs:
        if block.codes.amplitudes:
            return marshalling.by_amplitude(block, lambda thread: self.probe(chip, thread))
        run = self._probe if chip.cells is None else nonideal.probe
        return marshalling.in_blocks(
            block, marshalling.probes_at_once(chip, block.order), lambda thread: run(chip, thread)
        )

    def _probe(self, chip: Chip, block: Block) -> Costs:
        held_baseline = marshalling.baseline_of_block(block)
        plus = np.empty(block.n_probes, dtype=np.int64)
        minus = np.empty(block.n_probes, dtype=np.int64)
        order, (inputs, targets) = block.order, chip.memory
        network = _int16_network(chip, order)
        if network is None:
            samples = order.samples(block.first_batch(), block.n_batches()).copy()
            measured = scalar_segments.probe_block(
                kernel_args.net(chip.spec), kernel_args.plan(block.codes, chip.topology), chip.codes, inputs, targets,
                samples, order.tau_x, block.first_step, block.n_probes, kernel_args.BASELINES[block.baseline],
                held_baseline, kernel_args.work(chip, order.batch), plus, minus,
            )  # fmt: skip
        else:
            measured = _block(chip, network, block, held_baseline, plus, minus)
        return marshalling.costs(block, plus, minus, held_baseline, measured)

    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        learning_rule, count = segment.rule, segment.n_probes
        if not _covers(chip, learning_rule):
            return stepped.learn(chip, segment, self.probe)
        if chip.cells is not None:
            return nonideal.learn(chip, segment)
        return marshalling.in_pieces(
            chip,
            segment.state,
            learning_rule,
            count,
            count,
            lambda state, size: self._learn(chip, state, learning_rule, size),
        )

    def learn_many(self, chip: Chip, segments: Sequence[Segment]) -> list[SegmentResult]:
        return replicas.learn_many(chip, segments, self.learn)

    def infer(self, chip: Chip, samples: IntArray, step: int) -> IntArray:
        network = kernel_args.int16_network(chip.spec)
        if network is None or chip.cells is not None or samples.size * chip.topology.n_parameters < INFER_PRODUCTS:
            return chip.infer(samples, step)
        half = -(-samples.size // (2 * INFER_SAMPLES)) * INFER_SAMPLES  # in whole tiles
        n_threads = [thread for thread in (samples[:half], samples[half:]) if thread.size > 0]
        signals = replicas.everywhere(lambda thread: _outputs(chip, network, thread), n_threads)
        return datapath.output_codes(chip.spec, np.concatenate(signals).astype(np.int64))

    def _learn(
        self, chip: Chip, state: TrainState, learning_rule: LearningRule, count: int
    ) -> tuple[TrainState, float, UpdateInfo | None]:
        if learning_rule.continuous:
            return _continuous(chip, state, learning_rule, count)
        order, (inputs, targets) = learning_rule.order, chip.memory
        held_baseline, rates = (
            marshalling.baseline_of_state(state, learning_rule),
            marshalling.etas(state, learning_rule, count),
        )
        update_state = kernel_args.update_state(chip.spec, state)
        network = _int16_network(chip, order)
        if network is None:
            first_batch = order.batch_of(state.step)
            samples = order.samples(first_batch, order.batch_of(state.step + count - 1) - first_batch + 1).copy()
            evaluations, total, measured, updates = scalar_segments.learn_segment(
                kernel_args.net(chip.spec), kernel_args.plan(learning_rule.codes, chip.topology),
                kernel_args.rule(chip.spec, learning_rule), update_state, inputs, targets, samples, order.tau_x,
                state.step, count, learning_rule.update_period, kernel_args.BASELINES[learning_rule.baseline],
                held_baseline, rates, kernel_args.work(chip, order.batch),
            )  # fmt: skip
        else:
            evaluations, total, measured, updates = _segment(
                chip, network, state, learning_rule, count, update_state, held_baseline, rates
            )
        chip.codes = update_state.requested[: chip.topology.n_parameters]
        state, last = marshalling.advanced(
            state,
            learning_rule,
            count,
            update_state,
            held_baseline,
            rates,
            evaluations=evaluations,
            measured=measured,
            updates=updates,
        )
        return state, float(total), last


def _int16_network(chip: Chip, order: SampleOrder) -> Int16Network | None:
    """The chip for the vector kernels, if its numbers and the sums of its costs are small enough, and so is a batch."""
    large = order.batch * max(chip.spec.layers) > LARGEST_TILE
    return (
        None if large or order.batch << chip.spec.cost_bits >= segments.FULL else kernel_args.int16_network(chip.spec)
    )


def _covers(chip: Chip, learning_rule: LearningRule) -> bool:
    """Whether whole segments of a learning rule are compiled, its updates, too."""
    if not kernel_args.has_rule(learning_rule) or learning_rule.codes.amplitudes:
        return False
    if not learning_rule.continuous:
        return learning_rule.normalise == "energy"
    return (
        chip.cells is None
        and learning_rule.baseline is Baseline.NONE
        and _int16_network(chip, learning_rule.order) is not None
    )


def _outputs(chip: Chip, network: Int16Network, samples: IntArray) -> NDArray[np.int32]:
    """(B, n_out) signals of the last layer."""
    order = SampleOrder(0, chip.memory[0].shape[0], INFER_SAMPLES)
    fixed = kernel_args.setup(chip, network, CodeSpec(), order, Baseline.NONE)
    numbers = np.zeros(samples.size + LANES, dtype=np.int32)
    numbers[: samples.size] = samples
    signals = np.empty((samples.size, chip.spec.layers[-1]), dtype=np.int32)
    requested, (tile,) = (
        kernel_args.room(chip.codes, kernel_args.padded(chip.codes.size)),
        kernel_args.tiles(chip, order, 1),
    )
    (place,) = thread_team.teams(1, INFER_SAMPLES, chip.topology)
    inference.infer(fixed, requested, numbers, samples.size, np.zeros(1, dtype=np.uint32), tile, place, signals)
    return signals


def _block(
    chip: Chip, network: Int16Network, block: Block, held_baseline: IntArray, plus: IntArray, minus: IntArray
) -> int:
    """`segments.run_block`, by a team where the work is worth it."""
    fixed = kernel_args.setup(chip, network, block.codes, block.order, block.baseline)
    threads = ProbeThreads(chip, fixed)
    n_threads = threads.n_threads
    requested = kernel_args.room(chip.codes, kernel_args.padded(chip.codes.size))
    perturbed, space = requested.copy(), kernel_args.space(chip, block.order)
    predrawn_buffers, tiles = (
        kernel_args.predrawn_buffers(chip, fixed, n_threads),
        kernel_args.tiles(chip, block.order, n_threads),
    )
    places = thread_team.teams(n_threads, block.order.batch, chip.topology)

    def work(thread: int) -> int:
        own = held_baseline if thread == 0 else held_baseline.copy()
        return int(segments.run_block(
            fixed, requested, block.first_step, block.n_probes, own, predrawn_buffers[thread], perturbed, space,
            tiles[thread], np.zeros(2, dtype=np.bool_), places[thread], plus, minus,
        ))  # fmt: skip

    return threads.run(work, block.n_probes, lambda: thread_team.release(places[0]))


def _segment(
    chip: Chip,
    network: Int16Network,
    state: TrainState,
    learning_rule: LearningRule,
    count: int,
    update_state: UpdateState,
    held_baseline: IntArray,
    etas: NDArray[np.float64],
) -> tuple[int, int, int, int]:
    """`segments.run_segment`, by a team where the work is worth it."""
    fixed = kernel_args.setup(chip, network, learning_rule.codes, learning_rule.order, learning_rule.baseline)
    threads = ProbeThreads(chip, fixed)
    n_threads = threads.n_threads
    perturbed, space = update_state.requested.copy(), kernel_args.space(chip, learning_rule.order)
    predrawn_buffers, tiles = (
        kernel_args.predrawn_buffers(chip, fixed, n_threads),
        kernel_args.tiles(chip, learning_rule.order, n_threads),
    )
    places = thread_team.teams(n_threads, learning_rule.order.batch, chip.topology)
    rule, period = kernel_args.rule(chip.spec, learning_rule), learning_rule.update_period
    signs = learning_rule.codes.family == "random" and learning_rule.codes.groups == "all"
    fresh = not state.window.energy.any()
    alone = period == 1 and signs and fresh

    def work(thread: int) -> tuple[int, int, int, int]:
        own = held_baseline if thread == 0 else held_baseline.copy()
        powers = update_state.powers if thread == 0 else update_state.powers.copy()
        mine = update_state._replace(powers=powers, squares=update_state.squares[16 * thread : 16 * thread + 16])
        result: tuple[int, int, int, int] = segments.run_segment(
            fixed, rule, mine, state.step, count, period, alone, fresh, own, etas, predrawn_buffers[thread], perturbed,
            space, tiles[thread], np.zeros(2, dtype=np.bool_), places[thread],
        )  # fmt: skip
        return result

    return threads.run(work, count, lambda: thread_team.release(places[0]))


def _continuous(
    chip: Chip, state: TrainState, learning_rule: LearningRule, count: int
) -> tuple[TrainState, float, UpdateInfo | None]:
    """`continuous_mode.run_segment`, by a team where the work is worth it."""
    network = _int16_network(chip, learning_rule.order)
    assert network is not None, "_covers"
    fixed = kernel_args.setup(chip, network, learning_rule.codes, learning_rule.order, learning_rule.baseline)
    threads = ProbeThreads(chip, fixed)
    n_threads = threads.n_threads
    update_state, rates = kernel_args.update_state(chip.spec, state), marshalling.etas(state, learning_rule, count)
    shared, rule = (
        marshalling.filters_of(state, learning_rule, chip.topology),
        kernel_args.rule(chip.spec, learning_rule),
    )
    perturbed, space = update_state.requested.copy(), kernel_args.space(chip, learning_rule.order)
    predrawn_buffers, tiles = (
        kernel_args.predrawn_buffers(chip, fixed, n_threads),
        kernel_args.tiles(chip, learning_rule.order, n_threads),
    )
    places = thread_team.teams(n_threads, learning_rule.order.batch, chip.topology)

    def work(thread: int) -> tuple[int, int]:
        powers = update_state.powers if thread == 0 else update_state.powers.copy()
        mine = update_state._replace(powers=powers, squares=update_state.squares[16 * thread : 16 * thread + 16])
        own = shared if thread == 0 else shared._replace(cost=shared.cost.copy())
        result: tuple[int, int] = continuous_mode.run_segment(
            fixed, rule, mine, own, state.filters.cost is not None, state.step, count, learning_rule.update_period,
            np.zeros(2, dtype=np.int64), rates, predrawn_buffers[thread], perturbed, space, tiles[thread],
            np.zeros(2, dtype=np.bool_), places[thread],
        )  # fmt: skip
        return result

    total, updates = threads.run(work, count, lambda: thread_team.release(places[0]))
    chip.codes = update_state.requested[: chip.topology.n_parameters]
    state, last = marshalling.filtered(state, count, update_state, shared, rates, updates)
    return state, float(total), last
