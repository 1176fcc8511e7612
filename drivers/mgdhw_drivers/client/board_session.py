"""A session with a board: its identity, what it holds, and bringing it up to date after connections were lost."""

from __future__ import annotations

import asyncio
import logging
import secrets
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.device.recovery import log_waiting
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
from mgdhw_drivers.client.motion_limiter import MotionLimiter
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.client.refusals import Refused
from mgdhw_drivers.client.request_link import Request, RequestLink
from mgdhw_drivers.client.same_board import check_same_board
from mgdhw_drivers.protocol import cells
from mgdhw_drivers.protocol import description as descriptions
from mgdhw_drivers.protocol.claims import check_description
from mgdhw_drivers.protocol.description import Description
from mgdhw_drivers.protocol.frames import SMALLEST_PAYLOAD
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity, Read, Set, Snapshot, Stored
from mgdhw_drivers.protocol.numbers import Area, CapabilityBits, Type
from mgdhw_drivers.protocol.parameters import ParameterForm
from mgdhw_drivers.protocol.samples import Samples

Result = TypeVar("Result")

log = logging.getLogger("mgdhw.link")

TURNS = 8
"""How often in a row a board may want to be brought up to date for one request."""
RECONNECT_SECONDS = 0.05
"""Pause between attempts to connect again."""
CLOSING_SECONDS = 1.5
"""How long a board may take to say that it is in its safe state, beyond what its parameters need to get there."""
LONGEST_RAMP_SECONDS = 60.0
"""For which closing waits; a slower board gets to its safe state by itself."""
MOST_CELL_BYTES = 1 << 28
"""Of the state of cells, whatever a board claims."""

SMALLEST_DESCRIPTION = descriptions.Head.form.size


class BoardSession:
    """One board, over all of its connections.

    Args:
        link: what carries the messages.
        options: of the address.
    """

    def __init__(self, link: RequestLink, options: LinkOptions) -> None:
        self.link = link
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
        self.fault: DeviceFault | None = None
        """A fault that the board has reported while no request was under way; raised by the next one."""
        self.form: ParameterForm | None = None
        """How parameters are sent, as soon as that is known."""
        self.motion_limiter: MotionLimiter | None = None
        """Limits on how its parameters move, where its address has any."""
        self._found = False
        """Whether it is known where they are."""
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
            if self.link.byte_stream.refusal is not None:
                raise DeviceUnavailable(self.link.byte_stream.refusal, uri=self.uri) from None
            kind = DeviceAbsent if isinstance(error, LinkTimeout | LinkLost) else DeviceUnavailable
            raise kind(
                f"{self.link.byte_stream.name} does not answer as a board does"
                f" ({str(error).removeprefix(f'{self.uri}: ')}); is it the right one, and does no other host use it?",
                uri=self.uri,
            ) from error
        self.link.on_loss = self._lost

    async def end(self) -> None:
        """Leave the board in its safe state if it can be reached, and disconnect. In bounded time, whatever it does."""
        limit = self.leaving_seconds
        why = f"{self.uri}: no answer within {limit:.3g} s"
        try:
            if self.link.connected:
                with log_waiting(f"{self.uri} to reach its safe state", limit):
                    async with asyncio.timeout(limit), self.lock:
                        if not self.link.in_step:
                            await self._identify(take=False)
                        await self.link.ask([(Type.SAFE, b"")])
        except (LinkError, TimeoutError) as error:
            self.link.leave()
            who = (
                "its dead-man timer brings it there"
                if self._options.dead_man
                else "it has no dead-man timer, so look at the hardware"
            )
            log.warning("%s did not say that it is in its safe state (%s); %s", self.uri, str(error) or why, who)
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
            fault, self.fault = self.fault, None
            if fault is not None:
                raise fault
            try:
                return await self._do(work, dataset, parameters)
            except LinkCorrupt as error:
                self.link.connection.poison()  # the next answer may be as wrong
                raise error if error.uri else LinkCorrupt(str(error), uri=self.uri) from error

    async def _do(self, work: Callable[[], Awaitable[Result]], dataset: bool, parameters: bool) -> Result:
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
        asked = [Read(area, start, min(step, size - start)) for start in range(0, size, step)]
        answers = await self.link.ask([(Type.READ, read.pack()) for read in asked])
        for read, answer in zip(asked, answers, strict=True):
            if Chunk.parse(answer) != Chunk(read.area, read.offset) or len(answer) != Chunk.form.size + read.length:
                raise LinkCorrupt(
                    f"bytes {read.offset} ... {read.offset + read.length} of area {area.name} were asked for, others"
                    " were answered",
                    uri=self.uri,
                )
        return b"".join(answer[Chunk.form.size :] for answer in answers)

    async def set_parameters(self, step: int) -> None:
        """Write REQUESTED and set it, by a ramp where the address says how far parameters may move at once."""
        assert self.parameters is not None, "set by the caller"
        if self.motion_limiter is None:
            await self._set(self.parameters, step)
            return
        if not self._found:
            self.motion_limiter.starts_at(await self.read_held())
            self._found = True
        for content in self.motion_limiter.points(self.parameters):
            await self._set(content, step)

    async def _set(self, content: bytes, step: int) -> None:
        crc = zlib.crc32(content)
        answers = await self.link.ask([*self.writes(Area.REQUESTED, content), (Type.SET, Set(step, crc).pack())])
        stored = Stored.unpack(answers[-1])
        if stored.theta_crc != crc:
            raise LinkCorrupt("the board has set other parameters than those that it was sent", uri=self.uri)
        self._theta_crc, self.held_crc, self.safe = crc, stored.held_crc, False

    async def read_held(self) -> NDArray[np.float64]:
        """θ that the hardware holds, (P,). Raises DeviceFault where that is no number."""
        assert self.form is not None, "the description was read"
        held = self.form.decode(await self.read_area(Area.HELD, self.form.count * self.form.size))
        if not np.isfinite(held).all():
            raise DeviceFault(
                f"the board says that parameter {int(np.argmin(np.isfinite(held)))} holds no number", uri=self.uri
            )
        return held

    @property
    def has_cell_state(self) -> bool:
        """Whether the board's cells have a state beyond the parameters that were set last."""
        return bool(self.known.head.capabilities & CapabilityBits.SNAPSHOT)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """The state of its cells."""
        (answer,) = await self.link.ask([(Type.SNAPSHOT, b"")])
        taken = Snapshot.unpack(answer)
        if taken.size > min(self.known.head.area_sizes[Area.CELLS], MOST_CELL_BYTES):
            raise LinkCorrupt("the state of its cells is larger than the board has room for", uri=self.uri)
        content = await self.read_area(Area.CELLS, taken.size)
        if zlib.crc32(content) != taken.crc:
            raise LinkCorrupt("the state of its cells has changed on the way", uri=self.uri)
        return cells.unpack(content)

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Restore a state of its cells."""
        content = cells.pack(memory)
        restore: Request = (Type.RESTORE, Snapshot(len(content), zlib.crc32(content)).pack())
        await self.link.ask([*self.writes(Area.CELLS, content), restore])

    def segment_learnt(self, parameters: bytes, held_crc: int, step: int) -> None:
        """The board has set parameters by itself, before the probe of some step."""
        self.parameters, self.step = parameters, step
        self._theta_crc, self.held_crc, self.safe = self.theta_crc, held_crc, False

    def _payload(self) -> int:
        assert self.identity is not None, "in step"
        return self.identity.max_payload

    @property
    def leaving_seconds(self) -> float:
        """How long the end of a session waits for the board: for an answer, and for a ramp through all of its range."""
        ramp = 0.0 if self.description is None else self.description.ramp_seconds
        return CLOSING_SECONDS + min(ramp, LONGEST_RAMP_SECONDS)

    async def _bring_in_step(self) -> None:
        """Find out what the board holds, connecting again if need be; one that is away or frozen is waited for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.reconnect
        with log_waiting(self.uri, self._options.reconnect):
            while True:
                try:
                    await self._try_to_identify()
                    return
                except (LinkLost, LinkTimeout) as error:
                    if loop.time() > deadline:
                        raise self._stays_away(error) from error
                await asyncio.sleep(RECONNECT_SECONDS)  # one that goes, or comes, may take a connection and drop it

    async def _try_to_identify(self) -> None:
        if not self.link.connected:
            try:
                await self.link.connect()
            except DeviceUnavailable as error:
                raise LinkLost(str(error)) from error
        await self._identify(take=True)

    def _stays_away(self, error: LinkError) -> LinkError:
        what = "did not come back" if isinstance(error, LinkLost) else "did not answer"
        return type(error)(
            f"{self.link.byte_stream.name} {what} within {self._options.reconnect:g} s; check its power and its cable"
            f" (reconnect=SECONDS in the address waits longer): {str(error).removeprefix(f'{self.uri}: ')}",
            uri=self.uri,
        )

    async def _identify(self, *, take: bool) -> None:
        """Ask the board for its identity and for what it holds."""
        hello = Identify(self._number, int(self._options.dead_man * 1000), self.link.connection.max_payload, int(take))
        try:
            (answer,) = await self.link.ask([(Type.IDENTIFY, hello.pack())])
            identity = Identity.unpack(answer)
            if identity.max_payload < SMALLEST_PAYLOAD:
                raise LinkCorrupt(f"max_payload is {identity.max_payload}, expected {SMALLEST_PAYLOAD} or more")
            before, self.identity = self.identity, identity
            self.link.connection.verified(identity.window)
            if self.description is None:
                await self._describe(identity)
        except LinkError as error:
            await self.link.disconnect()  # a connection that cannot even do this is of no use
            raise error if error.uri else type(error)(str(error), uri=self.uri) from error
        if before is not None:
            try:
                check_same_board(
                    before, identity, self.uri, forgets=self.has_cell_state and self.parameters is not None
                )
            except DeviceUnavailable:
                self.link.connection.poison()
                raise
        self._dataset_crc, self._theta_crc = identity.dataset_crc, identity.theta_crc
        self.state_crc = identity.state_crc
        self.safe = identity.theta_crc == 0
        self._found = False  # something may have been set whose answer was lost, or the board went to its safe state

    async def _describe(self, identity: Identity) -> None:
        if not SMALLEST_DESCRIPTION <= identity.description_size <= descriptions.LONGEST:
            raise LinkCorrupt(f"a description of {identity.description_size} bytes", uri=self.uri)
        content = await self.read_area(Area.DESCRIPTION, identity.description_size)
        if zlib.crc32(content) != identity.description_crc:
            raise LinkCorrupt("the description is not the one announced", uri=self.uri)
        description = Description.unpack(content)
        check_description(description)
        self.description = description

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
