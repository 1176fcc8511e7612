"""What an optimizer is: a pair of pure functions, with all state explicit."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mgdhw.arrays import FloatArray

State = dict[str, FloatArray]
"""Everything that an optimizer remembers, by name: arrays of shape (P,) or (). Never changed in place."""


class Optimizer(ABC):
    """Turns gradients into new parameters.

    Only + - × ÷ √ are used, which IEEE 754 rounds exactly, so an update is the same on every machine.
    A new optimizer is one file with one of these (a frozen dataclass), and one line in the registry.
    """

    def init(self, n_parameters: int) -> State:
        """State before the first update."""
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
