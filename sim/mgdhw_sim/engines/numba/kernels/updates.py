"""Updates in compiled code: `mgdhw.learning.loop.update` with an exact window, sixteen parameters at a time.

The few floating-point operations stand in the order of their definitions (`gradient.estimate`, the optimizers,
`datapath.parameter_codes`); no fast-math, no fused multiply-add. Arrays of parameters are padded to a multiple of 32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mgdhw.compiled.kernels.simd import bits_at, load, store
from mgdhw.compiled.kernels.vector_math import (
    f64,
    floor_to_i32,
    i32,
    i64,
    lane_numbers,
    mask_of,
    select,
    sqrt,
    to_f64,
    to_i16,
    to_i64,
)
from mgdhw.compiled.kernels.window import add_signed, sums_of_signs
from mgdhw.compiled.options import INLINE, JIT

SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = range(6)


class UpdateRule(NamedTuple):
    """An update as kernels take it: which optimizer, its parameters, scales and limits."""

    optimizer: int
    a: float
    """β, ρ or β₁."""
    b: float
    """β₂."""
    epsilon: float
    decay: float
    corrected: bool
    scale: float
    lsb: float
    low: float
    high: float
    to_code: float
    code_low: int
    code_high: int


class UpdateState(NamedTuple):
    """What an update changes: master θ, the optimizer's state, the window, and the requested codes."""

    theta: Any
    m: Any
    v: Any
    powers: Any
    """(2,) products of β₁ and of β₂ so far (adam)."""
    cross: Any
    energy: Any
    squares: Any
    """(16,) sums of the squares of the last update's gradient."""
    requested: Any


@njit(**JIT)
def apply_gradient(rule, update_state, at, g, eta):
    """Sixteen parameters from `at` on, by their gradient.

    Returns:
        Their codes.
    """
    t = load(update_state.theta, at)
    rate, a, one = f64(eta), f64(rule.a), f64(1.0)
    if rule.optimizer == SGD:
        t = t - rate * g
    elif rule.optimizer == MOMENTUM:
        m = a * load(update_state.m, at) + g
        store(update_state.m, at, m)
        t = t - rate * m
    elif rule.optimizer == NESTEROV:
        m = a * load(update_state.m, at) + g
        store(update_state.m, at, m)
        t = t - rate * (g + a * m)
    elif rule.optimizer == RMSPROP:
        v = a * load(update_state.v, at) + (one - a) * (g * g)
        store(update_state.v, at, v)
        t = t - rate * g / (sqrt(v) + f64(rule.epsilon))
    else:
        b = f64(rule.b)
        if rule.optimizer == ADAMW:
            t = t - rate * f64(rule.decay) * t
        m = a * load(update_state.m, at) + (one - a) * g
        v = b * load(update_state.v, at) + (one - b) * (g * g)
        store(update_state.m, at, m)
        store(update_state.v, at, v)
        if rule.corrected:
            m = m / (one - f64(update_state.powers[0]))
            v = v / (one - f64(update_state.powers[1]))
        t = t - rate * m / (sqrt(v) + f64(rule.epsilon))
    return place(rule, update_state, at, t)


@njit(**JIT)
def place(rule, update_state, at, t):
    """Store sixteen parameters, within their limits, and the codes that the chip holds of them.

    Returns:
        Their codes.
    """
    low, high = f64(rule.low), f64(rule.high)
    t = select(t < low, low, t)
    t = select(t > high, high, t)
    store(update_state.theta, at, t)
    code = floor_to_i32(t * f64(rule.to_code) + f64(0.5))
    code = select(code < i32(rule.code_low), i32(rule.code_low), code)
    code = select(code > i32(rule.code_high), i32(rule.code_high), code)
    store(update_state.requested, at, to_i16(code))
    return code


@njit(**JIT)
def add_squares(update_state, g, at, last):
    """Add the squares of sixteen gradients, as far as there are parameters (those before `last`)."""
    inside = i32(at) + lane_numbers() < i32(last)
    store(update_state.squares, 0, load(update_state.squares, 0) + select(inside, g * g, f64(0.0)))


@njit(**JIT)
def next_powers(rule, update_state):
    """The running products of β₁ and β₂."""
    if rule.optimizer >= ADAM:
        update_state.powers[0] = update_state.powers[0] * rule.a
        update_state.powers[1] = update_state.powers[1] * rule.b


@njit(**JIT)
def update(rule, update_state, first, last, eta, keep):
    """Update parameters `first` ... `last` - 1 (first is a multiple of 16) from the window, and empty it.

    The gradient's size is only computed where it is reported (`keep`).
    """
    scale, lsb, nothing = f64(rule.scale), f64(rule.lsb), i64(0)
    for at in range(first, last, 16):
        energy = load(update_state.energy, at)
        perturbed = energy > nothing
        divisor = to_f64(select(perturbed, energy, i64(1))) * lsb
        g = select(perturbed, (to_f64(load(update_state.cross, at)) * scale) / divisor, f64(0.0))
        store(update_state.cross, at, nothing)
        store(update_state.energy, at, nothing)
        if keep:
            add_squares(update_state, g, at, last)
        apply_gradient(rule, update_state, at, g, eta)


@njit(**JIT)
def update_signs(rule, update_state, first, last, eta, words, change, amplitude, keep):
    """The same where the window is a single probe that perturbed every parameter by plus or minus one amplitude.

    C̃ θ̃ and its estimate then have one size and two signs: x / y and (-x) / y differ in nothing else. The gradient's
    size is only computed where it is reported (`keep`).
    """
    plus, minus = gradients_of(rule, change, amplitude)
    for at in range(first, last, 16):
        apply_gradient_by_sign(
            rule, update_state, at, words[at >> 5] >> np.uint32(at & 31), plus, minus, eta, last, keep
        )


@njit(**INLINE)
def gradients_of(rule, change, amplitude):
    """The estimate where the sign was plus, and where it was minus."""
    energy = np.float64(np.int64(amplitude) * np.int64(amplitude))
    size = (np.float64(np.int64(change) * np.int64(amplitude)) * rule.scale) / (energy * rule.lsb)
    return size, 0.0 if change == 0 else -size


@njit(**INLINE)
def apply_gradient_by_sign(rule, update_state, at, bits, plus, minus, eta, last, keep):
    """`apply_gradient` by one gradient where a parameter's bit is set, and by another elsewhere."""
    mask = mask_of(bits)
    if keep:
        add_squares(update_state, select(mask, f64(plus), f64(minus)), at, last)
    if rule.optimizer == SGD:  # it has two steps, too
        return place(
            rule, update_state, at, load(update_state.theta, at) - select(mask, f64(eta * plus), f64(eta * minus))
        )
    return apply_gradient(rule, update_state, at, select(mask, f64(plus), f64(minus)), eta)


@njit(**JIT)
def update_pending(rule, update_state, first, last, eta, words, rows, changes, count, amplitude, keep):
    """`accumulate_signs` into an empty window and `update`, at once: saves reading and writing a large window.

    Args:
        first: a multiple of 32.
        words, rows, changes, count: as for `accumulate_signs`; all parameters were perturbed by every probe.
    """
    divisor = np.float64(np.int64(amplitude) * np.int64(amplitude) * np.int64(count)) * rule.lsb
    for at in range(first & ~127, last, 128):
        sums = sums_of_signs(words, rows, changes, count, at >> 5)
        for measurement in range(8):
            place = at + 16 * measurement
            if first <= place < last:
                chosen = sums[measurement]
                g = (to_f64(to_i64(chosen) * i64(amplitude)) * f64(rule.scale)) / f64(divisor)
                if keep:
                    add_squares(update_state, g, place, last)
                apply_gradient(rule, update_state, place, g, eta)


@njit(**JIT)
def accumulate_signs(update_state, start, end, words, rows, changes, count, amplitude):
    """Add probes to the window that perturbed parameters start ... end - 1 by plus or minus one amplitude each.

    Args:
        words: rows of sign bits.
        rows, changes: (count,) each probe's row and C̃; the sum of |C̃| is below 2³¹.
    """
    add_signed(update_state.cross, start, end, words, rows, changes, count, amplitude)
    square = np.int64(amplitude) * np.int64(amplitude) * np.int64(count)
    for i in range(start, end):
        update_state.energy[i] += square


@njit(**JIT)
def accumulate_rank1(update_state, matrix, words, rows, changes, signed, count, amplitude, first, end):
    """Add probes with a rank-1 code of one matrix to the window; of its rows those that begin within first ... end - 1.

    Args:
        matrix: (4,) its start in θ, n_out, n_in, and first line.
        words: rows of line signs.
        rows, changes: (count,) each probe's row and C̃; the sum of |C̃| is below 2³¹.
        signed: (count,) work space.
    """
    start, n_out, n_in, line = matrix[0], matrix[1], matrix[2], matrix[3]
    columns = line + n_out
    square = np.int64(amplitude) * np.int64(amplitude) * np.int64(count)
    whole = n_in & ~15
    for j in range(n_out):
        row, bias = start + j * n_in, start + n_out * n_in + j
        if not (first <= row < end or first <= bias < end):
            continue
        at = line + j
        for k in range(count):
            plus = (words[rows[k], at >> 5] >> np.uint32(at & 31)) & np.uint32(1)
            signed[k] = changes[k] if plus else -changes[k]
        if first <= row < end:
            for i in range(0, whole, 16):
                sums = i32(0)
                for k in range(count):
                    mask = mask_of(bits_at(words[rows[k]], columns + i))
                    sums = sums + select(mask, i32(signed[k]), i32(-signed[k]))
                cross = load(update_state.cross, row + i) + to_i64(sums) * i64(amplitude)
                store(update_state.cross, row + i, cross)
                store(update_state.energy, row + i, load(update_state.energy, row + i) + i64(square))
            for i in range(whole, n_in):
                accumulate_rank1_parameter(update_state, row + i, columns + i, words, rows, signed, count, amplitude)
        if first <= bias < end:
            accumulate_rank1_parameter(update_state, bias, columns + n_in, words, rows, signed, count, amplitude)


@njit(**JIT)
def accumulate_rank1_parameter(update_state, index, column, words, rows, signed, count, amplitude):
    """One parameter of `accumulate_rank1`."""
    total = np.int64(0)
    for k in range(count):
        plus = (words[rows[k], column >> 5] >> np.uint32(column & 31)) & np.uint32(1)
        total += np.int64(signed[k]) if plus else -np.int64(signed[k])
    update_state.cross[index] += total * amplitude
    update_state.energy[index] += np.int64(amplitude) * np.int64(amplitude) * np.int64(count)


@njit(**JIT)
def accumulate_codes(update_state, start, size, code, change):
    """Add a probe to the window that perturbed parameters by any codes."""
    change = np.int64(change)
    for i in range(start, start + size):
        value = np.int64(code[i])
        update_state.cross[i] += change * value
        update_state.energy[i] += value * value
