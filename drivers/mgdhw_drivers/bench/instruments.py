"""The instruments of a rack: used in parallel, each one message after the other, and timed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceFault, DeviceUnavailable, LinkCorrupt, LinkError, LinkLost
from mgdhw.parsing import short_repr
from mgdhw_drivers.bench.groups import OutputGroup, Step, numbers_of
from mgdhw_drivers.bench.messages import Message
from mgdhw_drivers.bench.rack import Instrument, Rack
from mgdhw_drivers.bench.templates import fill
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

Answer = TypeVar("Answer")

ATTEMPTS = 3
"""How often what may be repeated is tried if a link fails."""
BRIEF_SECONDS = 2e-3
"""Shorter waits are not left to the event loop, whose timers are a millisecond coarse."""


class Messaging(Protocol):
    """What is used of a resource."""

    @property
    def identity(self) -> str:
        """Its answer to *IDN?; empty before it was opened."""

    @property
    def is_open(self) -> bool:
        """Whether it is open."""

    async def open(self) -> None:
        """Connect, identify, initialise."""

    async def close(self) -> None:
        """Disconnect."""

    async def write(self, message: str) -> None:
        """Send a message."""

    async def query(self, message: str) -> str:
        """The answer to a message."""

    async def query_block(self, message: str) -> bytes:
        """The block that answers a message."""

    async def write_block(self, header: str, data: bytes) -> None:
        """Send a message that ends with a block."""

    async def drain_errors(self) -> None:
        """Raise DeviceFault if its error queue has any."""


MakeResource = Callable[[str, str, Instrument], Messaging]
"""A resource from the name, address and settings of an instrument."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent: to which instrument, when, how long until it was sent or answered, in seconds."""

    instrument: str
    text: str
    began: float
    seconds: float


def resource_of(name: str, address: str, instrument: Instrument, uri: str) -> Resource:
    """The VISA resource of an instrument."""
    settings = ResourceSettings(
        backend=instrument.backend,
        open_timeout=instrument.open_timeout,
        timeout=instrument.timeout,
        read_termination=instrument.read_termination,
        write_termination=instrument.write_termination,
        min_interval=instrument.min_interval,
        baud_rate=instrument.baud_rate,
        identity=instrument.identity,
        initialise=instrument.initialise,
        check_errors=instrument.check_errors,
    )
    return Resource(name, address, settings, uri)


class Instruments:
    """The instruments of a rack.

    Args:
        rack: whose they are.
        uri: of the device.
        make: makes the resource of an instrument; for tests and dry runs.
    """

    def __init__(self, rack: Rack, uri: str, make: MakeResource | None = None) -> None:
        self._rack, self._uri = rack, uri
        self.record: list[Sent] | None = None
        """Messages are recorded here, if it is a list."""

        def usual(name: str, address: str, instrument: Instrument) -> Messaging:
            return resource_of(name, address, instrument, uri)

        create = make or usual
        self.resources = {name: create(name, *where) for name, where in rack.resources().items()}
        self.fault: LinkError | None = None
        """The last failure of a link, until the device has made sure of what its instrument holds."""
        self._used: set[str] = set()
        """Those to which something may have been sent since the device was opened."""

    async def open(self) -> None:
        """Open all, in parallel. If some cannot be opened, the others are open all the same.

        Raises:
            DeviceAbsent, DeviceUnavailable, DeviceFault: for the first that fails.
        """
        await in_parallel(self._open(name) for name in self.resources)

    async def open_again(self) -> list[Exception]:
        """Open those that were open before and are closed; what went wrong."""
        closed = [name for name in self._used if not self.is_open(name)]
        found = await asyncio.gather(*(self._open(name) for name in closed), return_exceptions=True)
        return [error for error in found if isinstance(error, Exception)]

    async def _open(self, name: str) -> None:
        self._used.add(name)
        try:
            await self._timed(name, "(open)", self.resources[name].open)
        except DeviceUnavailable:
            if not self._was_open(name):
                self._used.discard(name)  # nothing was sent to it
            raise

    def _was_open(self, name: str) -> bool:
        return bool(self.resources[name].identity)

    def is_open(self, name: str) -> bool:
        """Whether an instrument is open."""
        return self.resources[name].is_open

    def forget_use(self) -> None:
        """They are in their safe state; none has to be opened again for that."""
        self._used.clear()

    async def close(self) -> None:
        """Close all, whatever becomes of each."""
        await asyncio.gather(*(one.close() for one in self.resources.values()), return_exceptions=True)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages: those of an instrument in their order, those of several in parallel."""
        by_instrument: dict[str, list[Message]] = {}
        for message in messages:
            by_instrument.setdefault(message.instrument, []).append(message)
        await in_parallel(self._send_all(own) for own in by_instrument.values())

    async def _send_all(self, messages: Iterable[Message]) -> None:
        for name, text, block, confirmed in messages:
            resource = self.resources[name]
            if confirmed:
                await self._timed(name, text, partial(resource.query, text))
            elif block is None:
                await self._timed(name, text, partial(resource.write, text))
            else:
                await self._timed(name, f"{text}#… ({len(block)} bytes)", partial(resource.write_block, text, block))

    async def ask(self, instrument: str, query: str) -> str:
        """The answer to a query."""
        return await self._timed(instrument, query, partial(self.resources[instrument].query, query))

    async def ask_numbers(self, instrument: str, query: str) -> FloatArray:
        """The numbers that answer a query, with commas between them. Raises LinkCorrupt if they are none."""
        answer = await self.ask(instrument, query)
        try:
            return np.array([float(part) for part in answer.split(",")])
        except ValueError:
            raise LinkCorrupt(
                f"{instrument} answered {query} by {short_repr(answer)}; expected numbers", uri=self._uri
            ) from None

    async def ask_array(self, instrument: str, query: str, output: OutputGroup) -> FloatArray:
        """The numbers that answer a query in the format of an output."""
        if output.format == "ascii":
            return await self.ask_numbers(instrument, query)
        data = await self._timed(instrument, query, partial(self.resources[instrument].query_block, query))
        try:
            return numbers_of(data, output.dtype, output.byte_order)
        except ValueError:
            raise LinkCorrupt(
                f"{instrument} answered {query} by a block of {len(data)} bytes; expected {output.dtype} numbers",
                uri=self._uri,
            ) from None

    async def take(self, steps: Iterable[Step], values: Mapping[str, str] | None = None) -> None:
        """Take steps, one after the other; a step of a set of instruments is taken by all in parallel.

        Raises:
            DeviceFault: an answer is not the expected one.
        """
        for step in steps:
            if step.instrument is not None:
                members = self._rack.members(step.instrument)
                await in_parallel(self._take(one, step, values or {}) for one in members)
            await pause(step.delay)

    async def _take(self, instrument: str, step: Step, values: Mapping[str, str]) -> None:
        if step.write is not None:
            await self._send_all([Message(instrument, fill(step.write, **values))])
        elif step.query is not None:
            query = fill(step.query, **values)
            answer = await self.ask(instrument, query)
            if step.expect is not None and not same_answer(answer, step.expect):
                raise DeviceFault(
                    f"{instrument} answered {query} by {short_repr(answer)}; expected {step.expect!r}", uri=self._uri
                )

    async def drain_errors(self) -> None:
        """Raise DeviceFault for errors that instruments report, and LinkLost for one that was switched off and on."""
        await in_parallel(self._timed(name, "(errors?)", one.drain_errors) for name, one in self.resources.items())

    async def _timed(self, instrument: str, text: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        began = time.perf_counter()
        try:
            return await work()
        except LinkError as error:
            self.fault = error
            raise
        except OSError as error:
            self.fault = LinkLost(f"{instrument}: {error}", uri=self._uri)
            raise
        finally:
            if self.record is not None:
                self.record.append(Sent(instrument, text, began, time.perf_counter() - began))


async def repeated(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """The result of work that may be repeated, and is if a link fails. Raises what the last attempt does."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(LinkError, OSError):
            return await work()
    return await work()


async def in_parallel(work: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Results of several coroutines. If some fail, the others end first; then the first error, with others as notes."""
    each = list(work)
    if len(each) == 1:
        return [await each[0]]
    results = await asyncio.gather(*each, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"also: {other}")
        raise errors[0]
    return [result for result in results if not isinstance(result, BaseException)]


async def pause(seconds: float) -> None:
    """Wait at least so long, and hardly longer."""
    if seconds >= BRIEF_SECONDS:
        await asyncio.sleep(seconds)
    elif seconds > 0:
        _pause_briefly(seconds)


def _pause_briefly(seconds: float) -> None:
    time.sleep(seconds)


def same_answer(answer: str, expected: str) -> bool:
    """Whether an answer is the expected one; as numbers, if both are."""
    try:
        return float(answer) == float(expected)
    except ValueError:
        return answer.strip().strip('"') == expected.strip().strip('"')
