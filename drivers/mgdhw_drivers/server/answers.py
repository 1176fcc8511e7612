"""Sending a board's answers to its host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray

from mgdhw_drivers.protocol import values
from mgdhw_drivers.protocol.connection import BoardConnection
from mgdhw_drivers.protocol.frames import Frame


class AnswerSender:
    """Sends answers to the host.

    Args:
        connection: makes frames.
        send: sends them.
        free: awaited before more is sent: until the host has read what was sent before.
    """

    def __init__(
        self, connection: BoardConnection, send: Callable[[bytes], None], free: Callable[[], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._send = send
        self.free = free

    def answer(self, request: Frame, payload: bytes = b"") -> None:
        """Send an answer."""
        self._send(self._connection.answer(request, payload))

    async def answer_values(self, request: Frame, first: int, numbers: NDArray[np.generic], *, last: bool) -> None:
        """Send values, of which the first is number `first` of the answer."""
        for payload in values.pack(first, numbers, self._connection.host_payload, last=last):
            await self.free()
            self.answer(request, payload)
