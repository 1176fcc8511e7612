"""Chips, codes and learning rules as compiled kernels take them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mgdhw.block import Baseline, CodeSpec
from mgdhw.codes import Codes
from mgdhw.codes.sinusoidal import sine_table
from mgdhw.codes.sparse import Sparse, threshold
from mgdhw.compiled.kernels.codes_and_samples import Order, words_in_row
from mgdhw.compiled.kernels.products import HAS_BYTE_PRODUCTS
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import Adam, AdamW, Momentum, Nesterov, Rmsprop, Sgd, State
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Topology
from mgdhw_sim.engines.numba.curve_tables import cost_curve, paired, pairs
from mgdhw_sim.engines.numba.kernels import scalar_arithmetic, scalar_segments, updates
from mgdhw_sim.engines.numba.kernels.large_batch import Tile
from mgdhw_sim.engines.numba.kernels.segments import Predrawn, Setup
from mgdhw_sim.engines.numba.kernels.small_batch import Int16Network, Space
from mgdhw_sim.points import TABLE
from mgdhw_sim.reference import datapath, tables
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import TARGET_FRACTION_BITS, ChipSpec

FAMILIES = {
    "random": scalar_arithmetic.RANDOM,
    "rank1": scalar_arithmetic.RANK1,
    "sequential": scalar_arithmetic.SEQUENTIAL,
    "sinusoidal": scalar_arithmetic.SINUSOIDAL,
    "sparse": scalar_arithmetic.SPARSE,
    "walsh": scalar_arithmetic.WALSH,
}
BASELINES = {
    Baseline.HELD: scalar_segments.HELD,
    Baseline.EVERY: scalar_segments.EVERY,
    Baseline.ANTITHETIC: scalar_segments.ANTITHETIC,
    Baseline.NONE: scalar_segments.NONE,
}
COSTS = {"mse": scalar_arithmetic.MSE, "xent": scalar_arithmetic.XENT, TABLE: scalar_arithmetic.TABLE}
OPTIMIZERS: dict[type[Any], int] = {
    Sgd: updates.SGD,
    Momentum: updates.MOMENTUM,
    Nesterov: updates.NESTEROV,
    Rmsprop: updates.RMSPROP,
    Adam: updates.ADAM,
    AdamW: updates.ADAMW,
}
PADDING = 64
"""Elements beyond the last parameter that kernels may touch."""
WIDE_BATCH = 8
"""Samples from which on they are worked on side by side."""
ROWS = 1 << 10
"""Samples that the plain kernels work on together."""
MOST_THREADS = 2
NONE = np.zeros(())
TEAM_PRODUCTS = 400_000
"""Products of parameters and samples from which on a probe's work is worth sharing."""
FEW_INPUTS = 1 << 20
"""Inputs of all samples up to which they are kept ready, padded."""
CHUNK_PROBES = 128
CHUNK_WORDS = 1 << 23
"""Probes that are drawn for together, and the words that bound them."""


CACHE_LINE = 64
"""Bytes."""


def padded(n: int) -> int:
    """Room for n parameters, in whole vectors, and some to read beyond."""
    return (n + 31) // 32 * 32 + PADDING


def zeros(size: int, kind: DTypeLike) -> NDArray[Any]:
    """A cache-line aligned array: a vector that lies in two lines takes two accesses."""
    type_ = np.dtype(kind)
    raw = np.zeros(size * type_.itemsize + CACHE_LINE, dtype=np.uint8)
    first = -raw.ctypes.data % CACHE_LINE
    return raw[first : first + size * type_.itemsize].view(type_)


def room(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A copy with zeros up to a size."""
    wide = zeros(size, array.dtype)
    wide[: array.size] = array
    return wide


def etas(learning_rule: LearningRule, first: int, count: int) -> NDArray[np.float64]:
    """Learning rates of consecutive updates."""
    if learning_rule.schedule.name == "constant":
        return np.full(
            max(1, count), learning_rule.eta * rate(learning_rule.schedule, Progress(first, learning_rule.updates))
        )
    rates = [
        learning_rule.eta * rate(learning_rule.schedule, Progress(first + i, learning_rule.updates))
        for i in range(max(1, count))
    ]
    return np.array(rates)


def update_state(spec: ChipSpec, state: TrainState) -> updates.UpdateState:
    """What updates change, as arrays of their own with room beyond the end."""
    size = padded(state.theta.size)
    powers = [float(state.optimizer.get(name, NONE)) for name in ("beta1_power", "beta2_power")]
    started = state.window.energy.any()  # untouched pages of an empty window cost nothing
    return updates.UpdateState(
        theta=room(state.theta, size),
        m=room(state.optimizer["m"], size) if "m" in state.optimizer else zeros(size, np.float64),
        v=room(state.optimizer["v"], size) if "v" in state.optimizer else zeros(size, np.float64),
        powers=np.array(powers),
        cross=room(state.window.cross, size) if started else zeros(size, np.int64),
        energy=room(state.window.energy, size) if started else zeros(size, np.int64),
        squares=np.zeros(16 * MOST_THREADS),
        requested=room(datapath.stored_codes(spec, state.theta), size),
    )


def optimizer_state(before: TrainState, update_state: updates.UpdateState) -> State:
    """The optimizer's memory after a segment."""
    powers = {"beta1_power": update_state.powers[0], "beta2_power": update_state.powers[1]}
    size = before.theta.size
    return {
        name: np.array(powers[name]) if name in powers else {"m": update_state.m, "v": update_state.v}[name][:size]
        for name in before.optimizer
    }


@lru_cache(maxsize=16)
def net(spec: ChipSpec) -> scalar_arithmetic.Net:
    """The chip as kernels take it."""
    layers = spec.topology.layers
    s, fraction = spec.signal_bits, spec.signal_fraction_bits
    widest = max(
        layer.n_in << (spec.weight_bits - 1 + (spec.input_bits if number == 0 else s - 1))
        for number, layer in enumerate(layers)
    )
    cost_fraction = spec.cost_fraction_bits
    unused = np.zeros(1, dtype=np.int64)
    divisor = spec.layers[-1] << (2 * fraction - cost_fraction) if spec.cost == "mse" else 1
    return scalar_arithmetic.Net(
        sizes=np.array(spec.layers),
        starts=np.array([layer.first_parameter for layer in layers]),
        input_fraction=spec.input_fraction_bits,
        signal_fraction=fraction,
        weight_fraction=spec.weight_fraction_bits,
        signal_bits=s,
        lut_bits=spec.lut_bits,
        hidden=datapath.curve_of(spec, last=False).astype(np.int32),
        output=datapath.curve_of(spec, last=True).astype(np.int32),
        int32_sums=widest < 1 << 31,
        cost=COSTS[spec.cost],
        cost_max=(1 << spec.cost_bits) - 1,
        divisor=divisor,
        divisor_bits=divisor.bit_length() - 1 if divisor & (divisor - 1) == 0 else -1,
        target_shift=TARGET_FRACTION_BITS - fraction,
        exp=cost_curve(spec),
        log=tables.log_table(fraction + TARGET_FRACTION_BITS).copy() if spec.cost == "xent" else unused,
        exp_bits=tables.EXP_BITS,
        exp_fraction=tables.EXP_FRACTION_BITS,
        log_segment=tables.LOG_SEGMENT_BITS,
        mantissa_bits=tables.MANTISSA_BITS,
        cost_shift=fraction + TARGET_FRACTION_BITS - cost_fraction,
    )


@lru_cache(maxsize=16)
def plan(spec: CodeSpec, topology: Topology) -> scalar_arithmetic.CodePlan:
    """The codes as kernels take them."""
    codes = Codes(spec, topology)
    matrices = [
        (group.start + matrix.start, matrix.n_out, matrix.n_in, matrix.first_line)
        for group in codes.groups
        for matrix in group.matrices
    ]
    return scalar_arithmetic.CodePlan(
        family=FAMILIES[spec.family],
        key0=spec.seed & 0xFFFFFFFF,
        key1=spec.seed >> 32,
        amplitude=spec.amplitude,
        threshold=threshold(codes.family.density) if isinstance(codes.family, Sparse) else 0,
        groups=np.array([(group.start, group.size) for group in codes.groups]),
        matrices=np.array(matrices, dtype=np.int64).reshape(-1, 4),
        first_matrix=np.cumsum([0, *(len(group.matrices) for group in codes.groups)]),
        windows=np.array([codes.family.window(group) for group in codes.groups]),
        sine=sine_table().copy() if spec.family == "sinusoidal" else np.zeros(1, dtype=np.int64),
    )


def has_rule(learning_rule: LearningRule) -> bool:
    """Whether kernels know how a learning rule makes a step of a gradient."""
    return not learning_rule.stochastic and type(learning_rule.optimizer) in OPTIMIZERS


def rule(spec: ChipSpec, learning_rule: LearningRule) -> updates.UpdateRule:
    """The update as kernels take it."""
    optimizer: Any = learning_rule.optimizer
    half = 1 << (spec.weight_bits - 1)
    return updates.UpdateRule(
        optimizer=OPTIMIZERS[type(optimizer)],
        a=float(getattr(optimizer, "beta", getattr(optimizer, "rho", getattr(optimizer, "beta1", 0.0)))),
        b=float(getattr(optimizer, "beta2", 0.0)),
        epsilon=float(getattr(optimizer, "epsilon", 0.0)),
        decay=float(getattr(optimizer, "weight_decay", 0.0)),
        corrected=bool(getattr(optimizer, "bias_correction", False)),
        scale=learning_rule.scale,
        lsb=float(learning_rule.grid.lsb),
        low=float(learning_rule.low),
        high=float(learning_rule.high),
        to_code=2.0**spec.weight_fraction_bits,
        code_low=-half,
        code_high=half - 1,
    )


def work(chip: Chip, batch: int) -> scalar_segments.ScalarWorkspace:
    """Work space for a batch, or for some samples of a large one at a time."""
    batch = min(batch, ROWS)
    p, sizes = chip.topology.n_parameters, chip.spec.layers
    signal = np.int16 if chip.spec.signal_bits <= 16 else np.int32
    lines = sum(layer.n_in + layer.n_out + 1 for layer in chip.topology.layers)
    return scalar_segments.ScalarWorkspace(
        code=np.zeros(p, dtype=np.int16),
        w=np.zeros(p, dtype=np.int16),
        bits=np.zeros(max(p, lines), dtype=np.uint8),
        x=np.zeros((batch, sizes[0]), dtype=chip.memory[0].dtype),
        signals=np.zeros((batch, max(sizes)), dtype=signal),
        spare=np.zeros((batch, max(sizes)), dtype=signal),
    )


@lru_cache(maxsize=16)
def int16_network(spec: ChipSpec) -> Int16Network | None:
    """The chip for kernels of small numbers; None if its numbers are too large for them."""
    s, fraction = spec.signal_bits, spec.signal_fraction_bits
    if s > 16 or spec.input_bits - spec.input_bipolar > 15:
        return None
    curves = [datapath.curve_of(spec, last=last) for last in (False, True)]
    if not paired(spec):
        return None
    largest_weight = 1 << (spec.weight_bits - 1)
    largest = (1 << spec.input_bits) - 1
    x_fraction = spec.input_fraction_bits
    for layer in spec.topology.layers:
        excess = x_fraction + spec.weight_fraction_bits - fraction
        half = 1 << (excess - 1) if excess > 0 else 0
        if (largest_weight * (layer.n_in * largest + (1 << x_fraction)) + half) << max(0, -excess) >= 1 << 31:
            return None
        largest = int(np.abs(curves[0]).max())
        x_fraction = fraction
    layers = spec.topology.layers
    return Int16Network(
        sizes=np.array(spec.layers),
        starts=np.array([layer.first_parameter for layer in layers]),
        strides=np.array([(n + 31) // 32 * 32 for n in spec.layers]),
        input_fraction=spec.input_fraction_bits,
        signal_fraction=fraction,
        weight_fraction=spec.weight_fraction_bits,
        signal_bits=s,
        lut_bits=spec.lut_bits,
        hidden=pairs(curves[0]),
        output=pairs(curves[1]),
    )


def order_of(order: SampleOrder) -> Order:
    """The order of samples."""
    return Order(
        order.seed & 0xFFFFFFFF, order.seed >> 32, order.n, order.batch, order.tau_x, max(1, (order.n - 1).bit_length())
    )


def setup(chip: Chip, small: Int16Network, codes: CodeSpec, order: SampleOrder, baseline: Baseline) -> Setup:
    """What stays the same throughout a block or a segment."""
    inputs, targets = chip.memory
    wide = order.batch >= WIDE_BATCH
    return Setup(
        net=small,
        costs=net(chip.spec),
        plan=plan(codes, chip.topology),
        order=order_of(order),
        inputs=inputs,
        samples=np.zeros(0, dtype=np.int16) if wide else _padded_samples(chip),
        targets=targets,
        baseline=BASELINES[baseline],
        predrawn=codes.family == "random" or (codes.family == "rank1" and wide),
    )


def _padded_samples(chip: Chip) -> NDArray[np.int16]:
    """All inputs with each sample's padded to whole vectors, one after the other; empty if they are too many."""
    if "padded" not in chip.engine_cache:
        inputs, _ = chip.memory
        stride = (inputs.shape[1] + 31) // 32 * 32
        few = inputs.shape[0] * stride <= FEW_INPUTS
        wide = np.zeros((inputs.shape[0] if few else 0, stride), dtype=np.int16)
        if few:
            wide[:, : inputs.shape[1]] = inputs
        chip.engine_cache["padded"] = wide.ravel()
    padded_samples: NDArray[np.int16] = chip.engine_cache["padded"]
    return padded_samples


def threads_for(chip: Chip, fixed: Setup) -> int:
    """How many threads should share the work of a probe."""
    shared = fixed.order.batch >= WIDE_BATCH and fixed.predrawn
    large = chip.topology.n_parameters * fixed.order.batch >= TEAM_PRODUCTS
    return min(MOST_THREADS, processors()) if shared and large and not chip.single_threaded else 1


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def predrawn_buffers(chip: Chip, fixed: Setup, n_threads: int) -> list[Predrawn]:
    """Room for what is drawn in advance, for each thread of a team: words and samples are shared."""
    p, lines = chip.topology.n_parameters, sum(n.n_in + n.n_out + 1 for n in chip.topology.layers)
    row = words_in_row(lines if fixed.plan.family == scalar_arithmetic.RANK1 else p)
    chunk = max(1, min(CHUNK_PROBES, CHUNK_WORDS // row)) if fixed.predrawn else CHUNK_PROBES
    batches = (chunk - 1) // fixed.order.tau_x + 2
    words = np.zeros((chunk, row) if fixed.predrawn else (1, 1), dtype=np.uint32)
    samples = np.zeros(batches * fixed.order.batch + 15, dtype=np.int32)
    return [
        Predrawn(
            words=words,
            spare=np.zeros(64, dtype=np.uint32),
            keys=np.zeros(256, dtype=np.uint32),
            samples=samples,
            code=np.zeros(padded(p), dtype=np.int16),
            bits=np.zeros(max(p, lines), dtype=np.uint8),
            rows=np.zeros(chunk, dtype=np.int32),
            changes=np.zeros(chunk, dtype=np.int32),
            chosen_rows=np.zeros(chunk, dtype=np.int32),
            chosen_changes=np.zeros(chunk, dtype=np.int32),
            signed=np.zeros(chunk, dtype=np.int32),
        )
        for _ in range(n_threads)
    ]


def space(chip: Chip, order: SampleOrder) -> Space | None:
    """Work space for samples one after the other; None where they go side by side."""
    if order.batch >= WIDE_BATCH:
        return None
    widest = max((n + 31) // 32 * 32 for n in chip.spec.layers)
    return Space(
        x=np.zeros(order.batch * ((chip.spec.layers[0] + 31) // 32 * 32), dtype=np.int16),
        signals=np.zeros(4 * (widest + 32), dtype=np.int16),
        spare=np.zeros(4 * (widest + 32), dtype=np.int16),
        sums=np.zeros(4 * widest, dtype=np.int32),
        outputs=np.zeros((4, chip.spec.layers[-1]), dtype=np.int32),
        four=np.zeros(4, dtype=np.int64),
    )


def tiles(chip: Chip, order: SampleOrder, n_threads: int) -> list[Tile] | list[None]:
    """Work space for samples side by side, for each thread of a team; Nones where they go one after the other."""
    if order.batch < WIDE_BATCH:
        return [None] * n_threads
    spec = chip.spec
    fit = spec.weight_bits <= 8 and spec.input_bits <= 8 and not spec.input_bipolar
    shared = tile(chip, (order.batch + 15) // 16 * 16, bytes_=HAS_BYTE_PRODUCTS and fit)
    own = ("x", "line", "targets", "columns", "byte_columns", "weights", "perturbed_weights")
    return [shared._replace(**{name: getattr(shared, name).copy() for name in own}) for _ in range(n_threads)]


def tile(chip: Chip, width: int, *, bytes_: bool = False) -> Tile:
    """Work space for so many samples (a multiple of sixteen); its first layer works on bytes, or not."""
    sizes = chip.spec.layers
    widest = max(sizes[1:])

    def rows(count: int) -> NDArray[np.int32]:
        return np.zeros(count * width, dtype=np.int32)

    return Tile(
        width=width,
        x=rows((sizes[0] + 1) // 2),
        base=rows(sizes[1]),
        sums=rows(widest),
        line=rows(1),
        signals=rows((widest + 1) // 2),
        spare=rows((widest + 1) // 2),
        outputs=rows(sizes[-1]),
        targets=rows(sizes[-1]),
        columns=np.zeros(max(sizes) + 64, dtype=np.int16),
        byte_columns=np.zeros(max(sizes) + 64, dtype=np.int8),
        bytes=bytes_,
        weights=np.zeros(sizes[0] * sizes[1] + 64 if bytes_ else 64, dtype=np.int8),
        perturbed_weights=np.zeros(sizes[0] * sizes[1] + 64 if bytes_ else 64, dtype=np.int8),
    )
