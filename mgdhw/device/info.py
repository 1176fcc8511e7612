"""What is known of a device once it is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any

from mgdhw.arrays import FloatArray
from mgdhw.device.motion import Motion
from mgdhw.timing import Timing
from mgdhw.topology import Topology


class Capability(Flag):
    """What a device can do beyond writing parameters and measuring."""

    PROBE = auto()
    """It has a code generator and takes a block whole."""
    MEASURE = auto()
    """It takes single measurements, so the host can make the codes."""
    LEARN = auto()
    """It runs the whole loop: a segment of probes and updates."""
    DETERMINISTIC = auto()
    """The same request gets the same answer: all levels of delegation agree to the bit."""
    AMPLITUDES = auto()
    """Its code generator takes an amplitude for each layer (`CodeSpec.amplitudes`), not only one for all."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device once it is open.

    Args:
        model: what it is, for people and for records.
        identity: what distinguishes this one from its like: a serial number, or a hash of a chip's definition.
        topology: number of parameters P, and layers where known.
        theta_min, theta_max: limits of the parameters, in the device's units; scalars or (P,).
        theta_lsb: smallest step of a parameter, which is also the unit of a perturbation code; scalar or (P,).
        n_inputs, n_outputs: sizes of one sample.
        cost_kind: what the cost is ("mse", "xent", ...).
        cost_lsb: one cost code in units of the cost; 1.0 where costs are floats already.
        capabilities: what it can do.
        exact_writes: whether a perturbation that is written as a parameter is the same as one that is added to it. It
            is not where writes are noisy, asymmetric or wear: there, host codes are physically another experiment.
        details: more that is worth recording (a chip's whole definition, a firmware version).
        timing: what its work takes in time and energy, where that is known.
        motion: how fast its parameters may move; None: as fast as they like.
        input_range: the least and the greatest input that its converters take, in natural units; what lies beyond is
            clipped. None where the device does not say, or takes any.
    """

    model: str
    identity: str
    topology: Topology
    theta_min: float | FloatArray
    theta_max: float | FloatArray
    theta_lsb: float | FloatArray
    n_inputs: int
    n_outputs: int
    cost_kind: str
    cost_lsb: float
    capabilities: Capability
    exact_writes: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    timing: Timing | None = None
    motion: Motion | None = None
    input_range: tuple[float, float] | None = None

    @property
    def n_parameters(self) -> int:
        """P, the length of θ."""
        return self.topology.n_parameters
