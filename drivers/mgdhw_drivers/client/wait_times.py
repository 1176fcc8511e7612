"""How long a host has waited for a board. Of all that a board sends, only answers and progress reset these times."""

from __future__ import annotations


class WaitTimes:
    """Time spent listening to a board since anything came of it.

    Time in which this program was too busy to listen is not the board's silence, so the caller says how much of it
    counts.
    """

    def __init__(self) -> None:
        self.silent = 0.0
        """Seconds without an answer to anything, PING included."""
        self.stuck = 0.0
        """Seconds without progress, whatever was answered."""

    def listened(self, seconds: float) -> None:
        """So much longer."""
        self.silent += seconds
        self.stuck += seconds

    def answered(self) -> None:
        """Something was answered."""
        self.silent = 0.0

    def progressed(self) -> None:
        """A request made progress."""
        self.silent = self.stuck = 0.0
