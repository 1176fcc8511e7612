"""The compiled engine: the whole loop in machine code, by numba."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.codes import Codes
from mgdhw.codes.sinusoidal import sine_table
from mgdhw.codes.sparse import threshold
from mgdhw.gradient import Window
from mgdhw.loop import Recipe, Step
from mgdhw.optimizers import Adam, AdamW, Momentum, Nesterov, Rmsprop, Sgd
from mgdhw.order import SampleOrder
from mgdhw.schedule import Progress, rate
from mgdhw.segment import Segment, SegmentResult
from mgdhw.state import TrainState
from mgdhw.topology import Topology
from mgdhw_sim import datapath, tables
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines import kernels, loops
from mgdhw_sim.engines.engine import Engine
from mgdhw_sim.spec import TARGET_FRACTION_BITS, ChipSpec

FAMILIES = {
    "random": kernels.RANDOM,
    "rank1": kernels.RANK1,
    "sequential": kernels.SEQUENTIAL,
    "sinusoidal": kernels.SINUSOIDAL,
    "sparse": kernels.SPARSE,
    "walsh": kernels.WALSH,
}
BASELINES = {
    Baseline.HELD: loops.HELD,
    Baseline.EVERY: loops.EVERY,
    Baseline.ANTITHETIC: loops.ANTITHETIC,
    Baseline.NONE: loops.NONE,
}
OPTIMIZERS: dict[type[Any], int] = {
    Sgd: loops.SGD,
    Momentum: loops.MOMENTUM,
    Nesterov: loops.NESTEROV,
    Rmsprop: loops.RMSPROP,
    Adam: loops.ADAM,
    AdamW: loops.ADAMW,
}
SAMPLES_AT_A_TIME = 1 << 20
"""Sample numbers that are made at a time: bounds the memory of long segments."""


class Compiled(Engine):
    """Runs blocks of every family and baseline, and segments in discrete mode with every optimizer."""

    name = "numba"

    def declines(self, chip: Chip, work: Block | Segment) -> str | None:
        codes = work.codes if isinstance(work, Block) else work.recipe.codes
        if codes.family not in FAMILIES:
            return f"codes of family {codes.family!r}"
        if isinstance(work, Block):
            return None
        recipe = work.recipe
        if recipe.continuous:
            return "continuous mode"
        if recipe.normalise != "energy":
            return f'normalise = "{recipe.normalise}"'
        if recipe.stochastic:
            return "stochastic rounding"
        if type(recipe.optimizer) not in OPTIMIZERS:
            return f"optimizer {type(recipe.optimizer).__name__}"
        return None

    def probe(self, chip: Chip, block: Block) -> Costs:
        net = _net(chip.spec)
        plan = _plan(block.codes, chip.topology)
        known = block.valid_held()
        held = np.array([known.value if known else 0, block.first_batch() if known else loops.NO_BATCH], dtype=np.int64)
        plus = np.empty(block.n_probes, dtype=np.int64)
        minus = np.empty(block.n_probes, dtype=np.int64)
        inputs, targets = chip.memory
        work = _work(chip, block.order.batch)
        samples = block.order.samples(block.first_batch(), block.n_batches()).copy()
        measured = loops.probe_block(
            net, plan, chip.codes, inputs, targets, samples, block.order.tau_x, block.first_step, block.n_probes,
            BASELINES[block.baseline], held, work, plus, minus,
        )  # fmt: skip
        carried = None
        if block.baseline is Baseline.HELD:
            carried = known if measured < 0 else HeldBaseline(int(held[0]), int(measured))
        return Costs(plus, minus, block.evaluations(), carried)

    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        state, total, last = segment.state, 0.0, None
        most = max(1, SAMPLES_AT_A_TIME // segment.recipe.order.batch)
        left = segment.n_probes
        while left > 0:
            size = min(left, most)
            state, cost, step = self._learn(chip, state, segment.recipe, size)
            total, last, left = total + cost, step or last, left - size
        return SegmentResult(state, total / segment.n_probes, last)

    def _learn(
        self, chip: Chip, state: TrainState, recipe: Recipe, count: int
    ) -> tuple[TrainState, float, Step | None]:
        order: SampleOrder = recipe.order
        net, plan, rule = _net(chip.spec), _plan(recipe.codes, chip.topology), _rule(chip.spec, recipe)
        stored = _stored(chip.spec, state.theta)
        first_batch = order.batch_of(state.step)
        samples = order.samples(first_batch, order.batch_of(state.step + count - 1) - first_batch + 1).copy()
        usable = state.held is not None and order.batch_of(state.held.step) == first_batch
        value = int(state.held.value) if usable and state.held is not None else 0
        held = np.array([value, first_batch if usable else loops.NO_BATCH], dtype=np.int64)
        theta, gradient = state.theta.copy(), np.zeros(state.theta.size)
        optimizer = {name: array.copy() for name, array in state.optimizer.items()}
        empty = np.zeros(1)
        m, v = optimizer.get("m", empty), optimizer.get("v", empty)
        adam = "beta1_power" in optimizer
        powers = np.array([optimizer["beta1_power"], optimizer["beta2_power"]]) if adam else np.zeros(2)
        cross, energy = state.window.cross.copy(), state.window.energy.copy()
        n_updates = (state.step + count) // recipe.update_period - state.step // recipe.update_period
        etas = _etas(recipe, state.update, n_updates)
        inputs, targets = chip.memory
        evaluations, total, measured, updates = loops.learn_segment(
            net, plan, rule, stored, inputs, targets, samples, order.tau_x, state.step, count, recipe.update_period,
            BASELINES[recipe.baseline], held, theta, m, v, powers, cross, energy, etas, gradient,
            _work(chip, order.batch),
        )  # fmt: skip
        chip.codes = stored
        if adam:
            optimizer["beta1_power"], optimizer["beta2_power"] = powers[0].reshape(()), powers[1].reshape(())
        after = None
        if recipe.baseline is Baseline.HELD and held[1] != loops.NO_BATCH:
            after = state.held if measured < 0 else HeldBaseline(int(held[0]), int(measured))
        state = replace(
            state,
            step=state.step + count,
            update=state.update + updates,
            theta=theta,
            optimizer=optimizer,
            window=Window(cross, energy),
            held=after,
            evaluations=state.evaluations + int(evaluations),
        )
        last = Step(float(etas[-1]), float(np.sqrt(gradient @ gradient))) if updates else None
        return state, float(total), last


def _etas(recipe: Recipe, first: int, count: int) -> NDArray[np.float64]:
    """Learning rates of consecutive updates."""
    if recipe.schedule.name == "constant":
        return np.full(max(1, count), recipe.eta * rate(recipe.schedule, Progress(first, recipe.updates)))
    rates = [recipe.eta * rate(recipe.schedule, Progress(first + i, recipe.updates)) for i in range(max(1, count))]
    return np.array(rates)


def _stored(spec: ChipSpec, theta: NDArray[np.float64]) -> NDArray[np.int16]:
    """What the parameter converters make of θ."""
    return datapath.parameter_codes(spec, theta).astype(np.int16)


@lru_cache(maxsize=16)
def _net(spec: ChipSpec) -> kernels.Net:
    """The chip as kernels take it."""
    layers = spec.topology.layers
    s, fraction = spec.signal_bits, spec.signal_fraction_bits
    widest = max(
        layer.n_in << (spec.weight_bits - 1 + (spec.input_bits if number == 0 else s - 1))
        for number, layer in enumerate(layers)
    )
    cost_fraction = spec.cost_fraction_bits
    return kernels.Net(
        sizes=np.array(spec.layers),
        starts=np.array([layer.first_parameter for layer in layers]),
        input_fraction=spec.input_fraction_bits,
        signal_fraction=fraction,
        weight_fraction=spec.weight_fraction_bits,
        signal_bits=s,
        lut_bits=spec.lut_bits,
        hidden=tables.activation_table(spec.activation, s, fraction, spec.lut_bits).astype(np.int32),
        output=tables.activation_table(spec.output_activation, s, fraction, spec.lut_bits).astype(np.int32),
        narrow=widest < 1 << 31,
        cost=kernels.MSE if spec.cost == "mse" else kernels.XENT,
        cost_max=(1 << spec.cost_bits) - 1,
        divisor=spec.layers[-1] << (2 * fraction - cost_fraction) if spec.cost == "mse" else 1,
        target_shift=TARGET_FRACTION_BITS - fraction,
        exp=tables.exp_table(s, fraction).copy(),
        log=tables.log_table(fraction + TARGET_FRACTION_BITS).copy(),
        exp_bits=tables.EXP_BITS,
        exp_fraction=tables.EXP_FRACTION_BITS,
        log_segment=tables.LOG_SEGMENT_BITS,
        mantissa_bits=tables.MANTISSA_BITS,
        cost_shift=fraction + TARGET_FRACTION_BITS - cost_fraction,
    )


@lru_cache(maxsize=16)
def _plan(spec: CodeSpec, topology: Topology) -> kernels.CodePlan:
    """The codes as kernels take them."""
    codes = Codes(spec, topology)
    matrices = [
        (group.start + matrix.start, matrix.n_out, matrix.n_in, matrix.first_line)
        for group in codes.groups
        for matrix in group.matrices
    ]
    return kernels.CodePlan(
        family=FAMILIES[spec.family],
        key0=spec.seed & 0xFFFFFFFF,
        key1=spec.seed >> 32,
        amplitude=spec.amplitude,
        threshold=threshold(spec.density),
        groups=np.array([(group.start, group.size) for group in codes.groups]),
        matrices=np.array(matrices, dtype=np.int64).reshape(-1, 4),
        first_matrix=np.cumsum([0, *(len(group.matrices) for group in codes.groups)]),
        windows=np.array([codes.family.window(group) for group in codes.groups]),
        sine=sine_table().copy(),
    )


def _rule(spec: ChipSpec, recipe: Recipe) -> loops.Rule:
    """The update as kernels take it."""
    optimizer: Any = recipe.optimizer
    half = 1 << (spec.weight_bits - 1)
    return loops.Rule(
        optimizer=OPTIMIZERS[type(optimizer)],
        a=float(getattr(optimizer, "beta", getattr(optimizer, "rho", getattr(optimizer, "beta1", 0.0)))),
        b=float(getattr(optimizer, "beta2", 0.0)),
        epsilon=float(getattr(optimizer, "epsilon", 0.0)),
        decay=float(getattr(optimizer, "weight_decay", 0.0)),
        corrected=bool(getattr(optimizer, "bias_correction", False)),
        scale=recipe.scale,
        lsb=float(recipe.grid.lsb),
        low=float(recipe.low),
        high=float(recipe.high),
        to_code=2.0**spec.weight_fraction_bits,
        code_low=-half,
        code_high=half - 1,
    )


def _work(chip: Chip, batch: int) -> loops.Work:
    """Work space."""
    p, sizes = chip.topology.n_parameters, chip.spec.layers
    signal = np.int16 if chip.spec.signal_bits <= 16 else np.int32
    lines = sum(layer.n_in + layer.n_out + 1 for layer in chip.topology.layers)
    return loops.Work(
        code=np.zeros(p, dtype=np.int16),
        w=np.zeros(p, dtype=np.int16),
        bits=np.zeros(max(p, lines), dtype=np.uint8),
        x=np.zeros((batch, sizes[0]), dtype=chip.memory[0].dtype),
        signals=np.zeros((batch, max(sizes)), dtype=signal),
        spare=np.zeros((batch, max(sizes)), dtype=signal),
    )
