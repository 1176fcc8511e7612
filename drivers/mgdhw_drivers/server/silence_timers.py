"""How long a host has sent nothing: the dead-man timer, and that of idle connections."""

from __future__ import annotations

IDLE_SECONDS = 60.0
"""How long a host may send nothing, whatever dead-man time it has chosen: hosts send a PING every 10 s."""
TAKE_SECONDS = 5.0
"""How long a host may be connected without IDENTIFY with `take`."""


class SilenceTimers:
    """Counts the time without a frame; time in which the board could not have received one is not counted."""

    def __init__(self) -> None:
        self.dead_man = 0.0
        """Seconds without a frame after which the board goes to its safe state; 0: never."""
        self._silent = 0.0
        self._not_taken: float | None = None
        """Seconds since a host came that has not taken the board; None: there is none."""

    def host_connected(self) -> None:
        """A host has connected."""
        self._silent = self._not_taken = 0.0

    def frame_received(self) -> None:
        """A good frame has come: the dead-man timer is reset."""
        self._silent = 0.0

    def board_taken(self) -> None:
        """A host wants to take the board into operation."""
        self._not_taken = None

    def host_disconnected(self) -> None:
        """The host has disconnected."""
        self._not_taken = None

    def advance(self, seconds: float) -> None:
        """So much time has passed."""
        self._silent += seconds
        if self._not_taken is not None:
            self._not_taken += seconds

    @property
    def dead_man_expired(self) -> bool:
        """Whether a host that has the board in operation has to be given up."""
        return 0 < self.dead_man <= self._silent

    @property
    def is_idle(self) -> bool:
        """Whether the host that is connected only keeps others out."""
        return self._silent >= IDLE_SECONDS or (self._not_taken or 0.0) >= TAKE_SECONDS
