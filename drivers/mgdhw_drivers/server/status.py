"""What a board says of itself: the answers to IDENTIFY, PING and STATISTICS."""

from __future__ import annotations

import secrets
import time
import zlib

from mgdhw_drivers.protocol.connection import BoardConnection
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Identity, Pong, Statistics
from mgdhw_drivers.protocol.numbers import Reason, State
from mgdhw_drivers.server.operations import MASK, Work

WINDOW = 16
"""Frames that a host may have under way."""


class Vitals:
    """A board's state, as a host sees it.

    Args:
        connection: whose frames are counted.
    """

    def __init__(self, connection: BoardConnection) -> None:
        self.state, self.reason = State.SAFE, Reason.STARTED
        self.trips = 0
        """Of the dead-man."""
        self._connection = connection
        self._boot = secrets.randbits(32)
        self._born = time.monotonic()

    def forgets(self) -> None:
        """What the board has forgotten, it has forgotten as after a restart."""
        self._boot = secrets.randbits(32)

    def identity(self, work: Work, state: State, reason: Reason) -> bytes:
        """The answer to IDENTIFY, which tells of the state before it."""
        return Identity(
            boot=self._boot,
            max_payload=self._connection.max_payload,
            window=WINDOW,
            state=state,
            reason=reason,
            description_size=len(work.described),
            description_crc=zlib.crc32(work.described),
            dataset_crc=work.datasets.crc,
            theta_crc=work.holds.theta,
            state_crc=work.holds.state,
            ticket=work.holds.ticket,
            uptime_ms=self._uptime(),
        ).pack()

    def pong(self, work: Work, running: Frame | None) -> bytes:
        """The answer to PING, while a host's request is under way or none is."""
        sequence = 0 if running is None else running.sequence
        return Pong(sequence, work.done & MASK, self.state, self.reason).pack()

    def statistics(self, work: Work) -> bytes:
        """The answer to STATISTICS."""
        frames, bad_crc, bad_frames = self._connection.counts
        return Statistics(
            frames_in=frames & MASK,
            frames_out=self._connection.frames_out & MASK,
            bad_crc=bad_crc & MASK,
            bad_frames=bad_frames & MASK,
            dead_man_trips=self.trips & MASK,
            uptime_ms=self._uptime(),
            evaluations=work.evaluations,
            sets=work.sets,
        ).pack()

    def _uptime(self) -> int:
        return int((time.monotonic() - self._born) * 1000) & MASK
