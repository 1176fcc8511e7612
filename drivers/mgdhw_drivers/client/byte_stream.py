"""What carries a link's bytes, as the host sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Receiver(Protocol):
    """Gets what arrives. Called in the event loop's thread."""

    def received(self, data: bytes) -> None:
        """Bytes have come."""

    def gone(self, why: str) -> None:
        """The peer is gone, and nothing will come any more. Not called after `close`."""


class ByteStream(ABC):
    """A stream of bytes to a board, that can be opened again after it was lost.

    Args:
        uri: the device's address, for errors.
        name: what people call the peer: a port, a host.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        self.refusal: str | None = None
        """Why the peer accepts no connection from here, as far as it has said so since `open`, and what to do."""

    @abstractmethod
    async def open(self, receiver: Receiver) -> None:
        """Connect. Raises DeviceAbsent where waiting may help, DeviceUnavailable where it cannot."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes, sooner or later. Does nothing once the peer is gone."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect, with everything sent that can be. May be called from any state."""

    def line_seconds(self, size: int) -> float:
        """How long the line takes for so many bytes; 0 where it is not known to be slow."""
        return 0.0
