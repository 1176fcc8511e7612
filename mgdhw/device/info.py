"""Description of an open device."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any

from mgdhw.arrays import FloatArray
from mgdhw.device.acquisition import Acquisition
from mgdhw.device.linked_limits import LinkedLimit
from mgdhw.device.motion import Motion
from mgdhw.timing import Timing
from mgdhw.topology import Topology


class Capability(Flag):
    """What a device can do beyond writing parameters and measuring."""

    PROBE = auto()
    """It has a code generator and runs whole blocks."""
    MEASURE = auto()
    """It makes single measurements, so that the host can generate the codes."""
    LEARN = auto()
    """It runs whole segments of probes and updates."""
    DETERMINISTIC = auto()
    """Equal requests give equal results: all levels agree bit for bit."""
    AMPLITUDES = auto()
    """Its code generator supports an amplitude for each layer (`CodeSpec.amplitudes`)."""
    REPEATABLE = auto()
    """Not deterministic, but equal requests give equal results on the same machine with the same software: it computes
    in floating point. Levels, cuts and other machines agree up to rounding."""
    NODES = auto()
    """It perturbs nodes, and answers costs sample by sample and what its layers take in (`Costs.nodes`)."""
    NODE_SUMS = auto()
    """It perturbs nodes, and makes the sums by itself (`Costs.node_sums`): P numbers instead of its activations."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device once it is open.

    Args:
        model: what it is, for people and for records.
        identity: identifies the individual device: a serial number, or a hash of a chip's definition.
        topology: number of parameters P, and layers where known.
        theta_min, theta_max: limits of the parameters, in the device's units; scalars or (P,).
        theta_lsb: smallest step of a parameter, which is also the unit of a perturbation code; scalar or (P,).
        n_inputs, n_outputs: sizes of one sample.
        cost_kind: what the cost is ("mse", "xent", ...).
        cost_lsb: one cost code in units of the cost; 1.0 if costs are floats.
        capabilities: what it can do.
        exact_writes: whether writing θ + θ̃ is equivalent to adding a perturbation θ̃. It is not if writes are noisy,
            asymmetric or cause wear: then host codes are a physically different experiment.
        details: further information worth recording (a chip's definition, a firmware version).
        timing: time and energy of its operations, if known.
        motion: how fast its parameters may move; None: no limit.
        input_range: range of its input converters, in natural units; inputs beyond it are clipped. None if unknown or
            unlimited.
        linked_limits: limits on several parameters together, which θ + θ̃ has to keep, too
            (`mgdhw.device.linked_limits`).
        node_lsb: the unit of a code at the nodes, in units of a pre-activation; None if nodes cannot be perturbed.
        signal_lsb: one code of what a layer takes in, in natural units: of all layers, or one for each; 1.0 for floats.
        acquisition: how a measurement is taken (settling, averaging, further overload values); None: at once, from one
            reading.
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
    linked_limits: tuple[LinkedLimit, ...] = ()
    acquisition: Acquisition | None = None
    node_lsb: float | None = None
    signal_lsb: float | tuple[float, ...] = 1.0

    @property
    def perturbs_nodes(self) -> bool:
        """Whether its nodes can be perturbed."""
        return bool(self.capabilities & (Capability.NODES | Capability.NODE_SUMS)) and self.node_lsb is not None

    @property
    def n_parameters(self) -> int:
        """P, the length of θ."""
        return self.topology.n_parameters
