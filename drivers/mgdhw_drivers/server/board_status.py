"""A board's status: the answers to IDENTIFY, PING and STATISTICS."""

from __future__ import annotations

import secrets
import time
import zlib

from mgdhw_drivers.protocol.connection import BoardConnection
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Identity, Pong, Statistics
from mgdhw_drivers.protocol.numbers import Reason, State
from mgdhw_drivers.server.operations import MASK, Operations

WINDOW = 16
"""Frames that a host may send before the first of them is answered."""


class BoardStatus:
    """A board's state, as a host sees it.

    Args:
        connection: whose frames are counted.
    """

    def __init__(self, connection: BoardConnection) -> None:
        self.state, self.reason = State.SAFE, Reason.STARTED
        self.trips = 0
        """Of the dead-man timer."""
        self._connection = connection
        self._boot = secrets.randbits(32)
        self._started = time.monotonic()

    def new_boot(self) -> None:
        """The board has lost what it held, as after a restart: hosts are to notice."""
        self._boot = secrets.randbits(32)

    def identity(self, work: Operations, state: State, reason: Reason) -> bytes:
        """The answer to IDENTIFY, which says the state before it."""
        return Identity(
            boot=self._boot,
            max_payload=self._connection.max_payload,
            window=WINDOW,
            state=state,
            reason=reason,
            description_size=len(work.described),
            description_crc=zlib.crc32(work.described),
            dataset_crc=work.datasets.crc,
            theta_crc=work.checksums.theta,
            state_crc=work.checksums.state,
            ticket=work.checksums.ticket,
            uptime_ms=self._uptime(),
        ).pack()

    def pong(self, work: Operations, running: Frame | None) -> bytes:
        """The answer to PING, while a host's request is under way or none is."""
        sequence = 0 if running is None else running.sequence
        return Pong(sequence, work.done & MASK, self.state, self.reason).pack()

    def statistics(self, work: Operations) -> bytes:
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
        return int((time.monotonic() - self._started) * 1000) & MASK
