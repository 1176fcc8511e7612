"""How long operations are cut into chunks, so that a board reads its line in between."""

from __future__ import annotations

from collections.abc import Hashable

CHUNK_SECONDS = 0.005
"""How long a chunk may keep the board from its line, and the host from costs that were measured before."""
FIRST_CHUNK = 64
"""Evaluations of one sample in the first chunk of a kind of work whose speed is not known."""


class ChunkSize:
    """Chooses how many probes make a chunk, by the time that earlier ones have taken."""

    def __init__(self) -> None:
        self._kind: Hashable = None
        self._seconds_each = CHUNK_SECONDS

    def next(self, left: int, kind: Hashable, batch: int) -> int:
        """Probes of the next chunk.

        Args:
            left: probes that are left.
            kind: what takes equally long: another kind of work begins anew, with a small chunk.
            batch: samples of each probe.
        """
        if kind != self._kind:
            self._kind, self._seconds_each = kind, CHUNK_SECONDS / max(1, FIRST_CHUNK // batch)
        return min(left, max(1, int(CHUNK_SECONDS / self._seconds_each)))

    def took(self, size: int, seconds: float) -> None:
        """A chunk took so long. The next one has at most twice as many probes, in case that was chance."""
        self._seconds_each = max(seconds / size, self._seconds_each / 2, 1e-9)
