"""A rack as the training code sees it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mgdhw.device import Acquisition, Capability, DeviceInfo, DifferenceLimit, LinkedLimit, Motion, PowerLimit
from mgdhw_drivers.bench.channel_values import ParameterValues
from mgdhw_drivers.bench.rack import Rack


def info_of(rack: Rack, path: Path, parameters: ParameterValues, identities: dict[str, str]) -> DeviceInfo:
    """The description of an open rack.

    Args:
        rack: the rack.
        path: of its file.
        parameters: of the rack.
        identities: answers to *IDN?, by instrument.
    """
    lines = "\n".join(f"{name} {identity}" for name, identity in identities.items())
    timed = rack.blocks is not None
    return DeviceInfo(
        model=rack.name or path.stem,
        identity=hashlib.sha256(lines.encode()).hexdigest()[:16],
        topology=rack.network.topology(rack.n_parameters),
        theta_min=parameters.low,
        theta_max=parameters.high,
        theta_lsb=parameters.lsb,
        n_inputs=rack.n_inputs,
        n_outputs=rack.n_outputs,
        cost_kind=rack.cost.kind,
        cost_lsb=1.0,
        capabilities=Capability.MEASURE | (Capability.PROBE | Capability.AMPLITUDES if timed else Capability(0)),
        details={"rack": str(path), "instruments": identities},
        motion=Motion(parameters.max_step, parameters.step_time, parameters.safe),
        input_range=_input_range(rack),
        acquisition=Acquisition(
            settling_seconds=max(group.settle for group in rack.parameters),
            readings=rack.measurement.readings,
            dead_seconds=rack.measurement.dead_time,
        ),
        linked_limits=linked_limits(rack),
    )


def linked_limits(rack: Rack) -> tuple[LinkedLimit, ...]:
    """Limits on several parameters together."""
    found: list[LinkedLimit] = []
    for number, limit in enumerate(rack.limits):
        indices: list[int] = []
        at = 0
        for group in rack.parameters:
            count = len(rack.places(group))
            if not limit.parameters or group.name in limit.parameters:
                indices += range(at, at + count)
            at += count
        name = limit.name or f"limits[{number}]"
        if limit.kind == "power":
            found.append(PowerLimit(name, limit.max, 1.0 / (limit.resistance or 1.0), tuple(indices)))
        else:
            found.append(DifferenceLimit.of_neighbors(name, limit.max, indices))
    return tuple(found)


def _input_range(rack: Rack) -> tuple[float, float] | None:
    """The values that every input can apply."""
    ends = [sorted((level - group.low) / (group.high - group.low) for level in group.limits) for group in rack.inputs]
    if not ends:
        return None
    return float(np.max([low for low, _ in ends])), float(np.min([high for _, high in ends]))
