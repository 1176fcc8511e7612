"""What a board sends while nothing of it is an answer: distinguishes a dead board, a console and an echo."""

from __future__ import annotations

from mgdhw.report.console import printable
from mgdhw_drivers.protocol.connection import HostConnection

SAMPLE_BYTES = 24
"""Of what came, to be shown in an error."""


class UnansweredTraffic:
    """Bytes and frames since the last answer.

    Args:
        connection: counts frames.
    """

    def __init__(self, connection: HostConnection) -> None:
        self._connection = connection
        self._bytes = 0
        self._sample = b""
        self._echoed = self._stray = 0

    def answered(self) -> None:
        """Begin anew: something was an answer."""
        self._bytes, self._sample = 0, b""
        self._echoed, self._stray = self._connection.echoed, self._connection.stray

    def add(self, data: bytes) -> None:
        """Bytes have come."""
        self._bytes += len(data)
        if len(self._sample) < SAMPLE_BYTES:
            self._sample += data[: SAMPLE_BYTES - len(self._sample)]

    def describe(self, seconds: float) -> str:
        """What the board did for so many seconds instead of answering."""
        if self._connection.echoed > self._echoed:
            return f"has sent back nothing but what it was sent for {seconds:.1f} s: the line echoes"
        if self._connection.stray > self._stray:
            return f"has sent frames that answer nothing that was asked for {seconds:.1f} s"
        if self._bytes:
            shown = printable(self._sample.decode(errors="replace"))
            return (
                f"answers with bytes that are no frames ({self._bytes:,} of them in {seconds:.1f} s, beginning with"
                f' "{shown}")'
            )
        return f"has said nothing for {seconds:.1f} s"
