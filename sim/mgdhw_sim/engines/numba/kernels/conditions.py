"""Cells and neurons of a nonideal chip in compiled code: aged, warmed. `cells.py`, `nonideal.neurons_at`."""

from __future__ import annotations

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.cell_records import WORDS
from mgdhw.compiled.kernels.gaussian_noise import noise, scaled
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import interpolate, shift_round
from mgdhw_sim.engines.numba.nonideal_args import OFFSET, SCALE, UNIT_GAIN, VALUE
from mgdhw_sim.reference.cells import LARGEST_AGE, OLDEST
from mgdhw_sim.reference.variation import NEURON_UNIT
from mgdhw_sim.spec import CELL_FRACTION_BITS

TEMPERATURE = int(Stream.TEMPERATURE)


@njit(**INLINE)
def tick_of(nonideal, step):
    """`cells.tick`."""
    return step // nonideal.drift_every if nonideal.ages else np.int64(0)


@njit(**INLINE)
def temperature_of(nonideal, step):
    """`nonideal.temperature`."""
    return step // nonideal.temperature_every if nonideal.temperature_every > 0 else np.int64(0)


@njit(**JIT)
def same_conditions(nonideal, one, other):
    """Whether the chip is the same at two steps, but for what is written."""
    same = tick_of(nonideal, one) == tick_of(nonideal, other)
    return same and temperature_of(nonideal, one) == temperature_of(nonideal, other)


@njit(**JIT)
def logarithm(table, count):
    """`cells.logarithm` of one count."""
    exponent = np.int64(0)
    rest = count >> 1
    while rest > 0:
        rest >>= 1
        exponent += 1
    up = 30 - exponent
    mantissa = (count << up if up >= 0 else count >> -up) - (np.int64(1) << 30)
    return exponent * np.int64(table[-1]) + interpolate(table, mantissa, 20)


@njit(**JIT)
def aged(nonideal, cell_arrays, i, current_tick):
    """What a cell holds at a tick: `cells.aged`."""
    value = np.int64(cell_arrays.records[i * WORDS + VALUE])
    if not nonideal.ages or cell_arrays.stuck[i]:
        return value
    ticks = min(current_tick - cell_arrays.written_tick[i], OLDEST)
    if ticks <= 0:  # nothing is lost, and e⁰ is exactly 1
        return value
    lost = min(ticks, LARGEST_AGE) * nonideal.rate
    if nonideal.drifts:
        lost += shift_round(np.int64(cell_arrays.nu[i]) * logarithm(nonideal.log, 1 + ticks), 16)
    left = interpolate(nonideal.exp, min(lost, LARGEST_AGE), 14)
    return nonideal.rest + shift_round((value - nonideal.rest) * left, 16)


@njit(**JIT)
def compute_weight(nonideal, cell_arrays, weights, i, current_tick):
    """The weight that a cell makes at a tick, and with a perturbation: `cells.weights`, `cells.perturbed`."""
    top, at = nonideal.weight_top, i * WORDS
    fine = shift_round(aged(nonideal, cell_arrays, i, current_tick), CELL_FRACTION_BITS - nonideal.fine_bits)
    gain, offset = np.int64(cell_arrays.records[at + SCALE]), np.int64(cell_arrays.records[at + OFFSET])
    if nonideal.pulsed:
        gain, offset = (gain >> 16) + UNIT_GAIN, np.int64(np.int16(gain))
    w = shift_round(fine * gain, 15) + offset
    w = min(max(w, -top - 1), top)
    more = np.int64(weights.change[i])
    weights.fine[i] = w
    if weights.plus.size > 0:
        weights.plus[i] = min(w + more, top)
        weights.minus[i] = max(w - more, -top - 1)


@njit(**JIT)
def added(nonideal, i, size):
    """What a perturbation by `size` codes adds to a cell's fine weight, for a sign of +1."""
    return shift_round((np.int64(size) << nonideal.fine_bits) * np.int64(nonideal.perturbation[i]), 15)


@njit(**JIT)
def perturb(nonideal, weights, code, start, size, sign, perturbed):
    """Fine weights of cells start ... start + size - 1 with any codes added, times a sign: `cells.perturbed`."""
    top = nonideal.weight_top
    for i in range(start, start + size):
        change = np.int64(code[i]) * sign
        more = added(nonideal, i, abs(change))
        w = np.int64(weights.fine[i]) + (more if change > 0 else -more)
        perturbed[i] = min(max(w, -top - 1), top)


@njit(**JIT)
def update_conditions(nonideal, cell_arrays, weights, neurons, first, end, step):
    """Make weights first ... end - 1, and the neurons, what they are at a step.

    Returns:
        Whether any have changed.
    """
    current_tick, number = tick_of(nonideal, step), temperature_of(nonideal, step)
    changed = False
    if weights.tick[0] != current_tick:
        for i in range(first, end):
            compute_weight(nonideal, cell_arrays, weights, i, current_tick)
        weights.tick[0] = current_tick
        changed = True
    if neurons.number[0] != number:
        set_temperature(nonideal, number, neurons)
        neurons.number[0] = number
        changed = True
    return changed


@njit(**JIT)
def set_temperature(nonideal, number, neurons):
    """The neurons at a temperature."""
    kelvin = np.int64(0)
    if number > 0:
        drawn = noise(nonideal.key0, nonideal.key1, TEMPERATURE, number, 0, 0, np.int64(0))
        kelvin = scaled(drawn, nonideal.temperature_size)
    shift, steeper = shift_round(kelvin * nonideal.warm_midpoint, 16), shift_round(kelvin * nonideal.warm_steepness, 16)
    for i in range(nonideal.midpoint.size):
        neurons.midpoint[i] = nonideal.midpoint[i] + shift
        neurons.steepness[i] = min(max(nonideal.steepness[i] + steeper, 0), 2 * NEURON_UNIT - 1)
