"""Between the line and the board: pace and faults."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from mgdhw_drivers.server.fault_injection import Damage, FaultInjector

BITS_PER_BYTE = 10
"""Start bit, eight bits, stop bit."""
TICK_SECONDS = 0.002
"""How often a paced line moves on."""
FULL_SECONDS, FREE_SECONDS = 0.25, 0.06
"""What is on its way when a sender should wait, and when it may go on, in time that the line takes for it."""
OVERRUN = 1 << 20
"""Bytes on their way above which more are lost, as on a line whose sender does not wait."""


class PacedLine:
    """Passes bytes on as fast as a serial line would.

    Args:
        baud: its speed.
        deliver: where they go.
        full: called when so much is on its way that the sender should wait, and when it may go on.
    """

    def __init__(self, baud: int, deliver: Callable[[bytes], None], full: Callable[[bool], None] | None = None) -> None:
        self._rate = baud / BITS_PER_BYTE
        self._deliver = deliver
        self._full = full
        self._is_full = False
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._busy_until = 0.0
        """Until when the line is busy with what was delivered."""

    def feed(self, data: bytes) -> None:
        """Put bytes on the line."""
        if len(self._buffer) + len(data) > OVERRUN:
            return
        if not self._buffer:
            self._busy_until = max(self._busy_until, self._loop.time())
        self._buffer += data
        self._report_fill()
        if self._timer is None:
            self._timer = self._loop.call_later(self._pause(), self._advance)

    def stop(self) -> None:
        """What is on its way is lost."""
        self._buffer.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _advance(self) -> None:
        self._timer = None
        count = min(len(self._buffer), int((self._loop.time() - self._busy_until) * self._rate))
        if count > 0:
            part = bytes(self._buffer[:count])
            del self._buffer[:count]
            self._busy_until += count / self._rate
            self._deliver(part)
            self._report_fill()
        if self._buffer:
            self._timer = self._loop.call_later(self._pause(), self._advance)

    def _report_fill(self) -> None:
        now = len(self._buffer) > self._rate * (FREE_SECONDS if self._is_full else FULL_SECONDS)
        if now != self._is_full and self._full is not None:
            self._is_full = now
            self._full(now)

    def _pause(self) -> float:
        """Until all that waits could be through, or it is time to move on."""
        return min(TICK_SECONDS, len(self._buffer) / self._rate)


class FaultyLine:
    """Passes frames on, damaged.

    Args:
        injector: decides what becomes of each.
        deliver: where they go.
        apply_damage: called with each damage, for what happens to the board.
    """

    def __init__(
        self, injector: FaultInjector, deliver: Callable[[bytes], None], apply_damage: Callable[[Damage], None]
    ) -> None:
        self._injector = injector
        self._deliver = deliver
        self._apply_damage = apply_damage
        self._partial = b""
        self._late: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Bytes, of which whole frames are passed on."""
        *frames, self._partial = (self._partial + data).split(b"\0")
        if len(self._partial) > OVERRUN or sum(len(piece) for _, piece in self._late) > OVERRUN:
            self._partial = b""
            return
        for frame in frames:
            damage = self._injector.inject(frame + b"\0")
            self._late.extend(damage.pieces)
            self._apply_damage(damage)
        self._deliver_due()

    def stop(self) -> None:
        """What is late never comes."""
        self._late.clear()
        self._partial = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deliver_due(self) -> None:
        while self._late and self._timer is None:
            pause, piece = self._late.popleft()
            if pause:
                self._timer = self._loop.call_later(pause, self._deliver_late, piece)
            else:
                self._deliver(piece)

    def _deliver_late(self, piece: bytes) -> None:
        self._timer = None
        self._deliver(piece)
        self._deliver_due()
