"""What all listeners have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgdhw_drivers.server.endpoint import Endpoint


class Listener(ABC):
    """Accepts one host at a time.

    Args:
        endpoint: the board that it is connected to.
    """

    def __init__(self, endpoint: Endpoint) -> None:
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
