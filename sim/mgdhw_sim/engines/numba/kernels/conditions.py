"""Cells and neurons of an imperfect chip in compiled code: aged, warmed. `cells.py`, `imperfect.neurons_at`."""

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
def tick_of(flaws, step):
    """`cells.tick`."""
    return step // flaws.drift_every if flaws.ages else np.int64(0)


@njit(**INLINE)
def temperature_of(flaws, step):
    """`imperfect.temperature`."""
    return step // flaws.temperature_every if flaws.temperature_every > 0 else np.int64(0)


@njit(**JIT)
def same_era(flaws, one, other):
    """Whether the chip is the same at two steps, but for what is written."""
    same = tick_of(flaws, one) == tick_of(flaws, other)
    return same and temperature_of(flaws, one) == temperature_of(flaws, other)


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
def aged(flaws, memory, i, now):
    """What a cell holds at a tick: `cells.aged`."""
    value = np.int64(memory.records[i * WORDS + VALUE])
    if not flaws.ages or memory.stuck[i]:
        return value
    ticks = min(now - memory.born[i], OLDEST)
    if ticks <= 0:  # nothing is lost, and e⁰ is exactly 1
        return value
    lost = min(ticks, LARGEST_AGE) * flaws.rate
    if flaws.drifts:
        lost += shift_round(np.int64(memory.nu[i]) * logarithm(flaws.log, 1 + ticks), 16)
    left = interpolate(flaws.exp, min(lost, LARGEST_AGE), 14)
    return flaws.rest + shift_round((value - flaws.rest) * left, 16)


@njit(**JIT)
def weigh(flaws, memory, weights, i, now):
    """The weight that a cell makes at a tick, and with a perturbation: `cells.weights`, `cells.perturbed`."""
    top, at = flaws.weight_top, i * WORDS
    fine = shift_round(aged(flaws, memory, i, now), CELL_FRACTION_BITS - flaws.fine_bits)
    gain, offset = np.int64(memory.records[at + SCALE]), np.int64(memory.records[at + OFFSET])
    if flaws.pulsed:
        gain, offset = (gain >> 16) + UNIT_GAIN, np.int64(np.int16(gain))
    w = shift_round(fine * gain, 15) + offset
    w = min(max(w, -top - 1), top)
    more = np.int64(weights.change[i])
    weights.fine[i] = w
    if weights.plus.size > 0:
        weights.plus[i] = min(w + more, top)
        weights.minus[i] = max(w - more, -top - 1)


@njit(**JIT)
def added(flaws, i, size):
    """What a perturbation by `size` codes adds to a cell's fine weight, for a sign of +1."""
    return shift_round((np.int64(size) << flaws.fine_bits) * np.int64(flaws.perturbation[i]), 15)


@njit(**JIT)
def perturb(flaws, weights, code, start, size, sign, moved):
    """Fine weights of cells start ... start + size - 1 with any codes added, times a sign: `cells.perturbed`."""
    top = flaws.weight_top
    for i in range(start, start + size):
        change = np.int64(code[i]) * sign
        more = added(flaws, i, abs(change))
        w = np.int64(weights.fine[i]) + (more if change > 0 else -more)
        moved[i] = min(max(w, -top - 1), top)


@njit(**JIT)
def keep_up(flaws, memory, weights, neurons, first, end, step):
    """Make weights first ... end - 1, and the neurons, what they are at a step.

    Returns:
        Whether any have changed.
    """
    now, number = tick_of(flaws, step), temperature_of(flaws, step)
    changed = False
    if weights.tick[0] != now:
        for i in range(first, end):
            weigh(flaws, memory, weights, i, now)
        weights.tick[0] = now
        changed = True
    if neurons.number[0] != number:
        warm(flaws, number, neurons)
        neurons.number[0] = number
        changed = True
    return changed


@njit(**JIT)
def warm(flaws, number, neurons):
    """The neurons at a temperature."""
    kelvin = np.int64(0)
    if number > 0:
        drawn = noise(flaws.key0, flaws.key1, TEMPERATURE, number, 0, 0, np.int64(0))
        kelvin = scaled(drawn, flaws.temperature_size)
    shift, steeper = shift_round(kelvin * flaws.warm_midpoint, 16), shift_round(kelvin * flaws.warm_steepness, 16)
    for i in range(flaws.midpoint.size):
        neurons.midpoint[i] = flaws.midpoint[i] + shift
        neurons.steepness[i] = min(max(flaws.steepness[i] + steeper, 0), 2 * NEURON_UNIT - 1)
