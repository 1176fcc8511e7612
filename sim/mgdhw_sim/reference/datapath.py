"""The chip, bit by bit: `docs/chip.md` in executable form, vectorised over probes × samples.

Everything here is an integer. Matrix products go through floating-point BLAS only where a bound proves that every
partial sum is exact, so they too are integers. Faster engines and the C core are compared with this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw_sim.points import TABLE
from mgdhw_sim.reference.tables import (
    COST_FINE_BITS,
    EXP_BITS,
    EXP_FRACTION_BITS,
    LOG_SEGMENT_BITS,
    MANTISSA_BITS,
    activation_table,
    cost_table,
    exp_table,
    log_table,
    points_table,
)
from mgdhw_sim.spec import TARGET_FRACTION_BITS, ChipSpec

CodeArray = NDArray[np.signedinteger[Any]] | NDArray[np.unsignedinteger[Any]]
"""Codes as they are kept: integers of whatever width holds them."""

PART = 1 << 16
SMALLEST_SWING_BITS = -6
"""Of an output ADC, as a power of two."""
EXACT_FLOAT32_BITS = 24
EXACT_FLOAT64_BITS = 53


# --- rounding and saturation -----------------------------------------------------------------------------------------


def shift_round(value: IntArray, bits: int) -> IntArray:
    """value / 2**bits, rounded half up; exact multiplication for negative `bits`."""
    if bits <= 0:
        return value << -bits
    return (value + (1 << (bits - 1))) >> bits


def saturate(value: IntArray, bits: int) -> IntArray:
    """Clip to the range of a two's-complement word."""
    return np.clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def convert(value: FloatArray, fraction_bits: int, low: int, high: int) -> IntArray:
    """The host's side of a converter: code = floor(value · 2**fraction_bits + 1/2), clipped."""
    code = np.multiply(value, 2.0**fraction_bits)
    code = np.floor(code + 0.5, out=code if code.ndim else None)
    return np.clip(code, low, high, out=code if code.ndim else None).astype(np.int64)


# --- converters ------------------------------------------------------------------------------------------------------


def parameter_codes(spec: ChipSpec, theta: FloatArray) -> IntArray:
    """Parameter DAC: (P,) codes that the chip holds for θ."""
    half = 1 << (spec.weight_bits - 1)
    return convert(theta, spec.weight_fraction_bits, -half, half - 1)


def stored_codes(spec: ChipSpec, theta: FloatArray) -> NDArray[np.int16]:
    """`parameter_codes` as a chip keeps them, made a part at a time: large chips are tight on memory."""
    stored = np.empty(theta.size, dtype=np.int16)
    for start in range(0, theta.size, PART):
        stored[start : start + PART] = parameter_codes(spec, theta[start : start + PART])
    return stored


def input_codes(spec: ChipSpec, values: FloatArray) -> IntArray:
    """Input DAC: codes of values in [0, 1), or in [-1, 1) if it is bipolar."""
    low = -(1 << (spec.input_bits - 1)) if spec.input_bipolar else 0
    return convert(values, spec.input_fraction_bits, low, low + (1 << spec.input_bits) - 1)


def target_codes(values: FloatArray) -> IntArray:
    """Target DAC: 12 fraction bits, [-8, 8)."""
    return convert(values, TARGET_FRACTION_BITS, -(1 << 15), (1 << 15) - 1)


@dataclass(frozen=True, slots=True)
class OutputConverter:
    """Range and step of an output ADC: `fraction_bits` of a code, codes `low` ... `high`."""

    fraction_bits: int
    low: int
    high: int


def output_converter(spec: ChipSpec) -> OutputConverter:
    """The output ADC spans what the output activation can swing: [0, 1), [-1, 1), [0, range) or [-range, range).

    For a table, `range` is the smallest power of two that its curve does not exceed, but 2**-6 at least.
    """
    bipolar = spec.output_activation in ("tanh", "identity")
    unit_swing = spec.output_activation in ("logistic", "tanh")
    range_bits = 0 if unit_swing else spec.signal_bits - 1 - spec.signal_fraction_bits
    if spec.output_activation == TABLE:
        curve = curve_of(spec, last=True)
        bipolar = bool(curve.min() < 0)
        largest = max(1, int(np.abs(curve).max()))
        range_bits = max(SMALLEST_SWING_BITS, (largest - 1).bit_length() - spec.signal_fraction_bits)
    low = -(1 << (spec.output_bits - 1)) if bipolar else 0
    fraction_bits = spec.output_bits - range_bits - (1 if bipolar else 0)
    return OutputConverter(fraction_bits, low, low + (1 << spec.output_bits) - 1)


def output_codes(spec: ChipSpec, outputs: IntArray) -> IntArray:
    """Output ADC: codes of the last layer's signals."""
    adc = output_converter(spec)
    return np.clip(shift_round(outputs, spec.signal_fraction_bits - adc.fraction_bits), adc.low, adc.high)


# --- the network -----------------------------------------------------------------------------------------------------


def exact_product(x: CodeArray, w: CodeArray, bound: int) -> IntArray:
    """Integer matrix product x · wᵀ for x (..., B, n_in) and w (..., n_out, n_in).

    Args:
        x, w: integers.
        bound: on Σᵢ |wⱼᵢ| |xᵢ|, and so on every partial sum, in whatever order BLAS adds.
    """
    kind: type[np.floating] | type[np.int64]
    if bound < 1 << EXACT_FLOAT32_BITS:
        kind = np.float32
    elif bound < 1 << EXACT_FLOAT64_BITS:
        kind = np.float64
    else:
        kind = np.int64
    # Whole numbers are multiplied, so nothing can be invalid; some BLAS kernels compute with what lies beside a matrix,
    # too, and raise the processor's flags for that.
    with np.errstate(all="ignore"):
        product = np.matmul(x.astype(kind, copy=False), np.swapaxes(w.astype(kind, copy=False), -1, -2))
    return np.asarray(product, dtype=np.int64)


def preactivations(spec: ChipSpec, layer: int, x: CodeArray, weights: CodeArray, biases: CodeArray) -> IntArray:
    """Crossbar and integrator: Σᵢ wⱼᵢ xᵢ + bⱼ · 1, rounded to a signal and saturated.

    Args:
        spec: the chip.
        layer: number of the layer, from 0.
        x: (..., B, n_in) input codes (layer 0) or signals.
        weights, biases: (..., n_out, n_in) and (..., n_out) parameter codes, perturbation included.

    Returns:
        (..., B, n_out) signals.
    """
    x_fraction = spec.input_fraction_bits if layer == 0 else spec.signal_fraction_bits
    bound = int(np.abs(x, dtype=np.int64).sum(axis=-1).max()) * max(int(weights.max()), -int(weights.min()))
    total = exact_product(x, weights, bound) + (biases.astype(np.int64) << x_fraction)[..., None, :]
    excess = x_fraction + spec.weight_fraction_bits - spec.signal_fraction_bits
    return saturate(shift_round(total, excess), spec.signal_bits)


def curve_of(spec: ChipSpec, *, last: bool) -> IntArray:
    """Activation curve of the last layer, or of the hidden ones, at the borders of its segments, as signals."""
    widths = spec.signal_bits, spec.signal_fraction_bits, spec.lut_bits
    name, activation = ("output_activation", spec.output_activation) if last else ("activation", spec.activation)
    return points_table(spec.points()[name], *widths) if activation == TABLE else activation_table(activation, *widths)


def activate(spec: ChipSpec, z: IntArray, *, last: bool) -> IntArray:
    """Neuron: the activation curve, interpolated linearly between the borders of its segment."""
    return interpolate(curve_of(spec, last=last), z + (1 << (spec.signal_bits - 1)), spec.signal_bits - spec.lut_bits)


def interpolate(table: IntArray, position: IntArray, segment_bits: int) -> IntArray:
    """Value of a table at a position whose upper bits number the segment and lower bits lie within it."""
    segment = position >> segment_bits
    within = position & ((1 << segment_bits) - 1)
    left = table[segment]
    return np.asarray(left + shift_round((table[segment + 1] - left) * within, segment_bits))


def outputs(spec: ChipSpec, codes: CodeArray, x: CodeArray) -> IntArray:
    """The whole network.

    Args:
        spec: the chip.
        codes: (P,) or (K, P) parameter codes, perturbation included.
        x: (B, n_in) input codes, or (K, B, n_in) with one batch for each of K parameter sets.

    Returns:
        (B, n_out) or (K, B, n_out) signals of the last layer.
    """
    signal: CodeArray = x
    last = len(spec.layers) - 2
    for number, layer in enumerate(spec.topology.layers):
        weights = codes[..., layer.weights].reshape(*codes.shape[:-1], layer.n_out, layer.n_in)
        z = preactivations(spec, number, signal, weights, codes[..., layer.biases])
        signal = activate(spec, z, last=number == last)
    return np.asarray(signal, dtype=np.int64)


# --- the cost unit ---------------------------------------------------------------------------------------------------


def cost_codes(spec: ChipSpec, signals: IntArray, targets: IntArray) -> IntArray:
    """Cost unit and its ADC.

    Args:
        spec: the chip.
        signals: (..., B, n_out) signals of the last layer.
        targets: (..., B, n_out) target codes.

    Returns:
        (..., B) cost codes, one for each sample.
    """
    return np.clip(COST_UNITS[spec.cost](spec, signals, targets), 0, (1 << spec.cost_bits) - 1)


def errors(spec: ChipSpec, signals: IntArray, targets: IntArray) -> IntArray:
    """y - t, (..., B, n_out), as signals."""
    return signals - shift_round(targets, TARGET_FRACTION_BITS - spec.signal_fraction_bits)


def squared_error(spec: ChipSpec, signals: IntArray, targets: IntArray) -> IntArray:
    """Mean over the outputs of (y - t)², in cost codes, rounded half up."""
    error = errors(spec, signals, targets)
    divisor = signals.shape[-1] << (2 * spec.signal_fraction_bits - spec.cost_fraction_bits)
    return np.asarray(((error * error).sum(axis=-1) + (divisor >> 1)) // divisor)


def cross_entropy(spec: ChipSpec, signals: IntArray, targets: IntArray) -> IntArray:
    """log Σ exp yⱼ - Σ tⱼ yⱼ, in cost codes, rounded half up.

    With m the largest signal, exp(yⱼ - m) comes from a table; their sum s is normalised to s = 2**k (1 + f), and
    log s = k ln 2 + ln(1 + f) comes from another.
    """
    fraction_bits = spec.signal_fraction_bits + TARGET_FRACTION_BITS
    top = signals.max(axis=-1)
    exponentials = interpolate(
        exp_table(spec.signal_bits, spec.signal_fraction_bits), top[..., None] - signals, spec.signal_bits - EXP_BITS
    )
    total = exponentials.sum(axis=-1)
    exponent = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1  # floor(log2), exact below 2**53
    up = MANTISSA_BITS - exponent
    mantissa = ((total << np.maximum(up, 0)) >> np.maximum(-up, 0)) - (1 << MANTISSA_BITS)
    table = log_table(fraction_bits)
    logarithm = (exponent - EXP_FRACTION_BITS) * table[-1] + interpolate(table, mantissa, LOG_SEGMENT_BITS)
    loss = (top << TARGET_FRACTION_BITS) + logarithm - (targets * signals).sum(axis=-1)
    return shift_round(loss, fraction_bits - spec.cost_fraction_bits)


def tabulated(spec: ChipSpec, signals: IntArray, targets: IntArray) -> IntArray:
    """Sum over the outputs of the table's cost of y - t, in cost codes, rounded half up."""
    table = cost_units_table(spec)
    position = saturate(errors(spec, signals, targets), spec.signal_bits + 1) + (1 << spec.signal_bits)
    return shift_round(interpolate(table, position, spec.signal_bits - spec.lut_bits).sum(axis=-1), COST_FINE_BITS)


def cost_units_table(spec: ChipSpec) -> IntArray:
    """What the cost unit of a chip with a table makes of an error at the borders of its segments."""
    widths = spec.signal_bits, spec.signal_fraction_bits, spec.lut_bits
    return cost_table(spec.points()["cost"], *widths, spec.cost_bits, spec.cost_fraction_bits)


COST_UNITS: dict[str, Callable[[ChipSpec, IntArray, IntArray], IntArray]] = {
    "mse": squared_error,
    "xent": cross_entropy,
    TABLE: tabulated,
}
