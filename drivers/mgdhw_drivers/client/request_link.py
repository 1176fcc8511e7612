"""What a session with a board needs of its link, whatever carries the messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from mgdhw_drivers.protocol.numbers import Type

Request = tuple[Type, bytes]
"""A message of `docs/link.md`: its type and its payload."""
NextValues = Callable[[NDArray[Any]], Awaitable[tuple[bytes, int] | None]]
"""Takes the values that answered the last request, none at first, and gives the payload of the next one and how many
values it asks for; None when nothing is missing."""


class Peer(Protocol):
    """The other end."""

    name: str
    """What people call it: a port, a host."""
    refusal: str | None
    """Why it accepts no connection from here, as far as it has said so, and what to do."""


class Step(Protocol):
    """Whether both ends are in step."""

    max_payload: int
    """Longest payload that this end takes."""

    def poison(self) -> None:
        """What was asked is given up: nothing but IDENTIFY may be sent until `verified`."""

    def verified(self, window: int) -> None:
        """The board was identified, and holds `window` requests."""

    def counts(self) -> dict[str, int]:
        """What went wrong on the way to here."""


class RequestLink(Protocol):
    """Requests and their answers. One task at a time may use it."""

    repeated: int
    """Requests that were lost and sent again."""
    on_loss: Callable[[str], None] | None
    """Called when the peer is gone."""

    @property
    def byte_stream(self) -> Peer:
        """The other end."""

    @property
    def connection(self) -> Step:
        """Whether both are in step."""

    @property
    def uri(self) -> str:
        """The device's address."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""

    @property
    def in_step(self) -> bool:
        """Whether the board was identified since anything went wrong."""

    async def connect(self) -> None:
        """Connect. Raises DeviceUnavailable."""

    async def disconnect(self) -> None:
        """Disconnect. From any state."""

    def leave(self) -> None:
        """Send a board that does not answer any more to its safe state: it may still listen."""

    async def ask(self, requests: Sequence[Request], *, evaluations: int = 0) -> list[bytes]:
        """Answers to requests. See `Link.ask`."""

    async def stream(self, kind: Type, request: NextValues) -> None:
        """Ask for values, until `request` says that nothing is missing. See `Link.stream`."""
