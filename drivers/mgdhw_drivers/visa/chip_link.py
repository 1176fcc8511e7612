"""The link to a chip, whose messages are carried by SCPI: see `docs/scpi.md`, "For programs"."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import DeviceError, LinkCorrupt, LinkTimeout
from mgdhw.parsing import short_repr
from mgdhw_drivers.client.refusals import error_of
from mgdhw_drivers.client.request_link import NextValues, Request
from mgdhw_drivers.protocol.connection import HOST_PAYLOAD, Answer
from mgdhw_drivers.protocol.messages import ErrorPayload
from mgdhw_drivers.protocol.numbers import Code, Type
from mgdhw_drivers.protocol.values import Gathered
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

log = logging.getLogger("mgdhw.link")

PENDING = "PEND"
FETCH = b"MGD:FETC?"
MOST_AT_ONCE = 1 << 19
"""Bytes of one SCPI message, or a little more."""
SLOW_SECONDS = 1.0
"""A chip that is at one request for so long is mentioned in the log."""
_ERROR = re.compile(r'ERR,([A-Z]+),(-?\d+),"(.*)"$', re.DOTALL)


class _Peer:
    """What people call the other end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refusal: str | None = None


class _Step:
    """Whether both ends are in step."""

    def __init__(self) -> None:
        self.max_payload = HOST_PAYLOAD
        self.in_step = False

    def poison(self) -> None:
        self.in_step = False

    def verified(self, window: int) -> None:
        self.in_step = True

    def counts(self) -> dict[str, int]:
        return {}


class ScpiLink:
    """Requests to a chip that speaks SCPI, and their answers. One task at a time may use it.

    Every request has an answer, whatever becomes of it: a block, or a text that says what is wrong. What takes longer
    than the chip may be silent is fetched later.

    Args:
        uri: the device's address, for errors.
        address: of VISA.
        settings: how it is spoken to.
        progress: seconds that the chip may be at one request.
    """

    def __init__(self, uri: str, address: str, settings: ResourceSettings, progress: float) -> None:
        self.uri = uri
        self.byte_stream = _Peer(address)
        self.connection = _Step()
        self.repeated = 0
        self.on_loss: Callable[[str], None] | None = None
        self._resource = Resource("the chip", address, settings, uri)
        self._progress = progress

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._resource.is_open

    @property
    def in_step(self) -> bool:
        """Whether the chip was identified since anything went wrong."""
        if self.connection.in_step and self._resource.has_hung_up:
            self.connection.poison()
        return self.connected and self.connection.in_step

    async def connect(self) -> None:
        """Connect. Raises DeviceUnavailable."""
        self.connection.poison()
        await self._resource.open()

    async def disconnect(self) -> None:
        """Disconnect. From any state."""
        self.connection.poison()
        await self._resource.close()

    def leave(self) -> None:
        """Nothing can be sent to a chip that does not answer; it is safe once it notices that the host is gone."""

    async def ask(self, requests: Sequence[Request], *, evaluations: int = 0) -> list[bytes]:
        """Answers to requests.

        Raises:
            Refused: the chip must be brought up to date first.
            LinkTimeout, LinkLost, LinkCorrupt: the link failed, and is not in step any more.
            LimitExceeded, DeviceFault: what the chip says of the request.
        """
        answers: list[bytes] = []
        units: list[bytes] = []
        size = 0
        for index, (kind, payload) in enumerate(requests):
            units.append(_unit(kind, payload))
            size += len(payload)
            if kind is not Type.WRITE or size > MOST_AT_ONCE or index == len(requests) - 1:
                found = await self._exchange(units)
                if len(found) != len(units):
                    self.connection.poison()
                    raise LinkCorrupt(f"{len(units)} requests have {len(found)} answers", uri=self.uri)
                answers += found
                units, size = [], 0
        return answers

    async def stream(self, kind: Type, request: NextValues) -> None:
        """Ask for values, until `request` says that nothing is missing. Raises as `ask`."""
        asked = await request(_NONE)
        while asked is not None:
            payload, wanted = asked
            gathered = Gathered(wanted)
            for part in await self._exchange([_unit(kind, payload)]):
                gathered.take(part)
            if not gathered.is_complete:
                self.connection.poison()
                raise LinkCorrupt(f"{gathered.count} values where {wanted} were asked for", uri=self.uri)
            asked = await request(gathered.values())

    async def _exchange(self, units: list[bytes]) -> list[bytes]:
        """The blocks that answer requests, however long that takes."""
        loop = asyncio.get_running_loop()
        message = b";:".join(units)
        began, logged = loop.time(), False
        blocks: list[bytes] = []
        try:
            while True:
                parts = await self._resource.query_parts(message)
                texts = [part for part in parts if isinstance(part, str)]
                blocks += [part for part in parts if isinstance(part, bytes)]
                if not texts:
                    return blocks
                if texts[0] != PENDING:
                    break
                waited = loop.time() - began
                if waited > self._progress:
                    raise LinkTimeout(f"the chip has been at one request for {waited:.3g} s", uri=self.uri)
                if waited > SLOW_SECONDS and not logged:
                    logged = True
                    log.info("waiting for the device (a chip that is served may have to be compiled first)")
                message = FETCH
        except BaseException:
            self.connection.poison()
            raise
        raise self._error(texts[0])

    def _error(self, text: str) -> DeviceError:
        """The exception for a text instead of a block."""
        found = _ERROR.match(text)
        if found is None or found[1] not in Code.__members__:
            self.connection.poison()
            return LinkCorrupt(f"the chip answers by {short_repr(text)}", uri=self.uri)
        trouble = ErrorPayload(Code[found[1]], int(found[2]))
        return error_of(Answer(Type.ERROR, 0, b"", trouble, found[3].replace('""', '"')), self.uri)


def _unit(kind: Type, payload: bytes) -> bytes:
    """A request as a unit of an SCPI message."""
    size = b"%d" % len(payload)
    return b"MGD:REQ? %d,#%d%s%s" % (kind, len(size), size, payload)


_NONE: NDArray[Any] = np.zeros(0, dtype=np.int64)
