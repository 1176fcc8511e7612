"""What all listeners have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mgdhw_drivers.server.endpoint import Station


class Listener(ABC):
    """Lets one host at a time in.

    Args:
        station: what it is let in to.
    """

    def __init__(self, station: Station) -> None:
        self.station = station

    @property
    @abstractmethod
    def address(self) -> str:
        """The address to train."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to listen. Raises DeviceUnavailable."""

    @abstractmethod
    async def stop(self) -> None:
        """No longer."""
