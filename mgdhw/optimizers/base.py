"""What an optimizer is: a pair of pure functions, with all state explicit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from mgdhw.arrays import FloatArray

State = dict[str, FloatArray]
"""Everything that an optimizer remembers, by name: arrays of shape (P,) or (). Never changed in place."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """Turns gradients into new parameters; its constants are dataclass fields (`mgdhw.variants.number`).

    Only + - × ÷ √ are used, which IEEE 754 rounds exactly, so an update is the same on every machine. An update takes
    its functions from the arrays' own namespace (`__array_namespace__`), so that an engine can compile the very same.
    A new optimizer is one file here with one of these: experiment files, checkpoints, messages on the link and engines
    read what it declares. Boards that are to make its updates by themselves need a function in
    `firmware/core/optimizers.c`, too.
    """

    name: ClassVar[str]

    link_number: ClassVar[int | None] = None
    """Its number on the link, 0 ... 7; None if boards do not know it: then the host makes the updates. Such an
    optimizer has at most five constants, and at most two arrays and two numbers in its state."""

    not_negative: ClassVar[frozenset[str]] = frozenset()
    """Arrays of its state that are never below zero."""

    def init(self, n_parameters: int) -> State:
        """State before the first update: (P,) arrays, and numbers as arrays of shape ()."""
        return {}

    def arrays(self) -> tuple[str, ...]:
        """Names of the (P,) arrays of its state, in order."""
        return tuple(name for name, value in self.init(1).items() if value.ndim == 1)

    def scalars(self) -> tuple[str, ...]:
        """Names of the numbers of its state, in order."""
        return tuple(name for name, value in self.init(1).items() if value.ndim == 0)

    def scalars_after(self, state: State, updates: int) -> dict[str, float]:
        """The numbers of its state after so many updates, by name, as far as gradients have no part in them.

        What a board claims after training by itself is compared with them.
        """
        return {}

    @abstractmethod
    def update(self, theta: FloatArray, gradient: FloatArray, eta: float, state: State) -> tuple[FloatArray, State]:
        """One step downhill.

        Args:
            theta: (P,) master parameters.
            gradient: (P,) ĝ.
            eta: learning rate.
            state: what `init` or the last `update` gave.

        Returns:
            New parameters, new state.
        """
