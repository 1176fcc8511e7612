"""From a board's description to what mgdhw knows of a device, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from mgdhw.device import Capability, DeviceInfo
from mgdhw.device.motion import Motion
from mgdhw.errors import ConfigError, LinkCorrupt
from mgdhw.report.console import printable
from mgdhw.timing import Timing
from mgdhw.topology import Topology
from mgdhw_drivers.protocol.claims import Limits, Number
from mgdhw_drivers.protocol.description import Description, Head
from mgdhw_drivers.protocol.numbers import COSTS, CapabilityBits, InputKind, ParameterKind
from mgdhw_drivers.protocol.parameters import ParameterForm

LONGEST_NAME = 1000
"""Characters of a model or an identity."""
INPUT_RANGE = "input_range"
"""Key of a board's details: what its inputs' converters take, [low, high], where values are sent to it."""


def info_of(description: Description, limits: Limits, version: dict[str, Any]) -> DeviceInfo:
    """What mgdhw knows of a board.

    Args:
        description: what it says of itself, which has been checked.
        limits: theta_min, theta_max, theta_lsb.
        version: what else to record.

    Raises:
        LinkCorrupt: its details are no JSON object.
    """
    head = description.head
    topology = Topology.dense(description.sizes) if description.sizes else Topology(head.n_parameters)
    try:
        details = json.loads(description.details or "{}")
    except (ValueError, RecursionError):
        raise LinkCorrupt("details of its description are not JSON") from None
    if not isinstance(details, dict):
        raise LinkCorrupt("details of its description are no JSON object")
    return DeviceInfo(
        model=printable(description.model)[:LONGEST_NAME],
        identity=printable(description.identity)[:LONGEST_NAME],
        topology=topology,
        theta_min=limits[0],
        theta_max=limits[1],
        theta_lsb=limits[2],
        n_inputs=head.n_inputs,
        n_outputs=head.n_outputs,
        cost_kind=COSTS[head.cost_kind],
        cost_lsb=head.cost_lsb,
        capabilities=capabilities_of(head.capabilities),
        exact_writes=bool(head.capabilities & CapabilityBits.EXACT_WRITES),
        details={**details, "link": version},
        timing=_timing(details.get("timing")),
        motion=_motion(head.max_slew, head.slew_interval, limits[2]),
        input_range=_input_range(head, details.get(INPUT_RANGE)),
    )


def capabilities_of(bits: int) -> Capability:
    """Capabilities from a description's bits. Every board takes blocks apart if it can measure."""
    found = Capability(0)
    for bit, capability in _CAPABILITIES.items():
        if bits & bit:
            found |= capability
    return found


def bits_of(capabilities: Capability) -> CapabilityBits:
    """A description's bits from capabilities."""
    bits = CapabilityBits(0)
    for bit, capability in _CAPABILITIES.items():
        if capability in capabilities:
            bits |= bit
    return bits


def form_of(kind: int, count: int, limits: Limits) -> ParameterForm:
    """How parameters are sent."""
    return ParameterForm(ParameterKind(kind), count, *limits)


def _motion(max_slew: float, interval: int, lsb: Number) -> Motion | None:
    """How slowly a board moves its parameters by itself: `max_slew` steps at once, every `interval` tenths of a ms."""
    return Motion(max_slew * np.asarray(lsb), interval * 1e-4) if max_slew else None


def _input_range(head: Head, said: Any) -> tuple[float, float] | None:
    """What a board's input converters take: codes say it themselves; of values it may say it in its details."""
    if head.input_kind != InputKind.VALUES:
        step = 2.0**-head.input_fraction
        return head.input_low * step, (head.input_high + 1) * step
    try:
        low, high = (float(end) for end in said)
    except (TypeError, ValueError, OverflowError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _timing(said: Any) -> Timing | None:
    """What a board says its work takes; None where it says nothing, or something that mgdhw doesn't know."""
    try:
        return Timing(**said) if isinstance(said, dict) else None
    except (TypeError, ConfigError):
        return None


_CAPABILITIES = {
    CapabilityBits.PROBE: Capability.PROBE,
    CapabilityBits.MEASURE: Capability.MEASURE,
    CapabilityBits.LEARN: Capability.LEARN,
    CapabilityBits.DETERMINISTIC: Capability.DETERMINISTIC,
}
