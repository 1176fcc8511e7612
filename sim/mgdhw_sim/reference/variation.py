"""What differs from cell to cell and from neuron to neuron: drawn once for a chip. `docs/chip.md`, "Mismatch"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.random.gaussian import gaussians, scaled, strength
from mgdhw.random.philox import Stream, words
from mgdhw_sim.reference.datapath import shift_round
from mgdhw_sim.spec import CELL_FRACTION_BITS, ChipSpec

UNIT = 1 << 15
"""1.0 of a gain."""
NEURON_UNIT = 1 << 12
"""1.0 of a neuron's steepness and amplitude."""


class Quantity(IntEnum):
    """What a draw of stream MISMATCH is for: its layer. Numbers are for ever."""

    DEFECT = 0
    GAIN = 1
    OFFSET = 2
    PERTURBATION = 3
    W_MAX = 4
    W_MIN = 5
    DW_MIN = 6
    UP_DOWN = 7
    DRIFT = 8
    ENDURANCE = 9
    MIDPOINT = 10
    STEEPNESS = 11
    AMPLITUDE = 12
    NEURON_OFFSET = 13


def fixed(value: float, scale: float) -> int:
    """⌊value · scale + 1/2⌋."""
    return int(np.floor(value * scale + 0.5))


def drawn(spec: ChipSpec, quantity: Quantity, std: float, scale: float, count: int) -> IntArray:
    """(count,) Gaussian integers of standard deviation `std` · `scale`."""
    if std == 0:
        return np.zeros(count, dtype=np.int64)
    g = gaussians(spec.seed, Stream.MISMATCH, [0], count, layer=int(quantity))[0]
    return scaled(g, strength(std * scale))


def spread(spec: ChipSpec, quantity: Quantity, base: int, std: float, count: int) -> IntArray:
    """(count,) integers about `base`, with a relative spread."""
    return base + shift_round(base * drawn(spec, quantity, std, UNIT, count), 15)


@dataclass(frozen=True, slots=True)
class CellMismatch:
    """What each of P cells is like.

    Args:
        live: cells that can be written and perturbed.
        stuck: (P,) codes of those that are stuck; what the others hold of it means nothing.
        is_stuck: which they are.
        gain: of a cell's weight, `UNIT` is 1; 0 if it is dead.
        offset: added to it, in fine weight units.
        perturbation: gain of what a probe adds to it.
    """

    live: NDArray[np.bool_]
    stuck: IntArray
    is_stuck: NDArray[np.bool_]
    gain: IntArray
    offset: IntArray
    perturbation: IntArray


@dataclass(frozen=True, slots=True)
class PulseMismatch:
    """How each of P cells moves by pulses: bounds (both positive), step at zero up and down, and its slopes."""

    w_max: IntArray
    w_min: IntArray
    up: IntArray
    down: IntArray
    slope_up: IntArray
    slope_down: IntArray


@dataclass(frozen=True, slots=True)
class NeuronMismatch:
    """What each neuron is like, numbered through the network: signals, and gains in `NEURON_UNIT`s."""

    midpoint: IntArray
    steepness: IntArray
    amplitude: IntArray
    offset: IntArray


@lru_cache(maxsize=8)
def cells_of(spec: ChipSpec) -> CellMismatch:
    """The cells of a chip."""
    nonidealities, n = spec.nonidealities, spec.topology.n_parameters
    word = words(spec.seed, Stream.MISMATCH, [0], n, layer=int(Quantity.DEFECT))[0].astype(np.int64)
    low, high = word & 0xFFFF, word >> 16
    stuck_below = fixed(nonidealities.stuck, 1 << 16)
    dead_below = stuck_below + fixed(nonidealities.dead, 1 << 16)
    is_stuck, dead = low < stuck_below, (low >= stuck_below) & (low < dead_below)
    live = ~(is_stuck | dead)

    gain = np.clip(UNIT + drawn(spec, Quantity.GAIN, nonidealities.cell_gain_std, UNIT, n), 0, 2 * UNIT - 1)
    gain = shift_round(gain * (UNIT - _lost(spec)), 15)
    gain[dead] = 0
    offset = drawn(spec, Quantity.OFFSET, nonidealities.cell_offset_std, 2.0**spec.fine_fraction_bits, n)
    offset[dead] = 0
    own = np.clip(UNIT + drawn(spec, Quantity.PERTURBATION, nonidealities.perturbation_std, UNIT, n), 0, 2 * UNIT - 1)
    perturbation = np.where(live, shift_round(gain * own, 15), 0)
    codes = ((high << spec.weight_bits) >> 16) - (1 << (spec.weight_bits - 1))
    return CellMismatch(live, codes, is_stuck, gain, offset, perturbation)


def _lost(spec: ChipSpec) -> IntArray:
    """(P,) what the wires' resistance takes of each cell's weight, of `UNIT`."""
    nonidealities = spec.nonidealities
    row, column = fixed(nonidealities.ir_row, UNIT), fixed(nonidealities.ir_column, UNIT)
    lost = np.zeros(spec.topology.n_parameters, dtype=np.int64)
    for layer in spec.topology.layers:
        along_row = row * (2 * np.arange(layer.n_in + 1) + 1) // (2 * (layer.n_in + 1))
        along_column = column * (2 * np.arange(layer.n_out) + 1) // (2 * layer.n_out)
        total = along_row + along_column[:, None]
        lost[layer.weights] = total[:, :-1].ravel()
        lost[layer.biases] = total[:, -1]
    return lost


@lru_cache(maxsize=8)
def pulses_of(spec: ChipSpec) -> PulseMismatch:
    """How the cells of a chip with soft bounds move."""
    nonidealities, n = spec.nonidealities, spec.topology.n_parameters
    one, half = 1 << CELL_FRACTION_BITS, spec.cell_limit
    to_cell = 2.0 ** (spec.weight_fraction_bits + CELL_FRACTION_BITS)
    step = fixed(nonidealities.dw_min, to_cell) if nonidealities.dw_min else one
    w_max = np.clip(
        spread(spec, Quantity.W_MAX, fixed(nonidealities.w_max, to_cell), nonidealities.w_max_dtod, n), one, half
    )
    w_min = np.clip(
        spread(spec, Quantity.W_MIN, fixed(-nonidealities.w_min, to_cell), nonidealities.w_min_dtod, n), one, half
    )
    own = np.clip(spread(spec, Quantity.DW_MIN, step, nonidealities.dw_min_dtod, n), 1, one)
    bias = fixed(nonidealities.up_down, UNIT) + drawn(spec, Quantity.UP_DOWN, nonidealities.up_down_dtod, UNIT, n)
    bias = np.clip(bias, 1 - UNIT, UNIT - 1)
    up = np.maximum(1, shift_round(own * (UNIT + bias), 15))
    down = np.maximum(1, shift_round(own * (UNIT - bias), 15))
    return PulseMismatch(w_max, w_min, up, down, (up << 20) // w_max, (down << 20) // w_min)


@lru_cache(maxsize=8)
def drift_of(spec: ChipSpec) -> IntArray:
    """(P,) exponents of the power law, 16 fraction bits."""
    nonidealities, n = spec.nonidealities, spec.topology.n_parameters
    base = fixed(nonidealities.drift_nu, 1 << 16)
    return np.clip(spread(spec, Quantity.DRIFT, base, nonidealities.drift_nu_dtod, n), 0, 1 << 16)


@lru_cache(maxsize=8)
def endurance_of(spec: ChipSpec) -> IntArray:
    """(P,) writes that each cell survives; practically for ever where the chip's cells don't wear."""
    nonidealities, n = spec.nonidealities, spec.topology.n_parameters
    if nonidealities.endurance == 0:
        return np.full(n, np.iinfo(np.int64).max)
    base = fixed(nonidealities.endurance, 1)
    share = UNIT + drawn(spec, Quantity.ENDURANCE, nonidealities.endurance_dtod, UNIT, n)
    # Thousandths of a count don't matter, and a product of the two would not fit.
    return np.maximum(1, (base >> 15) * share + (((base & (UNIT - 1)) * share) >> 15))


@lru_cache(maxsize=8)
def neurons_of(spec: ChipSpec) -> NeuronMismatch:
    """The neurons of a chip."""
    nonidealities, n = spec.nonidealities, sum(spec.layers[1:])
    signal = 2.0**spec.signal_fraction_bits

    def of(quantity: Quantity, own: float, scale: float) -> IntArray:
        return drawn(spec, quantity, own or nonidealities.neuron_std, scale, n)

    def gain(quantity: Quantity, own: float) -> IntArray:
        return np.clip(NEURON_UNIT + of(quantity, own, NEURON_UNIT), 0, 2 * NEURON_UNIT - 1)

    return NeuronMismatch(
        midpoint=of(Quantity.MIDPOINT, nonidealities.midpoint_std, signal),
        steepness=gain(Quantity.STEEPNESS, nonidealities.steepness_std),
        amplitude=gain(Quantity.AMPLITUDE, nonidealities.amplitude_std),
        offset=of(Quantity.NEURON_OFFSET, nonidealities.offset_std, signal),
    )
