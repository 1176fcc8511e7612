"""The cells that hold a chip's parameters: how they are written, how they age, what weight they make.

`docs/chip.md`, "Cells". All functions are pure; `Cells` is the cells' state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.errors import ConfigError
from mgdhw.random.gaussian import gaussians, scaled, strength
from mgdhw.random.philox import Stream
from mgdhw_sim.reference.datapath import CodeArray, interpolate, saturate, shift_round
from mgdhw_sim.reference.tables import exp_table, log_table
from mgdhw_sim.reference.variation import PulseMismatch, cells_of, drift_of, endurance_of, fixed, pulses_of
from mgdhw_sim.spec import CELL_FRACTION_BITS, ChipSpec

NEVER = -(1 << 31)
"""The requested code of a cell that was never written."""
AGE_FRACTION_BITS = 20
"""Fraction bits of the logarithm of what is left of a cell's value."""
LARGEST_AGE = (16 << AGE_FRACTION_BITS) - 1
OLDEST = 1 << 40
"""Ticks after which a cell does not age any more."""


LATEST = 1 << 62
"""Steps, ticks and wear of cells that are put back are below: so sums of them fit into signed numbers."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The state of P cells.

    Args:
        requested: (P,) codes that were written last; `NEVER` at first.
        value: (P,) what they held right after that write, in cell units: codes with 14 more fraction bits.
        written_tick: (P,) tick of that write; "born" in checkpoints.
        wear: (P,) writes, or pulses, so far.
        written: step of the last write that changed anything; -1 if none did.
    """

    requested: NDArray[np.int32]
    value: NDArray[np.int32]
    written_tick: IntArray
    wear: IntArray
    written: int = -1

    @classmethod
    def fresh(cls, n: int) -> Cells:
        """Cells that were never written."""
        return cls(
            np.full(n, NEVER, dtype=np.int32),
            np.zeros(n, dtype=np.int32),
            np.zeros(n, dtype=np.int64),
            np.zeros(n, dtype=np.int64),
        )

    def memory(self) -> dict[str, NDArray[Any]]:
        """As arrays, for a checkpoint."""
        return {
            "requested": self.requested,
            "value": self.value,
            "born": self.written_tick,
            "wear": self.wear,
            "written": np.array([self.written], dtype=np.int64),
        }

    @classmethod
    def of(cls, memory: Mapping[str, NDArray[Any]]) -> Cells:
        """From such arrays."""
        return cls(
            requested=memory["requested"],
            value=memory["value"],
            written_tick=memory["born"],
            wear=memory["wear"],
            written=int(memory["written"][0]),
        )


def check(spec: ChipSpec, memory: Mapping[str, NDArray[Any]]) -> None:
    """Raise ConfigError for arrays that no cells of this chip can have come to: they may have been made up.

    Each is of P integers, but `written`, which is one.
    """
    n, half = spec.topology.n_parameters, 1 << (spec.weight_bits - 1)
    bounds = {
        "requested": (-half, half - 1),
        "value": (-spec.cell_limit, spec.cell_limit),
        "born": (0, LATEST),
        "wear": (0, LATEST),
        "written": (-1, LATEST),
    }
    if memory.keys() != bounds.keys():
        raise ConfigError(f"cells remember {', '.join(bounds)}, not {', '.join(memory) or 'nothing'}")
    for name, (low, high) in bounds.items():
        array = memory[name]
        if array.dtype.kind != "i" or array.shape != ((1,) if name == "written" else (n,)):
            raise ConfigError(f"cells: {name} is {array.dtype} of shape {array.shape}")
        good = (array >= low) & (array <= high)
        if name == "requested":
            good |= array == NEVER
        if not good.all():
            raise ConfigError(f"cells: {name} holds {array[~good][0]}, expected {low} ... {high}")


def dac_curve(spec: ChipSpec) -> IntArray:
    """(2**b_w,) what the parameter DAC makes of each code, lowest first, in cell units."""
    nonidealities, half = spec.nonidealities, 1 << (spec.weight_bits - 1)
    code = np.arange(-half, half, dtype=np.int64)
    offset = fixed(nonidealities.dac_offset, 2.0 ** (spec.weight_fraction_bits + CELL_FRACTION_BITS))
    gain = fixed(nonidealities.dac_gain, 1 << 20)
    bow = fixed(nonidealities.dac_inl, 1 << CELL_FRACTION_BITS)
    value = (code << CELL_FRACTION_BITS) + offset + shift_round(code * gain, 20 - CELL_FRACTION_BITS)
    value += bow - shift_round(bow * code * code, 2 * (spec.weight_bits - 1))
    return np.asarray(np.clip(value, -spec.cell_limit, spec.cell_limit))


def tick(spec: ChipSpec, step: int) -> int:
    """Number of the tick that a step belongs to: cells age from one to the next."""
    return step // spec.nonidealities.drift_every if spec.nonidealities.ages else 0


def program(spec: ChipSpec, cells: Cells, codes: CodeArray, step: int) -> Cells:
    """Write (P,) codes at a step. Only cells that are asked for another code than before are touched.

    Writing the same codes again does nothing, at whatever step: a repeated write is no write.
    """
    codes = codes.astype(np.int32)
    changed = codes != cells.requested
    if not changed.any():
        return cells
    kind, now = cells_of(spec), tick(spec, step)
    able = changed & kind.live & (cells.wear < endurance_of(spec))
    g = gaussians(spec.seed, Stream.WRITE, [step], 2 * codes.size)[0]
    noise = scaled(g[0::2], strength(spec.nonidealities.write_noise * 2.0 ** (spec.weight_fraction_bits + 14)))
    if spec.nonidealities.pulsed:
        moves = pulses_of(spec)
        before = np.where(cells.requested == NEVER, 0, cells.requested)
        n = _pulses(spec, np.where(able, codes - before, 0))
        held = np.where(able, aged(spec, cells, now), cells.value)
        value = _pulsed(held, n, moves) + _pulse_noise(spec, n, moves, g[1::2]) + noise
        value = np.clip(value, -moves.w_min, moves.w_max)
        cost = np.abs(n)
    else:
        value = dac_curve(spec)[codes + (1 << (spec.weight_bits - 1))] + noise
        value = np.clip(value, -spec.cell_limit, spec.cell_limit)
        cost = np.ones(codes.size, dtype=np.int64)
    return Cells(
        requested=codes,
        value=np.where(able, value, cells.value).astype(np.int32),
        written_tick=np.where(able, now, cells.written_tick),
        wear=np.where(able, cells.wear + cost, cells.wear),
        written=step,
    )


def _pulses(spec: ChipSpec, change: IntArray) -> IntArray:
    """(P,) pulses, up or down, for a change in codes."""
    if spec.nonidealities.dw_min == 0:
        return change.astype(np.int64)
    step = fixed(spec.nonidealities.dw_min, 2.0 ** (spec.weight_fraction_bits + CELL_FRACTION_BITS))
    return np.asarray(np.sign(change) * (((np.abs(change).astype(np.int64) << 14) + (step >> 1)) // step))


def _pulsed(held: IntArray, n: IntArray, moves: PulseMismatch) -> IntArray:
    """Cells after n pulses, one after the other: each is smaller the nearer its bound."""
    value = held.astype(np.int64)
    for k in range(int(np.abs(n).max(initial=0))):
        up = value + moves.up - shift_round(value * moves.slope_up, 20)
        down = value - moves.down - shift_round(value * moves.slope_down, 20)
        moved = np.clip(np.where(n > 0, up, down), -moves.w_min, moves.w_max)
        value = np.where(k < np.abs(n), moved, value)
    return value


def _pulse_noise(spec: ChipSpec, n: IntArray, moves: PulseMismatch, g: NDArray[np.int16]) -> IntArray:
    """Noise of n pulses: that of one, times √n."""
    one = fixed(spec.nonidealities.dw_min_std, 1 << 15)
    if one == 0:
        return np.zeros(n.size, dtype=np.int64)
    root = np.array([isqrt(int(k) << 16) for k in np.abs(n)], dtype=np.int64)
    size = np.where(n > 0, moves.up, moves.down)
    return scaled(g, (size * one * root) >> 20)


def aged(spec: ChipSpec, cells: Cells, now: int) -> IntArray:
    """(P,) what the cells hold at a tick."""
    value = cells.value.astype(np.int64)
    nonidealities = spec.nonidealities
    if nonidealities.ages:
        ticks = np.clip(now - cells.written_tick, 0, OLDEST)
        lost = np.zeros(value.size, dtype=np.int64)
        if nonidealities.retention > 0:
            # So much in a tick, or so many ticks, leave nothing; the product stays small.
            rate = min(fixed(nonidealities.drift_every / nonidealities.retention, 1 << AGE_FRACTION_BITS), LARGEST_AGE)
            lost += np.minimum(ticks, LARGEST_AGE) * rate
        if nonidealities.drift_nu > 0:
            lost += shift_round(drift_of(spec) * logarithm(1 + ticks), 16)
        left = interpolate(exp_table(24, AGE_FRACTION_BITS), np.minimum(lost, LARGEST_AGE), 14)
        rest = spec.rest
        value = rest + shift_round((value - rest) * left, 16)
    kind = cells_of(spec)
    half = 1 << (spec.weight_bits - 1)
    return np.where(kind.is_stuck, dac_curve(spec)[kind.stuck + half], value)


def logarithm(count: IntArray) -> IntArray:
    """ln of integers of 1 ... 2**41, 20 fraction bits."""
    exponent = np.frexp(count.astype(np.float64))[1].astype(np.int64) - 1  # floor(log2), exact below 2**53
    up = 30 - exponent
    mantissa = ((count << np.maximum(up, 0)) >> np.maximum(-up, 0)) - (1 << 30)
    table = log_table(AGE_FRACTION_BITS)
    return np.asarray(exponent * table[-1] + interpolate(table, mantissa, 20))


def weights(spec: ChipSpec, cells: Cells, now: int) -> IntArray:
    """(P,) fine weights that the cells make at a tick."""
    kind = cells_of(spec)
    fine = shift_round(aged(spec, cells, now), CELL_FRACTION_BITS - spec.fine_bits)
    return saturate(shift_round(fine * kind.gain, 15) + kind.offset, spec.fine_weight_bits)


def perturbed(spec: ChipSpec, fine: IntArray, change: CodeArray) -> IntArray:
    """(K, P) fine weights with (K, P) perturbations, in codes, added to (P,)."""
    added = shift_round((np.abs(change.astype(np.int64)) << spec.fine_bits) * cells_of(spec).perturbation, 15)
    return saturate(np.asarray(fine + np.sign(change).astype(np.int64) * added), spec.fine_weight_bits)


def theta_actual(spec: ChipSpec, cells: Cells, step: int) -> NDArray[np.float64]:
    """(P,) θ that the cells actually hold at a step."""
    lsb = 2.0 ** -(spec.weight_fraction_bits + CELL_FRACTION_BITS)
    return np.asarray(aged(spec, cells, tick(spec, step)) * lsb, dtype=np.float64)


def worn_out(spec: ChipSpec, cells: Cells) -> int:
    """How many cells are worn out: written so often that they stick."""
    return int((cells_of(spec).live & (cells.wear >= endurance_of(spec))).sum())
