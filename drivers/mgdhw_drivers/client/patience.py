"""How long a board is waited for: with limits that nothing which it sends can move."""

from __future__ import annotations


class Patience:
    """Time spent listening to a board since anything came of it.

    Time in which this program was too busy to listen is not the board's silence, so whoever waits says how much of it
    counts.
    """

    def __init__(self) -> None:
        self.silent = 0.0
        """Seconds without an answer to anything, be it that it is still at it."""
        self.stuck = 0.0
        """Seconds in which nothing was got done, whatever was answered."""

    def listened(self, seconds: float) -> None:
        """So much longer."""
        self.silent += seconds
        self.stuck += seconds

    def answered(self) -> None:
        """The board is there."""
        self.silent = 0.0

    def progressed(self) -> None:
        """And something was got done."""
        self.silent = self.stuck = 0.0
