"""The non-idealities of a chip, as compiled kernels take them: made once for a chip by the functions that define them.

Beside what never changes (`NonidealConstants`) there are the cells' state (`CellArrays`), the weights that they make at
a tick (`Weights`), and the neurons at a temperature (`Neurons`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mgdhw.compiled.kernels.cell_records import WORDS
from mgdhw.random.gaussian import STRENGTH_BITS, strength
from mgdhw_sim.engines.numba.curve_tables import paired, pairs
from mgdhw_sim.engines.numba.kernel_args import padded, room, zeros
from mgdhw_sim.reference import tables
from mgdhw_sim.reference.cells import AGE_FRACTION_BITS, LARGEST_AGE, Cells, dac_curve
from mgdhw_sim.reference.datapath import curve_of
from mgdhw_sim.reference.variation import NEURON_UNIT, cells_of, drift_of, endurance_of, fixed, neurons_of, pulses_of
from mgdhw_sim.spec import CELL_FRACTION_BITS, ChipSpec

MOST = 1 << 15
"""No draw is larger."""
NO_TIME = -1
"""Tick of weights and number of neurons that were never computed."""


class NonidealConstants(NamedTuple):
    """Strengths, tables and mismatch of a chip. Arrays of cells are padded; P is the number of cells."""

    key0: int
    key1: int
    n: int
    """P."""
    perturbation: Any
    """(P,) padded."""
    dac: Any
    """What the parameter DAC makes of each code, lowest first, in cell units."""
    cell_limit: int
    write_size: int
    pulsed: bool
    pulse_step: int
    """Nominal step of a pulse in cell units; 0 if it is one code."""
    pulse_size: int
    int16_noise: bool
    """Whether noise of a pulse, and of a write, have strengths of 15 bits, and a code is a pulse."""
    ages: bool
    drift_every: int
    rate: int
    drifts: bool
    rest: int
    exp: Any
    log: Any
    fine_bits: int
    weight_top: int
    """Largest fine weight."""
    weight_fraction: int
    """Fraction bits of a fine weight."""
    input_fraction: int
    input_fine: int
    input_top: int
    input_size: int
    read_size: int
    cost_size: int
    settling: int
    midpoint: Any
    steepness: Any
    amplitude: Any
    neuron_offset: Any
    temperature_size: int
    temperature_every: int
    """0 where the temperature stays the same."""
    warm_midpoint: int
    warm_steepness: int


class NonidealInt16Network(NamedTuple):
    """The network of a chip of small numbers: `small_batch.Int16Network`, in fine weights and fine inputs."""

    sizes: Any
    starts: Any
    strides: Any
    input_fraction: int
    signal_fraction: int
    weight_fraction: int
    signal_bits: int
    lut_bits: int
    hidden: Any
    output: Any
    spans: Any
    """(L,) inputs whose products 32 bits hold; a multiple of 32."""
    bits: Any
    """(L,) how many of the lowest bits sums must be without for 32 bits to hold them; -1 where those are needed."""


VALUE, LEFT, SCALE, HIGH, LOW, STEPS, SLOPE_UP, SLOPE_DOWN = range(8)
OFFSET = HIGH
"""Words of a cell's record (`mgdhw.compiled.kernels.cell_records`), which has what a write needs: few cells are
written at a time, and lie far apart.

VALUE and LEFT change: LEFT counts writes until the cell sticks, or is MOST_LEFT if those are more. HIGH ...
SLOPE_DOWN: `mismatch.PulseMismatch`, STEPS being the step up in the low half and that down in the high one. SCALE of
cells that move by pulses has the gain less 1 in the high half, and the offset in the low one, as large as makes a
difference; that of others is the gain, and OFFSET stands beside it.
"""
UNIT_GAIN = 1 << 15
MOST_BITS = 8
"""That sums are without."""
MOST_LEFT = (1 << 31) - 1
"""Writes that are counted at a time."""
MOST_PULSES = 1 << 13
"""No write is of more: a cell has `spec.PULSED_BITS`, and an eighth of a code is the least step."""


class CellArrays(NamedTuple):
    """The cells and their state: `cells.Cells`, in arrays that kernels change."""

    requested: Any
    """(P,) in 16 bits, as all cells were asked for some code; padded."""
    records: Any
    """(P * WORDS,), padded."""
    twos: Any
    """The same in words of 64 bits, the first of a record being its VALUE and LEFT."""
    stuck: Any
    """(P,) whether it holds its value for ever."""
    nu: Any
    """(P,) how fast it drifts; (1,) where none does."""
    written_tick: Any
    """(P,) tick of its last write."""
    writable: Any
    """(P / 32,) words of bits, padded: bit i % 32 of word i / 32 says that cell i lives and is not worn out."""
    up_to_date: Any
    """The same for: its value was brought up to date at the tick of the last write."""


class Weights(NamedTuple):
    """Fine weights of the cells at a tick; and with one amplitude of a perturbation added, and taken away."""

    fine: Any
    plus: Any
    minus: Any
    """Those two are left out (of size 0) where work is on many samples: then they are made for each probe."""
    change: Any
    """(P,) what one amplitude of a perturbation adds; padded."""
    tick: Any
    """(1,) when they were made."""


class Neurons(NamedTuple):
    """Midpoint and steepness of all neurons at a temperature, and that one's number, (1,)."""

    midpoint: Any
    steepness: Any
    number: Any


@lru_cache(maxsize=8)
def constants_of(spec: ChipSpec) -> NonidealConstants:
    """All non-idealities of a chip."""
    nonidealities, n = spec.nonidealities, spec.topology.n_parameters
    kind, neurons = cells_of(spec), neurons_of(spec)
    size = padded(n)
    to_cell = 2.0 ** (spec.weight_fraction_bits + CELL_FRACTION_BITS)
    step, one_code = fixed(nonidealities.dw_min, to_cell), 1 << CELL_FRACTION_BITS
    signal = 2.0**spec.signal_fraction_bits
    dac = dac_curve(spec)
    rate = (
        fixed(nonidealities.drift_every / nonidealities.retention, 1 << AGE_FRACTION_BITS)
        if nonidealities.retention > 0
        else 0
    )
    none = np.zeros(1, dtype=np.int64)
    write_size, pulse_size = strength(nonidealities.write_noise * to_cell), fixed(nonidealities.dw_min_std, 1 << 15)
    int16_noise = nonidealities.pulsed and step in (0, one_code) and max(write_size, pulse_size) < 1 << 15
    if int16_noise:
        moves = pulses_of(spec)
        int16_noise = int(max(moves.up.max(), moves.down.max())) * pulse_size >> 12 < 1 << 15
    return NonidealConstants(
        key0=spec.seed & 0xFFFFFFFF,
        key1=spec.seed >> 32,
        n=n,
        perturbation=room(kind.perturbation.astype(np.int32), size),
        dac=dac.astype(np.int32),
        cell_limit=spec.cell_limit,
        write_size=write_size,
        pulsed=nonidealities.pulsed,
        pulse_step=0 if step == one_code else step,
        pulse_size=pulse_size,
        int16_noise=int16_noise,
        ages=nonidealities.ages,
        drift_every=nonidealities.drift_every,
        rate=min(rate, LARGEST_AGE),
        drifts=nonidealities.drift_nu > 0,
        rest=spec.rest,
        exp=tables.exp_table(24, AGE_FRACTION_BITS).copy() if nonidealities.ages else none,
        log=tables.log_table(AGE_FRACTION_BITS).copy() if nonidealities.ages else none,
        fine_bits=spec.fine_bits,
        weight_top=(1 << (spec.fine_weight_bits - 1)) - 1,
        weight_fraction=spec.fine_fraction_bits,
        input_fraction=spec.input_fraction_bits + spec.input_fine_bits,
        input_fine=spec.input_fine_bits,
        input_top=(1 << (spec.input_bits + spec.input_fine_bits)) - 1,
        input_size=strength(nonidealities.input_noise * 2.0 ** (spec.input_fraction_bits + spec.input_fine_bits)),
        read_size=strength(nonidealities.read_noise * signal),
        cost_size=strength(nonidealities.cost_noise / spec.cost_lsb),
        settling=fixed(nonidealities.settling, 1 << 15),
        midpoint=neurons.midpoint,
        steepness=neurons.steepness,
        amplitude=room(neurons.amplitude.astype(np.int32), neurons.amplitude.size + 32),
        neuron_offset=room(neurons.offset.astype(np.int32), neurons.offset.size + 32),
        temperature_size=strength(nonidealities.temperature_std * 256),
        temperature_every=nonidealities.temperature_every if nonidealities.temperature_std > 0 else 0,
        warm_midpoint=fixed(nonidealities.temperature_midpoint, 2.0 ** (spec.signal_fraction_bits + 8)),
        warm_steepness=fixed(nonidealities.temperature_steepness, NEURON_UNIT << 8),
    )


@lru_cache(maxsize=8)
def nonideal_int16_network(spec: ChipSpec) -> NonidealInt16Network | None:
    """The network for kernels of small numbers; None if its numbers are too large for them."""
    if not paired(spec):
        return None
    all_ = constants_of(spec)
    sizes = (all_.input_size, all_.read_size, all_.cost_size)
    loudest = all_.input_top + (MOST * all_.input_size >> STRENGTH_BITS)
    if spec.fine_weight_bits > 16 or spec.signal_bits > 16 or max(sizes) >> STRENGTH_BITS or loudest >= 1 << 15:
        return None
    most = int(cells_of(spec).perturbation.max()) << (spec.weight_bits - 1 + spec.fine_bits)
    if (most + (1 << 14)) >> 15 >= 1 << 15:  # what any amplitude adds to a weight
        return None
    warmest = MOST * all_.temperature_size >> STRENGTH_BITS
    furthest = int(np.abs(all_.midpoint).max()) + (abs(warmest * all_.warm_midpoint) >> 16) + 1
    if (furthest + (1 << 16)) * 2 * NEURON_UNIT >= 1 << 31:
        return None
    signal = largest_signal(spec)
    largest = [(all_.weight_top + 1) * (signal if number else all_.input_top) for number in range(len(spec.layers) - 1)]
    spans = [((1 << 31) - (1 << MOST_BITS)) // each // 32 * 32 for each in largest]
    if min(spans) < 32:
        return None
    return NonidealInt16Network(
        sizes=np.array(spec.layers),
        starts=np.array([layer.first_parameter for layer in spec.topology.layers]),
        strides=np.array([(n + 31) // 32 * 32 for n in spec.layers]),
        input_fraction=all_.input_fraction,
        signal_fraction=spec.signal_fraction_bits,
        weight_fraction=spec.fine_fraction_bits,
        signal_bits=spec.signal_bits,
        lut_bits=spec.lut_bits,
        hidden=pairs(curve_of(spec, last=False)),
        output=pairs(curve_of(spec, last=True)),
        spans=np.array(spans),
        bits=np.array([_bits(spec, number, *pair) for number, pair in enumerate(zip(largest, spans, strict=True))]),
    )


def _bits(spec: ChipSpec, number: int, largest: int, span: int) -> int:
    """`NonidealInt16Network.bits` of a layer, whose products are at most so large; 32 bits hold `span` of them."""
    fraction = spec.signal_fraction_bits if number else spec.input_fraction_bits + spec.input_fine_bits
    excess = fraction + spec.fine_fraction_bits - spec.signal_fraction_bits
    inputs = spec.layers[number]
    if excess < 0:
        return -1
    furthest = inputs * largest + (1 << (fraction + spec.fine_weight_bits - 1)) + (1 << excess)
    for bits in range(min(fraction, max(excess - 1, 0), MOST_BITS) + 1):
        if (furthest >> bits) - (-inputs // span) < 1 << 31 and furthest >> excess < 1 << 30:
            return bits
    return -1


def largest_signal(spec: ChipSpec, *, last: bool = False) -> int:
    """What the signals of neurons don't exceed: their curve times an amplitude, moved by an offset."""
    all_, curve = constants_of(spec), int(np.abs(curve_of(spec, last=last)).max())
    largest = (curve * int(all_.amplitude.max()) >> 12) + int(np.abs(all_.neuron_offset).max()) + 1
    return min(largest, 1 << (spec.signal_bits - 1))


@lru_cache(maxsize=2)
def _records(spec: ChipSpec) -> NDArray[np.int32]:
    """(P, WORDS) what never changes of cells' records."""
    kind = cells_of(spec)
    records = np.zeros((spec.topology.n_parameters, WORDS), dtype=np.int32)
    records[:, SCALE], records[:, OFFSET] = kind.gain, kind.offset
    if spec.nonidealities.pulsed:
        moves, most = pulses_of(spec), 2 << spec.fine_weight_bits  # beyond it, all is clipped
        records[:, SCALE] = (kind.gain - UNIT_GAIN << 16) | (np.clip(kind.offset, -most, most) & 0xFFFF)
        columns = (moves.w_max, -moves.w_min, moves.up | (moves.down << 16), moves.slope_up, moves.slope_down)
        for number, column in enumerate(columns, HIGH):
            records[:, number] = column.astype(np.int32)
    return records


def cell_arrays(spec: ChipSpec, cells: Cells) -> CellArrays:
    """Arrays of their own, padded."""
    n, kind = cells.value.size, cells_of(spec)
    size = padded(n)
    records = zeros(size * WORDS, np.int32).reshape(size, WORDS)
    records[:n] = _records(spec)
    stuck = dac_curve(spec)[kind.stuck + (1 << (spec.weight_bits - 1))]
    left = np.minimum(endurance_of(spec) - cells.wear, MOST_LEFT)
    records[:n, VALUE], records[:n, LEFT] = np.where(kind.is_stuck, stuck, cells.value), left
    writable = np.zeros(size, dtype=bool)
    writable[:n] = kind.live & (left > 0)
    words = np.packbits(writable, bitorder="little").view(np.dtype("<u4")).astype(np.uint32)
    return CellArrays(
        requested=room(cells.requested.astype(np.int16), size),
        records=records.ravel(),
        twos=records.ravel().view(np.int64),
        stuck=kind.is_stuck,
        nu=drift_of(spec) if spec.nonidealities.drift_nu > 0 else np.zeros(1, dtype=np.int64),
        written_tick=cells.written_tick.copy(),
        writable=words,
        up_to_date=np.zeros_like(words),
    )


def cells_after(spec: ChipSpec, before: Cells, cell_arrays: CellArrays, written: int) -> Cells:
    """The cells' state after kernels changed them."""
    n = before.value.size
    left, records = np.minimum(endurance_of(spec) - before.wear, MOST_LEFT), cell_arrays.records.reshape(-1, WORDS)[:n]
    return Cells(
        requested=cell_arrays.requested[:n].astype(np.int32),
        value=np.where(cells_of(spec).is_stuck, before.value, records[:, VALUE]),
        written_tick=cell_arrays.written_tick,
        wear=before.wear + (left - records[:, LEFT]),
        written=written,
    )


def weights(spec: ChipSpec, kind: type[np.integer[Any]], amplitude: int, *, both: bool = True) -> Weights:
    """Room for them, in integers of a kind, and what perturbations of an amplitude add; with both sums, or without."""
    size = padded(spec.topology.n_parameters)
    fine, plus, minus = (zeros(n, kind) for n in (size, size if both else 0, size if both else 0))
    change = ((amplitude << spec.fine_bits) * cells_of(spec).perturbation + (1 << 14)) >> 15
    return Weights(fine, plus, minus, room(change.astype(kind), size), np.full(1, NO_TIME, dtype=np.int64))


def neurons(spec: ChipSpec) -> Neurons:
    """Room for them."""
    size = sum(spec.layers[1:]) + 32
    return Neurons(
        np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32), np.full(1, NO_TIME, dtype=np.int64)
    )  # fmt: skip
