"""How work is cut, so that a board listens in between."""

from __future__ import annotations

from collections.abc import Hashable

PIECE_SECONDS = 0.005
"""How long a piece of work may keep the board from listening, and the line from what was measured before."""
FIRST_PIECE = 64
"""Evaluations of one sample in the first piece of a kind of work whose speed isn't known."""


class Pieces:
    """How many probes make a piece of work."""

    def __init__(self) -> None:
        self._kind: Hashable = None
        self._seconds_each = PIECE_SECONDS

    def size(self, left: int, kind: Hashable, batch: int) -> int:
        """Probes of the next piece.

        Args:
            left: probes that are left.
            kind: what takes equally long: another kind of work begins anew, with a small piece.
            batch: samples of each probe.
        """
        if kind != self._kind:
            self._kind, self._seconds_each = kind, PIECE_SECONDS / max(1, FIRST_PIECE // batch)
        return min(left, max(1, int(PIECE_SECONDS / self._seconds_each)))

    def took(self, size: int, seconds: float) -> None:
        """Take in how long one took; never more than twice as many the next time, in case it was luck."""
        self._seconds_each = max(seconds / size, self._seconds_each / 2, 1e-9)
