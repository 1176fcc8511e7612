"""What a description claims, looked at before anything is made of it: every field that a host relies on.

A number out of its range is named with its field, so that whoever writes firmware sees which one to correct.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.description import Description, Head
from mgdhw_drivers.protocol.numbers import (
    COSTS,
    FIRST_OPTIMIZER,
    OPTIMIZER_NUMBERS,
    Area,
    CapabilityBits,
    Feature,
    InputKind,
    ParameterKind,
)
from mgdhw_drivers.protocol.segments import SLOT_AREAS, slots_of

Number = float | NDArray[np.float64]
Limits = tuple[Number, Number, Number]
"""theta_min, theta_max, theta_lsb: scalars, or (P,)."""

MOST_PARAMETERS = 1 << 26
"""That a host takes, whatever a board claims: each of its arrays has eight bytes for each of them."""
MOST_FRACTION_BITS = 32
CODES = (-(1 << 15), (1 << 15) - 1)
"""Range of a parameter's code on the wire."""

_INPUT_BYTES = {InputKind.U8: 1, InputKind.U16: 2, InputKind.I16: 2, InputKind.VALUES: 1}
_INPUT_RANGES = {InputKind.U8: (0, 0xFF), InputKind.U16: (0, 0xFFFF), InputKind.I16: CODES}


def check_description(description: Description) -> None:
    """Raise LinkCorrupt where a field makes no sense, with its name. Limits of single parameters are another area."""
    head = description.head
    _check_kinds(head)
    _check_sizes(description)
    _check_numbers(head)
    _check_inputs(head)
    _check_areas(head)


def limits_of(description: Description, raw: bytes | None) -> Limits:
    """Limits and step of the parameters.

    Args:
        description: of the board.
        raw: area LIMITS, where each parameter has its own.

    Raises:
        LinkCorrupt: they make no sense.
    """
    head = description.head
    if raw is None:
        return head.theta_min, head.theta_max, head.theta_lsb
    low, high, lsb = np.frombuffer(raw, "<f8").reshape(3, head.n_parameters).astype(np.float64)
    good = np.isfinite(low) & np.isfinite(high) & np.isfinite(lsb) & (lsb > 0) & (low < high)
    if not good.all():
        i = int(np.argmin(good))
        raise LinkCorrupt(
            f"parameter {i} has limits {low[i]:g} ... {high[i]:g} and step {lsb[i]:g} in area LIMITS; expected a lower"
            " and an upper one, and a step above 0"
        )
    if head.parameter_kind == ParameterKind.CODES:
        _check_codes(float((low / lsb).min()), float((high / lsb).max()))
    return low, high, lsb


def _check_kinds(head: Head) -> None:
    _within("input_kind", head.input_kind, 0, InputKind.VALUES)
    _within("parameter_kind", head.parameter_kind, 0, max(ParameterKind))
    _within("cost_kind", head.cost_kind, 0, len(COSTS) - 1)
    _within("float_costs", head.float_costs, 0, 1)
    _within("per_parameter", head.per_parameter, 0, 1)


def _check_sizes(description: Description) -> None:
    head, sizes = description.head, description.sizes
    _within("n_parameters", head.n_parameters, 1, MOST_PARAMETERS)
    for name in ("n_inputs", "n_outputs"):
        _within(name, getattr(head, name), 1, MOST_PARAMETERS)
    if not sizes:
        return
    layers = "-".join(map(str, sizes[:8]))
    if len(sizes) < 2 or min(sizes) < 1:
        raise LinkCorrupt(f"sizes of its description are {layers}; expected two or more, none of them 0")
    if (sizes[0], sizes[-1]) != (head.n_inputs, head.n_outputs):
        raise LinkCorrupt(
            f"sizes of its description are {layers}, but n_inputs is {head.n_inputs} and n_outputs {head.n_outputs}"
        )
    parameters = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(sizes))
    if parameters != head.n_parameters:
        raise LinkCorrupt(
            f"n_parameters of its description is {head.n_parameters:,}, but layers of {layers} have {parameters:,}"
        )


def _check_numbers(head: Head) -> None:
    for name in ("cost_lsb", "output_lsb"):
        _positive(name, getattr(head, name))
    for name in ("max_slew", "max_stress"):
        value = getattr(head, name)
        if not (math.isfinite(value) and value >= 0):
            raise LinkCorrupt(f"{name} of its description is {value:g}; expected a number of 0 or more")
    if head.per_parameter:
        return
    _positive("theta_lsb", head.theta_lsb)
    if not (math.isfinite(head.theta_min) and math.isfinite(head.theta_max) and head.theta_min < head.theta_max):
        raise LinkCorrupt(
            f"theta_min of its description is {head.theta_min:g} and theta_max {head.theta_max:g}; expected the one"
            " below the other"
        )
    if head.parameter_kind == ParameterKind.CODES:
        _check_codes(head.theta_min / head.theta_lsb, head.theta_max / head.theta_lsb)


def _check_codes(low: float, high: float) -> None:
    if not (low > CODES[0] - 0.5 and high < CODES[1] + 0.5):
        raise LinkCorrupt(
            f"theta_min ... theta_max of its description are {low:.6g} ... {high:.6g} times theta_lsb; a code has 16"
            " bits"
        )


def _check_inputs(head: Head) -> None:
    if head.input_kind == InputKind.VALUES:
        return
    low, high = _INPUT_RANGES[InputKind(head.input_kind)]
    if not low <= head.input_low < head.input_high <= high:
        raise LinkCorrupt(
            f"input_low ... input_high of its description are {head.input_low} ... {head.input_high}; expected two"
            f" numbers within {low} ... {high}, the lower one first"
        )
    _within("input_fraction", head.input_fraction, -MOST_FRACTION_BITS, MOST_FRACTION_BITS)


def _check_areas(head: Head) -> None:
    p = head.n_parameters
    parameters = p * (2 if head.parameter_kind == ParameterKind.CODES else 8)
    coded = head.input_kind != InputKind.VALUES
    needed = {
        Area.REQUESTED: parameters,
        Area.HELD: parameters,
        Area.SAMPLES: 4,
        Area.INPUTS: head.n_inputs * _INPUT_BYTES[InputKind(head.input_kind)],
        Area.TARGETS: head.n_outputs * (2 if coded else 8),
    }
    if head.capabilities & CapabilityBits.LEARN:
        needed |= dict.fromkeys((Area.THETA, Area.CROSS, Area.ENERGY), 8 * p)
        if head.features & Feature.CONTINUOUS:
            needed[Area.GRADIENT] = 8 * p
        for slot in SLOT_AREAS:
            names = [name for name in OPTIMIZER_NUMBERS if slot in slots_of(name).values()]
            if any(head.features >> FIRST_OPTIMIZER + OPTIMIZER_NUMBERS[name] & 1 for name in names):
                needed[slot] = 8 * p
    if head.per_parameter:
        needed[Area.LIMITS] = 24 * p
        if head.capabilities & CapabilityBits.LEARN:
            needed[Area.GUARD] = 16 * p
    for area, size in needed.items():
        if head.area_sizes[area] < size:
            raise LinkCorrupt(
                f"area {area.name} has {head.area_sizes[area]:,} bytes in its description; its {p:,} parameters,"
                f" {head.n_inputs:,} inputs and {head.n_outputs:,} outputs need {size:,}"
            )


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise LinkCorrupt(f"{name} of its description is {value:g}; expected a number above 0")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise LinkCorrupt(f"{name} of its description is {value:,}; expected {low:,} ... {high:,}")
