"""How long a host has said nothing."""

from __future__ import annotations

IDLE_SECONDS = 60.0
"""How long a host may say nothing, whatever dead-man it has chosen: hosts ask for a sign of life every 10 s."""
TAKE_SECONDS = 5.0
"""How long a host may be connected without IDENTIFY with `take`."""


class Silence:
    """Counts the time in which a frame would have been heard; that in which the board was deaf is not counted."""

    def __init__(self) -> None:
        self.dead_man = 0.0
        """Seconds without a frame after which the board goes to its safe state; 0: never."""
        self._quiet = 0.0
        self._untaken: float | None = None
        """Seconds since a host came that has not taken the board; None: there is none."""

    def came(self) -> None:
        """A host has come."""
        self._quiet = self._untaken = 0.0

    def heard(self) -> None:
        """A good frame has come."""
        self._quiet = 0.0

    def taken(self) -> None:
        """A host wants to take the board into operation."""
        self._untaken = None

    def left(self) -> None:
        """The host is gone."""
        self._untaken = None

    def passed(self, seconds: float) -> None:
        """So much time has passed."""
        self._quiet += seconds
        if self._untaken is not None:
            self._untaken += seconds

    @property
    def is_dead(self) -> bool:
        """Whether a host that has the board in operation has to be taken for dead."""
        return 0 < self.dead_man <= self._quiet

    @property
    def is_idle(self) -> bool:
        """Whether whoever is connected only keeps others out."""
        return self._quiet >= IDLE_SECONDS or (self._untaken or 0.0) >= TAKE_SECONDS
