"""A board in use: who it is, what it holds, and bringing it up to date after whatever happened."""

from __future__ import annotations

import asyncio
import logging
import secrets
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import (
    ConfigError,
    DeviceAbsent,
    DeviceFault,
    DeviceUnavailable,
    LinkCorrupt,
    LinkError,
    LinkLost,
    LinkTimeout,
)
from mgdhw_drivers.link import cells
from mgdhw_drivers.link import description as descriptions
from mgdhw_drivers.link.description import Description
from mgdhw_drivers.link.messages import (
    Area,
    Can,
    Chunk,
    Identify,
    Identity,
    Read,
    Reason,
    Set,
    Snapshot,
    State,
    Stored,
    Type,
)
from mgdhw_drivers.link.samples import Samples
from mgdhw_drivers.linked.address import Options
from mgdhw_drivers.linked.info import Number
from mgdhw_drivers.linked.link import Link, Refused, Request
from mgdhw_drivers.linked.transport import Transport

Result = TypeVar("Result")

log = logging.getLogger("mgdhw.link")

TURNS = 8
"""How often in a row a board may want to be brought up to date for one request."""
RECONNECT_SECONDS = 0.05
"""Pause between attempts to connect again."""


SMALLEST_DESCRIPTION = descriptions.Head.form.size


class Session:
    """One board, over all of its connections.

    Args:
        transport: what carries the bytes.
        options: of the address.
    """

    def __init__(self, transport: Transport, options: Options) -> None:
        self.link = Link(transport, options.timeout)
        self.lock = asyncio.Lock()
        self.description: Description | None = None
        self.identity: Identity | None = None
        self.state_crc = 0
        """Checksum of the state areas that the board holds, as far as is known; 0: not known."""
        self.samples: Samples | None = None
        self.theta_crc = 0
        """Checksum of REQUESTED, 0 if nothing was requested."""
        self.held_crc = 0
        self.safe = True
        """Whether the parameters are where the safe state has them: the next write is no update."""
        self.step = 0
        self._options = options
        self._number = secrets.randbits(32) or 1
        self._parameters: bytes | None = None
        self._dataset_crc = 0
        self._theta_crc = 0

    @property
    def uri(self) -> str:
        """The device's address."""
        return self.link.uri

    @property
    def known(self) -> Description:
        """The description. Raises DeviceUnavailable while the device is not open."""
        if self.description is None:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)
        return self.description

    @property
    def parameters(self) -> bytes | None:
        """REQUESTED as it was last set, or as the board's own last update left it."""
        return self._parameters

    @parameters.setter
    def parameters(self, content: bytes) -> None:
        self._parameters, self.theta_crc = content, zlib.crc32(content)

    @property
    def dataset_crc(self) -> int:
        """Checksum of the dataset, 0 if there is none."""
        return 0 if self.samples is None else self.samples.load.crc

    async def begin(self) -> None:
        """Connect for the first time. Raises DeviceUnavailable."""
        await self.link.connect()
        try:
            await self._identify(take=True)
        except LinkError as error:
            if self.link.transport.refusal is not None:
                raise DeviceUnavailable(self.link.transport.refusal, uri=self.uri) from None
            kind = DeviceAbsent if isinstance(error, LinkTimeout | LinkLost) else DeviceUnavailable
            raise kind(
                f"{self.link.transport.name} does not answer as a board does"
                f" ({str(error).removeprefix(f'{self.uri}: ')}); is it the right one, and does no other host use it?",
                uri=self.uri,
            ) from error
        self.link.on_loss = self._lost

    async def end(self) -> None:
        """Leave the board in its safe state if it can be reached, and disconnect."""
        async with self.lock:
            try:
                if self.link.connected:
                    if not self.link.in_step:
                        await self._identify(take=False)
                    await self.link.ask([(Type.SAFE, b"")])
            except LinkError as error:
                log.warning(
                    "%s could not be told to go to its safe state (%s); its dead-man sees to it", self.uri, error
                )
            finally:
                self.description = None
                await self.link.disconnect()

    async def do(
        self, work: Callable[[], Awaitable[Result]], *, dataset: bool = False, parameters: bool = False
    ) -> Result:
        """Do something with a board that is connected, in step, and holds what the work depends on.

        Args:
            work: what to do; done again where the board turns out to hold something else.
            dataset, parameters: whether it depends on them.
        """
        assert self.known
        if parameters and self._parameters is None:
            raise ConfigError(f"{self.uri}: no parameters were written yet; write them first")
        async with self.lock:
            for _ in range(TURNS):
                if not self.link.in_step:
                    await self._bring_in_step()
                try:
                    if dataset and self._dataset_crc != self.dataset_crc:
                        await self._bring_dataset()
                    if parameters and self._theta_crc != self.theta_crc:
                        await self.set_parameters(self.step)
                    return await work()
                except Refused as refusal:
                    log.debug("%s", refusal)
                    self.link.connection.poison()  # find out what it does hold
        raise LinkCorrupt("the board loses what it is sent, time and again", uri=self.uri)

    async def write_area(self, area: Area, content: bytes) -> None:
        """All of an area's bytes."""
        await self.link.ask(self.writes(area, content))

    def writes(self, area: Area, content: bytes) -> list[Request]:
        """The requests for that."""
        capacity = self.known.head.area_sizes[area]
        if len(content) > capacity:
            raise ConfigError(
                f"{self.uri}: the board has room for {capacity:,} bytes of {area.name}, not for {len(content):,}"
            )
        size = self._payload() - Chunk.form.size
        return [
            (Type.WRITE, Chunk(area, start).pack() + content[start : start + size])
            for start in range(0, len(content), size)
        ]

    async def read_area(self, area: Area, size: int) -> bytes:
        """The first bytes of an area."""
        step = min(self._payload(), self.link.connection.max_payload) - Chunk.form.size
        parts = await self.link.ask(
            [(Type.READ, Read(area, start, min(step, size - start)).pack()) for start in range(0, size, step)]
        )
        content = b"".join(part[Chunk.form.size :] for part in parts)
        if len(content) != size:
            raise LinkCorrupt(f"area {area.name} has {len(content)} bytes instead of {size}", uri=self.uri)
        return content

    async def set_parameters(self, step: int) -> None:
        """Write REQUESTED and set it."""
        assert self.parameters is not None, "set by whoever calls"
        crc = self.theta_crc
        answers = await self.link.ask(
            [*self.writes(Area.REQUESTED, self.parameters), (Type.SET, Set(step, crc).pack())]
        )
        stored = Stored.unpack(answers[-1])
        self._theta_crc, self.held_crc, self.safe = crc, stored.held_crc, False

    @property
    def remembers(self) -> bool:
        """Whether the board's cells remember more than the parameters that were set last."""
        return bool(self.known.head.capabilities & Can.SNAPSHOT)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """What its cells remember."""
        (answer,) = await self.link.ask([(Type.SNAPSHOT, b"")])
        taken = Snapshot.unpack(answer)
        if taken.size > self.known.head.area_sizes[Area.CELLS]:
            raise LinkCorrupt("the cells remember more than there is room for", uri=self.uri)
        content = await self.read_area(Area.CELLS, taken.size)
        if zlib.crc32(content) != taken.crc:
            raise LinkCorrupt("what the cells remember has changed on the way", uri=self.uri)
        return cells.unpack(content)

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Put it back."""
        content = cells.pack(memory)
        restore: Request = (Type.RESTORE, Snapshot(len(content), zlib.crc32(content)).pack())
        await self.link.ask([*self.writes(Area.CELLS, content), restore])

    def learnt(self, parameters: bytes, held_crc: int, step: int) -> None:
        """The board has set parameters by itself, before the probe of some step."""
        self.parameters, self.step = parameters, step
        self._theta_crc, self.held_crc, self.safe = self.theta_crc, held_crc, False

    def _payload(self) -> int:
        assert self.identity is not None, "in step"
        return self.identity.max_payload

    async def _bring_in_step(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.reconnect
        while True:
            new = not self.link.connected
            if new:
                await self._reconnect(deadline)
            if self.link.in_step:
                return
            try:
                await self._identify(take=True)
                return
            except LinkLost:
                if not new or loop.time() > deadline:
                    raise
            await asyncio.sleep(RECONNECT_SECONDS)  # a board that goes, or comes, may take a connection and drop it

    async def _reconnect(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self.link.connect()
                return
            except DeviceUnavailable as error:
                if loop.time() > deadline:
                    raise LinkLost(
                        f"{self.link.transport.name} did not come back within {self._options.reconnect:g} s",
                        uri=self.uri,
                    ) from error
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _identify(self, *, take: bool) -> None:
        """Find out who the board is and what it holds."""
        hello = Identify(self._number, int(self._options.dead_man * 1000), self.link.connection.max_payload, int(take))
        try:
            (answer,) = await self.link.ask([(Type.IDENTIFY, hello.pack())])
            identity = Identity.unpack(answer)
            before, self.identity = self.identity, identity
            self.link.connection.verified(identity.window)
            if self.description is None:
                await self._describe(identity)
        except LinkError:
            await self.link.disconnect()  # a connection that cannot even do this is of no use
            raise
        if before is not None:
            self._compare(before, identity)
        self._dataset_crc, self._theta_crc = identity.dataset_crc, identity.theta_crc
        self.state_crc = identity.state_crc
        self.safe = identity.theta_crc == 0

    async def _describe(self, identity: Identity) -> None:
        if not SMALLEST_DESCRIPTION <= identity.description_size <= descriptions.LONGEST:
            raise LinkCorrupt(f"a description of {identity.description_size} bytes", uri=self.uri)
        content = await self.read_area(Area.DESCRIPTION, identity.description_size)
        if zlib.crc32(content) != identity.description_crc:
            raise LinkCorrupt("the description is not the one announced", uri=self.uri)
        self.description = Description.unpack(content)

    def _compare(self, before: Identity, now: Identity) -> None:
        if now.description_crc != before.description_crc:
            self.link.connection.poison()
            raise DeviceUnavailable(
                "another board answers than the one that training began with; connect that one, and resume",
                uri=self.uri,
            )
        if now.boot != before.boot and self.remembers and self.parameters is not None:
            raise DeviceFault(
                "the board was restarted, and its cells have forgotten what they went through; resume from the last"
                " checkpoint",
                uri=self.uri,
            )
        if now.boot != before.boot:
            log.warning("%s: the board was restarted; it is sent again what it has forgotten", self.uri)
        elif now.state != State.READY:
            reason = Reason(now.reason).name.lower().replace("_", "-") if now.reason in tuple(Reason) else now.reason
            log.warning("%s: the board had gone to its safe state (%s); it goes on", self.uri, reason)

    async def _bring_dataset(self) -> None:
        if self.samples is None:
            return
        load: Request = (Type.LOAD, self.samples.load.pack())
        try:
            await self.link.ask([load])  # it may have it from an earlier time
        except Refused:
            requests = [
                *self.writes(Area.INPUTS, self.samples.inputs),
                *self.writes(Area.TARGETS, self.samples.targets),
            ]
            await self.link.ask([*requests, load])
        self._dataset_crc = self.samples.load.crc

    def _lost(self, why: str) -> None:
        log.warning("%s: %s", self.uri, why)


def limits_of(description: Description, raw: bytes | None) -> tuple[Number, Number, Number]:
    """theta_min, theta_max and theta_lsb: scalars, or from area LIMITS."""
    head = description.head
    if raw is None:
        return head.theta_min, head.theta_max, head.theta_lsb
    arrays = np.frombuffer(raw, "<f8").reshape(3, head.n_parameters)
    return arrays[0].copy(), arrays[1].copy(), arrays[2].copy()
