"""What is asked of a device, and what it answers.

A block names its codes and samples by reference, never by value: K probes cost O(1) bytes down and K numbers up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from numpy.typing import NDArray

from mgdhw.random.sample_order import SampleOrder


class Baseline(StrEnum):
    """How the unperturbed cost C₀ is had, which C̃ = C - C₀ needs."""

    HELD = "held"
    """Measured once, and again when θ or the batch of samples changes."""
    EVERY = "every"
    """Measured for every probe."""
    ANTITHETIC = "antithetic"
    """Not at all: C̃ = (C(θ + θ̃) - C(θ - θ̃)) / 2."""
    NONE = "none"
    """Not at all: a high-pass filter finds C̃ in the course of C (continuous mode)."""


class Target(StrEnum):
    """What a code is added to."""

    WEIGHTS = "weights"
    """To the parameters: weights and biases."""
    NODES = "nodes"
    """To the nodes' pre-activations: the same code for all samples of a batch."""


class Part(IntEnum):
    """Which of a probe's measurements one is. With the step it names any measurement of a run."""

    BASELINE = 0
    PLUS = 1
    MINUS = 2
    INFER = 3
    """No part of a probe: an evaluation for a learning curve."""


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """A family of perturbation codes, by reference: every θ̃ of a run follows from these few values.

    Args:
        family: a name in `mgdhw.codes.FAMILIES`.
        seed: 64-bit seed.
        amplitude: largest |θ̃ᵢ|, in code units (one code unit is one `theta_lsb` of the device), >= 1.
        groups: "all" perturbs every parameter in every probe; "layer" one layer at a time, in turn.
        parameters: the family's own parameters, in the order of its fields; those that are missing are its defaults.
        amplitudes: one for each layer where they differ, in code units; `amplitude` is then the largest. Only devices
            with `Capability.AMPLITUDES` can do this by themselves.
        target: what is perturbed. For `Target.NODES` read "node" for "parameter" above; one code unit is one
            `node_lsb` then, and only devices with `Capability.NODES` or `Capability.NODE_SUMS` can do it.
    """

    family: str = "random"
    seed: int = 0
    amplitude: int = 1
    groups: str = "all"
    parameters: tuple[float, ...] = ()
    amplitudes: tuple[int, ...] = ()
    target: Target = Target.WEIGHTS

    @property
    def parameter_swing(self) -> int:
        """Largest |θ̃ᵢ| of a parameter, in code units: 0 where nodes are perturbed, and parameters stay."""
        return self.amplitude if self.target is Target.WEIGHTS else 0


@dataclass(frozen=True, slots=True)
class HeldBaseline:
    """A baseline that may outlive its block: its value (sum over B samples) and the step it was measured at."""

    value: int | float
    step: int


@dataclass(frozen=True, slots=True)
class Block:
    """K consecutive probes at frozen θ.

    Args:
        first_step: step of the first probe; probe j of the block is step `first_step + j` of the run.
        n_probes: K.
        codes: which perturbations.
        order: which samples.
        baseline: how C₀ is had.
        held: a baseline measured earlier at this θ. A device uses it as long as the batch is the one of its step.
    """

    first_step: int
    n_probes: int
    codes: CodeSpec
    order: SampleOrder
    baseline: Baseline = Baseline.HELD
    held: HeldBaseline | None = None

    def first_batch(self) -> int:
        """Batch that the block's first probe sees."""
        return self.order.batch_of(self.first_step)

    def n_batches(self) -> int:
        """Batches that the block's probes see."""
        return self.order.batch_of(self.first_step + self.n_probes - 1) - self.first_batch() + 1

    def valid_held(self) -> HeldBaseline | None:
        """The carried baseline, if it still holds for the block's first probe."""
        if self.baseline is not Baseline.HELD or self.held is None:
            return None
        if self.order.batch_of(self.held.step) == self.first_batch():
            return self.held
        return None

    def baseline_steps(self) -> list[int]:
        """Steps at which C₀ has to be measured, in order."""
        if self.baseline is Baseline.EVERY:
            return list(range(self.first_step, self.first_step + self.n_probes))
        if self.baseline is not Baseline.HELD:
            return []
        first = self.first_batch()
        batches = range(first if self.valid_held() is None else first + 1, first + self.n_batches())
        return [max(self.first_step, batch * self.order.tau_x) for batch in batches]

    def evaluations(self) -> int:
        """Applications of B samples that the block takes: probes and baselines."""
        match self.baseline:
            case Baseline.HELD:
                return self.n_probes + self.n_batches() - (0 if self.valid_held() is None else 1)
            case Baseline.NONE:
                return self.n_probes
            case _:
                return 2 * self.n_probes


@dataclass(frozen=True, slots=True)
class NodeCosts:
    """Costs sample by sample, and what the layers took in: of which the host makes the sums of node perturbation.

    Args:
        perturbed: (K, B) cost of each sample under θ̃; integers on a device with a cost converter.
        reference: (K, B) what each is compared with, sample by sample.
        inputs: for each layer (batches, B, positions, n_in): what each position takes in at the unperturbed θ, in the
            order of a row of its weight matrix; once for each batch that the block's probes see. A dense layer has one
            position. Integers (codes of `DeviceInfo.signal_lsb`) or floats.
    """

    perturbed: NDArray[Any]
    reference: NDArray[Any]
    inputs: tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """A device's answer to a block.

    Costs are sums over the B samples of a probe: integers (cost codes) on a device with a cost converter, else
    floats. `DeviceInfo.cost_lsb` turns them into the cost's units.

    Args:
        perturbed: (K,) costs C(θ + θ̃).
        reference: (K,) what each is compared with: C₀ in force, or C(θ - θ̃), or zeros for `Baseline.NONE`.
        evaluations: applications of B samples that the block took.
        held: the baseline in force at the block's end, for the block that continues this one.
        nodes: of a block that perturbs nodes, from a device with `Capability.NODES`.
        node_sums: (P,) of such a block, from a device with `Capability.NODE_SUMS`: Σ C̃ θ̃ x, see
            `mgdhw.learning.nodes`; exact integers where costs and inputs are.
    """

    perturbed: NDArray[Any]
    reference: NDArray[Any]
    evaluations: int
    held: HeldBaseline | None = None
    nodes: NodeCosts | None = None
    node_sums: NDArray[Any] | None = None
