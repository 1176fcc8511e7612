"""What all listeners have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol


class HostEnd(Protocol):
    """What a listener connects hosts to: a board that speaks the link, or SCPI."""

    @property
    def away(self) -> float:
        """Loop time until which the board is unplugged."""

    @property
    def occupied(self) -> bool:
        """Whether a host is connected."""

    def connected(self, write: Callable[[bytes], None], hang_up: Callable[[], None], *, hangs_up: bool = False) -> None:
        """A host has connected. See `Endpoint.connected`."""

    def received(self, data: bytes) -> None:
        """Bytes from the host."""

    def pause(self) -> None:
        """The host does not read what it is sent."""

    def resume(self) -> None:
        """It reads again."""

    def disconnected(self) -> None:
        """The host has disconnected."""


class Listener(ABC):
    """Accepts one host at a time.

    Args:
        endpoint: the board that it is connected to.
    """

    def __init__(self, endpoint: HostEnd) -> None:
        self.endpoint = endpoint

    @property
    @abstractmethod
    def address(self) -> str:
        """The address to train."""

    @property
    def notice(self) -> str:
        """What else to tell the user, once it listens: who can connect, and how. Empty: nothing."""
        return ""

    @abstractmethod
    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable, ConfigError."""

    @abstractmethod
    async def stop(self) -> None:
        """No longer, and end the connection of a host."""
