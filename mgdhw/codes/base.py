"""What a family of perturbation codes is: a pure function of (seed, step, index)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import CodeSpec

CodeArray = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight matrix with its bias column, as a rank-1 code sees it: n_out row lines, n_in + 1 column lines.

    Args:
        start: its first parameter, counted from the group's first.
        n_out, n_in: its shape without the bias column.
        first_line: number of its first line among all of the network's.
    """

    start: int
    n_out: int
    n_in: int
    first_line: int


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that are perturbed together: a contiguous part of θ.

    Args:
        start: its first parameter in θ.
        size: its number of parameters, n.
        matrices: the weight matrices that it consists of; empty where the structure is unknown.
    """

    start: int
    size: int
    matrices: tuple[Matrix, ...] = ()


@dataclass(frozen=True)
class CodeFamily(ABC):
    """One family, with its own parameters as dataclass fields (`mgdhw.variants.number`).

    A new one is one file here with one of these: experiment files, messages on the link and the conformance suite read
    what it declares. Boards that are to make its codes by themselves need a function in `firmware/core/codes.c`, too.

    Steps here are the group's own: 0, 1, 2, ... over the probes in which the group is perturbed.
    """

    name: ClassVar[str]

    link_number: ClassVar[int | None] = None
    """Its number on the link, 0 ... 7, for a family of at most one parameter; None if boards do not know it: then the
    host sends every perturbation (run.level = "host-codes")."""

    two_level: ClassVar[bool] = False
    """True if every value is +amplitude or -amplitude, so that the code's energy needs no counting."""

    needs_layers: ClassVar[bool] = False
    """Whether it perturbs only networks whose weight matrices are known."""

    least_amplitude: ClassVar[int] = 1
    """Fewest code units that make good codes: what Δ is at least where an experiment does not choose it."""

    @abstractmethod
    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        """θ̃ in code units.

        Args:
            spec: seed, amplitude and other parameters.
            group: n parameters.
            steps: (K,) steps of the group.

        Returns:
            (K, n) integers, |value| <= amplitude.
        """

    def mean_square(self, spec: CodeSpec, group: Group) -> float:
        """Long-run mean of θ̃ᵢ² in squared code units: what continuous mode divides by. Here: of two-level codes."""
        return float(spec.amplitude**2)

    def gain(self, group: Group, keep: float, spacing: int) -> FloatArray:
        """What of a parameter's gradient comes through the high-pass filter of continuous mode.

        That is ⟨(Hθ̃ᵢ) θ̃ᵢ⟩ / ⟨θ̃ᵢ²⟩ for the filter H: yₖ = a (yₖ₋₁ + xₖ - xₖ₋₁), in the long run and over all seeds. Its
        first weight is a, and those of what came m probes before are -(1 - a) aᵐ. Here: a, for codes whose values at
        different steps have nothing to do with each other.

        Args:
            group: n parameters.
            keep: a = τ / (τ + 1) of a time constant τ in probes.
            spacing: probes from one step of the group to its next.

        Returns:
            (n,) gains, from + - * / alone, so that they are the same everywhere.
        """
        return np.full(group.size, keep)

    def mixed_up(self, groups: int) -> str | None:
        """Why codes behind a high-pass filter are not orthogonal, and what to use instead; None if they are.

        Args:
            groups: number of groups that take turns.
        """
        return None

    def window(self, group: Group) -> int:
        """Steps after which the codes of the group's parameters are orthogonal to each other (1: only in the mean)."""
        return 1

    def check(self, spec: CodeSpec, group: Group) -> None:
        """Raise ConfigError if the family cannot perturb such a group."""
        return


def signs(bits: NDArray[np.uint8], amplitude: int) -> CodeArray:
    """Bit 1 is +amplitude, bit 0 is -amplitude."""
    codes = bits.astype(np.int16)
    codes *= np.int16(2)
    codes -= np.int16(1)
    codes *= np.int16(amplitude)
    return codes
