"""A board in the same process, asked as a host asks it: the link without a line."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from mgdhw.errors import DeviceError
from mgdhw_drivers.client.byte_stream import ByteStream, Receiver
from mgdhw_drivers.client.link import Link
from mgdhw_drivers.client.request_link import Request
from mgdhw_drivers.protocol.connection import Answer
from mgdhw_drivers.protocol.description import Description
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity, Read
from mgdhw_drivers.protocol.numbers import Area, Code, Type
from mgdhw_drivers.server.endpoint import Endpoint

SILENT_SECONDS = 60.0
"""How long a board in the same process may say nothing before it is given up."""


class Refusal(DeviceError):
    """The board's ERROR, as it came."""

    def __init__(self, answer: Answer, uri: str) -> None:
        super().__init__(answer.text or "the board refuses the request", uri=uri)
        self.answer = answer

    @property
    def is_safe(self) -> bool:
        """Whether it is in its safe state, and does nothing before it is taken into operation."""
        return self.answer.trouble is not None and self.answer.trouble.code == Code.SAFE


class _LoopbackStream(ByteStream):
    def __init__(self, endpoint: Endpoint, hang_up: Callable[[], None]) -> None:
        super().__init__(endpoint.device.uri, "the board")
        self._endpoint, self._hang_up = endpoint, hang_up

    async def open(self, receiver: Receiver) -> None:
        self._endpoint.connected(receiver.received, self._hang_up)

    def write(self, data: bytes) -> None:
        self._endpoint.received(data)

    async def close(self) -> None:
        """The endpoint is told by whom the host's connection belongs to."""


class Loopback:
    """A host's end of the link, for one connection.

    Args:
        endpoint: the board's end.
        hang_up: called when the board gives up its host.
    """

    def __init__(self, endpoint: Endpoint, hang_up: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._link = Link(_LoopbackStream(endpoint, hang_up), SILENT_SECONDS, error_of=Refusal)
        self._hello = Identify(secrets.randbits(32) or 1, 0, self._link.connection.max_payload, 1)
        self._identity: Identity | None = None
        self._taken = False
        """Whether the board was taken into operation."""

    async def connect(self) -> Description:
        """Connect, and ask the board what it is; moves nothing."""
        await self._link.connect()
        identity = await self.identify(replace(self._hello, take=0))
        return Description.unpack(await self.read(Area.DESCRIPTION, identity.description_size, take=False))

    async def identify(self, hello: Identify) -> Identity:
        """Begin a session, or ask whose it is. Raises as `ask`."""
        hello = replace(hello, max_payload=self._link.connection.max_payload)
        if hello.take:
            self._hello = hello
            self._endpoint.hang_up_when_silent(hello.dead_man_ms > 0)
        (answer,) = await self._link.ask([(Type.IDENTIFY, hello.pack())])
        self._identity = Identity.unpack(answer)
        self._link.connection.verified(self._identity.window)
        self._taken |= bool(hello.take)
        return self._identity

    async def held(self) -> Identity:
        """What the board holds now, with checksums. Raises as `ask`."""
        await self._be_in_step(take=True)
        return await self.identify(replace(self._hello, take=0))

    async def ask(self, requests: Sequence[Request], *, take: bool = True) -> list[bytes]:
        """Answers to requests.

        Args:
            requests: what is asked.
            take: whether the board is to be taken into operation for them.

        Raises:
            Refusal: the board's ERROR.
            DeviceFault, LinkError: a fault that it reports by itself, or that it says nothing.
        """
        await self._be_in_step(take)
        try:
            return await self._link.ask(requests)
        except Refusal as refusal:
            self._taken &= not refusal.is_safe
            raise

    async def values(self, kind: Type, payload: bytes, wanted: int, *, take: bool = True) -> NDArray[Any]:
        """Values that answer a request. Raises as `ask`."""
        await self._be_in_step(take)
        found: list[NDArray[Any]] = []
        asked = False

        async def request(new: NDArray[Any]) -> tuple[bytes, int] | None:
            nonlocal asked
            if asked:
                found.append(new)
                return None
            asked = True
            return payload, wanted

        try:
            await self._link.stream(kind, request)
        except Refusal as refusal:
            self._taken &= not refusal.is_safe
            raise
        return found[0]

    def writes(self, area: Area, content: bytes) -> list[Request]:
        """Requests that write an area."""
        assert self._identity is not None, "connected"
        size = self._identity.max_payload - Chunk.form.size
        return [
            (Type.WRITE, Chunk(area, start).pack() + content[start : start + size])
            for start in range(0, len(content), size)
        ]

    async def read(self, area: Area, size: int, *, take: bool = True) -> bytes:
        """The first bytes of an area. Raises as `ask`."""
        assert self._identity is not None, "connected"
        step = min(self._identity.max_payload, self._link.connection.max_payload) - Chunk.form.size
        asked = [Read(area, start, min(step, size - start)) for start in range(0, size, step)]
        answers = await self.ask([(Type.READ, one.pack()) for one in asked], take=take)
        return b"".join(answer[Chunk.form.size :] for answer in answers)

    async def _be_in_step(self, take: bool) -> None:
        if not self._link.in_step or (take and not self._taken):
            await self.identify(self._hello if take else replace(self._hello, take=0))
