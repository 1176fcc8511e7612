"""Limits on several parameters together, on θ + θ̃: the sum of their powers, the difference of neighbours."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from mgdhw.arrays import FloatArray, IntArray

TOLERANCE = 1e-9
"""Relative tolerance at a limit, for floating-point rounding."""
INSIDE = 1e-6
"""How far inside a limit θ is moved, relative to it: several limits are met in fewer rounds."""
ROUNDS = 100
"""Rounds in which limits that share parameters are met one after another."""
HALVINGS = 52
"""After which nothing is left of a change."""


class LinkedLimit(ABC):
    """A limit on several parameters together. The set of θ that it allows is convex.

    All sums are exact to the last bit (`math.fsum`), since they decide where training goes.
    """

    name: str

    @abstractmethod
    def problem(self, n_parameters: int) -> str | None:
        """What is wrong with the declaration itself on a device with P parameters; None if nothing is."""

    @abstractmethod
    def violation(self, theta: FloatArray, room: float | FloatArray = 0.0) -> str | None:
        """How the limit is violated in the worst case within θ ± room; None if it never is.

        Args:
            theta: (P,), in the device's units.
            room: how far each parameter may be from θ, such as the amplitude of its perturbation; scalar or (P,).

        Returns:
            The first violation: indices, values and the limit, as text.
        """

    @abstractmethod
    def pulled_in(self, theta: FloatArray, room: float | FloatArray) -> FloatArray:
        """(P,) allowed parameters close to θ; θ itself if it is allowed. Other parameters are unchanged."""


@dataclass(frozen=True)
class PowerLimit(LinkedLimit):
    """The sum of gᵢ·θᵢ² over some parameters is at most `maximum`: the power of heaters or of a supply.

    Args:
        name: names it in messages.
        maximum: in the unit of the weights times that of θ squared.
        weights: gᵢ ≥ 0, such as 1/R of a heater driven by a voltage; one for all, or one for each index.
        indices: of the parameters; None: all.
    """

    name: str
    maximum: float
    weights: float | tuple[float, ...] = 1.0
    indices: tuple[int, ...] | None = None

    @cached_property
    def _weights(self) -> FloatArray:
        return np.asarray(self.weights, dtype=np.float64)

    @cached_property
    def _indices(self) -> slice | IntArray:
        return slice(None) if self.indices is None else np.array(self.indices, dtype=np.int64)

    def problem(self, n_parameters: int) -> str | None:
        count = n_parameters if self.indices is None else len(self.indices)
        wrong = _wrong_indices(self.indices or (), n_parameters)
        if wrong is not None or not count:
            return wrong or "has no parameters"
        if self._weights.shape not in ((), (count,)):
            return f"has {self._weights.size} weights for {count} parameters"
        if not (np.isfinite(self._weights).all() and (self._weights >= 0).all()):
            return "has a weight that is negative or no number"
        return _wrong_maximum(self.maximum)

    def violation(self, theta: FloatArray, room: float | FloatArray = 0.0) -> str | None:
        reach = np.abs(theta[self._indices]) + self._of(room, theta)
        power = math.fsum((self._weights * reach * reach).tolist())
        if power <= self.maximum * (1 + TOLERANCE):
            return None
        which = f"all {theta.size} parameters" if self.indices is None else f"parameters {_listed(self.indices)}"
        return f"the sum of powers of {which} would be {power:g}, more than {self.maximum:g}"

    def pulled_in(self, theta: FloatArray, room: float | FloatArray) -> FloatArray:
        """All of its parameters are scaled by one factor c, with Σ gᵢ (c |θᵢ| + rᵢ)² = maximum."""
        if self.violation(theta, room) is None:
            return theta
        part = theta[self._indices]
        size, extra = np.abs(part), np.broadcast_to(self._of(room, theta), part.shape)
        a, b, c = (
            math.fsum((self._weights * one * other).tolist())
            for one, other in ((size, size), (size, extra), (extra, extra))
        )
        left = self.maximum * (1 - INSIDE) - c
        factor = (math.sqrt(b * b + a * left) - b) / a if left > 0 and a > 0 else 0.0
        moved = theta.copy()
        moved[self._indices] = part * factor
        return moved

    def _of(self, room: float | FloatArray, theta: FloatArray) -> float | FloatArray:
        return room if np.ndim(room) == 0 else np.broadcast_to(room, theta.shape)[self._indices]


@dataclass(frozen=True)
class DifferenceLimit(LinkedLimit):
    """|θᵢ - θⱼ| is at most `maximum` for each pair: neighbours that must not be driven too far apart.

    Args:
        name: names it in messages.
        maximum: in the unit of θ.
        pairs: of indices (i, j).
    """

    name: str
    maximum: float
    pairs: tuple[tuple[int, int], ...]

    @classmethod
    def of_neighbors(cls, name: str, maximum: float, indices: Sequence[int]) -> DifferenceLimit:
        """For each parameter and the next one in `indices`."""
        return cls(name, maximum, tuple(pairwise(indices)))

    @cached_property
    def _ends(self) -> tuple[IntArray, IntArray]:
        pairs = np.array(self.pairs, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def problem(self, n_parameters: int) -> str | None:
        if not self.pairs:
            return "has no pairs of parameters"
        wrong = _wrong_indices([index for pair in self.pairs for index in pair], n_parameters, repeated=True)
        if wrong is None and any(one == other for one, other in self.pairs):
            wrong = "has a pair of a parameter and itself"
        return wrong or _wrong_maximum(self.maximum)

    def violation(self, theta: FloatArray, room: float | FloatArray = 0.0) -> str | None:
        one, other = self._ends
        rooms = np.broadcast_to(room, theta.shape)
        good = np.abs(theta[one] - theta[other]) + (rooms[one] + rooms[other]) <= self.maximum * (1 + TOLERANCE)
        if good.all():
            return None
        i, j = self.pairs[int(np.argmin(good))]
        apart = f" and up to {rooms[i] + rooms[j]:g} more by perturbations and rounding" if rooms[i] + rooms[j] else ""
        return (
            f"parameters {i} and {j} would be {theta[i]:g} and {theta[j]:g}, {abs(theta[i] - theta[j]):g} apart{apart},"
            f" more than {self.maximum:g}"
        )

    def pulled_in(self, theta: FloatArray, room: float | FloatArray) -> FloatArray:
        """One pair after another moves by the same amount from both sides."""
        if self.violation(theta, room) is None:
            return theta
        rooms, moved = np.broadcast_to(room, theta.shape), theta.copy()
        for i, j in self.pairs:
            apart = max(0.0, self.maximum * (1 - INSIDE) - float(rooms[i] + rooms[j]))
            excess = abs(moved[i] - moved[j]) - apart
            if excess > 0:
                change = math.copysign(0.5 * excess, moved[i] - moved[j])
                moved[i] -= change
                moved[j] += change
        return moved


def first_violation(limits: Sequence[LinkedLimit], theta: FloatArray, room: float | FloatArray = 0.0) -> str | None:
    """The first violation within θ ± room, with the limit's name; None if all limits are kept."""
    for limit in limits:
        found = limit.violation(theta, room)
        if found is not None:
            return f"limit {limit.name!r}: {found}"
    return None


@dataclass(frozen=True)
class LinkedConstraint:
    """Keeps master θ where every linked limit allows it with its perturbations: what an update must not leave.

    Args:
        limits: all of the device's.
        room: perturbation and rounding, (P,) or a scalar.
        low, high: limits of master θ itself, (P,) or scalars.
    """

    limits: tuple[LinkedLimit, ...]
    room: float | FloatArray
    low: float | FloatArray
    high: float | FloatArray

    def __call__(self, before: FloatArray, wanted: FloatArray) -> FloatArray:
        """(P,) allowed parameters close to those wanted; deterministic.

        Each violated limit moves only its own parameters. If limits that share parameters are not met after many
        rounds, the change from `before`, which is allowed, is halved until it is allowed, too.
        """
        theta = self.close_to(wanted)
        if theta is not None:
            return theta
        change = wanted - before
        for _ in range(HALVINGS):
            change = 0.5 * change
            if first_violation(self.limits, before + change, self.room) is None:
                return before + change
        return before

    def close_to(self, wanted: FloatArray) -> FloatArray | None:
        """(P,) allowed parameters close to those wanted, which are returned if allowed; None if none were found."""
        theta = wanted
        for _ in range(ROUNDS):
            if first_violation(self.limits, theta, self.room) is None:
                return theta
            for limit in self.limits:
                theta = limit.pulled_in(theta, self.room)
            theta = np.clip(theta, self.low, self.high)
        return None


def _wrong_indices(indices: Sequence[int], n_parameters: int, *, repeated: bool = False) -> str | None:
    for index in indices:
        if not 0 <= index < n_parameters:
            return f"names parameter {index}, expected 0 ... {n_parameters - 1}"
    return None if repeated or len(set(indices)) == len(indices) else "names a parameter twice"


def _wrong_maximum(maximum: float) -> str | None:
    return None if math.isfinite(maximum) and maximum > 0 else f"has maximum {maximum!r}, expected a positive number"


def _listed(indices: Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:8])
    return shown if len(indices) <= 8 else f"{shown}, … ({len(indices)} in all)"
