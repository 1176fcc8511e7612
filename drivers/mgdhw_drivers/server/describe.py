"""How a device describes itself over the link."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mgdhw.codes import FAMILIES as CODE_FAMILIES
from mgdhw.device import Capability, DeviceInfo
from mgdhw.device.motion import steps_at_once
from mgdhw.errors import ConfigError
from mgdhw_drivers.client.info import INPUT_RANGE, bits_of
from mgdhw_drivers.protocol.checks import MOST_SAMPLES_AT_ONCE
from mgdhw_drivers.protocol.description import Description, Head
from mgdhw_drivers.protocol.numbers import (
    COSTS,
    FAMILIES,
    FIRST_OPTIMIZER,
    OPTIMIZERS,
    Area,
    CapabilityBits,
    Feature,
    InputKind,
    ParameterKind,
)
from mgdhw_drivers.server.limits import Limits

MOST_SAMPLES = 1 << 20
"""Largest dataset: its order is a permutation that takes a tenth of a second to make."""
DATASET_BYTES = 1 << 29
"""Most that the inputs of a dataset, or its targets, take as the device is given them."""
ETA_BYTES = 1 << 20
FEATURES = (
    sum(1 << number for number, name in FAMILIES.items() if not CODE_FAMILIES[name].needs_layers)
    | sum(1 << FIRST_OPTIMIZER + number for number in OPTIMIZERS)
    | Feature.CONTINUOUS
    | Feature.ORIPOV
    | Feature.STOCHASTIC
    | Feature.WEIGHTED
)
WITH_LAYERS = Feature.GROUPS | sum(1 << number for number, name in FAMILIES.items() if CODE_FAMILIES[name].needs_layers)
"""Only where there are matrices."""


@dataclass(frozen=True, slots=True)
class Converters:
    """A chip's converters, as far as the wire cares: codes are shorter than values.

    Args:
        input_fraction: fraction bits of an input code.
        input_low, input_high: its range.
        input_kind: the number that holds it.
    """

    input_fraction: int
    input_low: int
    input_high: int
    input_kind: InputKind


def converters_of(info: DeviceInfo) -> Converters | None:
    """The converters of a device that says how many bits they have; None for others, which are sent values."""
    details: dict[str, Any] = info.details
    bits, bipolar, weight_bits = (details.get(key) for key in ("input_bits", "input_bipolar", "weight_bits"))
    if not (isinstance(bits, int) and isinstance(bipolar, bool) and isinstance(weight_bits, int)):
        return None
    if not (1 <= bits <= 16 and weight_bits <= 16):
        return None
    if bipolar:
        return Converters(bits - 1, -(1 << bits - 1), (1 << bits - 1) - 1, InputKind.I16)
    return Converters(bits, 0, (1 << bits) - 1, InputKind.U8 if bits <= 8 else InputKind.U16)


def describe(info: DeviceInfo, limits: Limits, *, floats: bool, cells: int) -> Description:
    """A device's description.

    Args:
        info: of the open device.
        limits: on how its parameters move. A device that learns by itself keeps none, so a board with limits doesn't.
        floats: whether its costs are floats.
        cells: bytes of the state of its cells; 0 if that is no more than the parameters that were set last.

    Raises:
        ConfigError: the link cannot carry it.
    """
    if info.cost_kind not in COSTS:
        raise ConfigError(f"{info.model} measures {info.cost_kind!r}; a link knows {', '.join(COSTS)}")
    converters = converters_of(info)
    has_cell_state = cells > 0
    # What nonideal cells hold lies between codes.
    coded = converters is not None and info.exact_writes and not has_cell_state
    kind = ParameterKind.CODES if coded else ParameterKind.VALUES
    per_parameter = any(np.ndim(value) for value in (info.theta_min, info.theta_max, info.theta_lsb))
    p = info.n_parameters
    sizes = info.topology.dense_sizes  # a link has no words for other layers: then nobody knows them there
    model, identity = info.model[:1000], info.identity[:1000]
    timing = {} if info.timing is None else {"timing": asdict(info.timing)}
    # Codes say by themselves what the converters take.
    inputs = {INPUT_RANGE: info.input_range} if converters is None and info.input_range is not None else {}
    details = json.dumps({**info.details, **timing, **inputs}, default=str, sort_keys=True)
    parameters = p * (2 if kind is ParameterKind.CODES else 8)
    areas = {
        Area.REQUESTED: parameters,
        Area.HELD: parameters,
        Area.SAMPLES: 4 * MOST_SAMPLES_AT_ONCE,
        **_dataset_sizes(info, converters),
    }
    capabilities = info.capabilities
    if limits.slew or limits.stress:
        capabilities &= ~Capability.LEARN
    if Capability.LEARN in capabilities:
        state = (Area.THETA, Area.SLOT1, Area.SLOT2, Area.CROSS, Area.ENERGY, Area.GRADIENT)
        areas |= dict.fromkeys(state, 8 * p)
        areas[Area.ETA] = ETA_BYTES
    if has_cell_state:
        areas[Area.CELLS] = cells
    if per_parameter:
        areas |= {Area.GUARD: 16 * p, Area.LIMITS: 24 * p}
    head = Head(
        capabilities=int(
            bits_of(capabilities)
            | (CapabilityBits.EXACT_WRITES if info.exact_writes else 0)
            | (CapabilityBits.SNAPSHOT if has_cell_state else 0)
        ),
        features=int(FEATURES | (WITH_LAYERS if sizes else 0)),
        n_parameters=p,
        n_inputs=info.n_inputs,
        n_outputs=info.n_outputs,
        n_sizes=len(sizes),
        theta_min=float(np.min(info.theta_min)),
        theta_max=float(np.max(info.theta_max)),
        theta_lsb=float(np.min(info.theta_lsb)),
        cost_lsb=info.cost_lsb,
        output_lsb=1.0,
        max_slew=_steps_at_once(info, limits),
        max_stress=limits.stress / float(np.min(info.theta_lsb)),
        input_low=0 if converters is None else converters.input_low,
        input_high=0 if converters is None else converters.input_high,
        input_fraction=0 if converters is None else converters.input_fraction,
        input_kind=InputKind.VALUES if converters is None else converters.input_kind,
        parameter_kind=kind,
        cost_kind=COSTS.index(info.cost_kind),
        float_costs=int(floats),
        per_parameter=int(per_parameter),
        model_size=len(model.encode()),
        identity_size=len(identity.encode()),
        slew_interval=_slew_interval(info),
        details_size=len(details.encode()),
        area_sizes=tuple(areas.get(area, 0) for area in Area),
    )
    size = len(Description(head, sizes, model, identity, details).pack())
    return Description(replace(head, area_sizes=(size, *head.area_sizes[1:])), sizes, model, identity, details)


def _dataset_sizes(info: DeviceInfo, converters: Converters | None) -> dict[Area, int]:
    """Bytes of INPUTS and TARGETS. Inputs of one byte stay as they are in a `Dataset`, all else becomes f64."""
    if converters is None:
        input_bytes, target_bytes, kept_bytes = 8, 8, 8
    else:
        input_bytes = 1 if converters.input_kind is InputKind.U8 else 2
        target_bytes, kept_bytes = 2, 1 if input_bytes == 1 else 8
    most = min(MOST_SAMPLES, DATASET_BYTES // (kept_bytes * info.n_inputs), DATASET_BYTES // (8 * info.n_outputs))
    return {Area.INPUTS: most * info.n_inputs * input_bytes, Area.TARGETS: most * info.n_outputs * target_bytes}


def _steps_at_once(info: DeviceInfo, limits: Limits) -> float:
    """By how many of its steps every parameter may move at once, as the limits and the device say; 0: any."""
    largest = [limits.slew] if limits.slew else []
    declared = [] if info.motion is None else [info.motion.max_step]
    return float(min((steps_at_once(step, info.theta_lsb).min() for step in [*largest, *declared]), default=0.0))


def _slew_interval(info: DeviceInfo) -> int:
    """Least time between two steps of its ramps, in 0.1 ms."""
    seconds = 0.0 if info.motion is None else float(np.max(info.motion.step_seconds))
    return min(0xFFFF, math.ceil(seconds / 1e-4))
