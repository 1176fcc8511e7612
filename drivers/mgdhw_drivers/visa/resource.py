"""An instrument that several tasks may use: requests one after the other, each whole.

Whatever may block is done in a thread of its own. Where an instrument is in step, and its connection can be watched by
the event loop, a request needs no thread: to wake one, and to be woken by it, takes twice as long as a short query.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceAbsent, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw.parsing import short_repr
from mgdhw_drivers.visa.framing import Incomplete, take_block, take_line, take_parts
from mgdhw_drivers.visa.instrument import MOST_ERRORS, Instrument
from mgdhw_drivers.visa.lock import AddressLock
from mgdhw_drivers.visa.owner_thread import OwnerThread, Stuck
from mgdhw_drivers.visa.session import Take
from mgdhw_drivers.visa.settings import ResourceSettings
from mgdhw_drivers.visa.stream_session import StreamSession

__all__ = ["Resource", "ResourceSettings"]

Answer = TypeVar("Answer")

MARGIN_SECONDS = 2.0
"""How much longer than its timeouts a call may take, before its thread is abandoned."""
CLOSING_SECONDS = 2.0
"""How long closing may take."""
MOST_INLINE_SECONDS = 0.01
"""How long requests, one after the other, may keep the event loop from other tasks."""


class Resource:
    """An instrument by VISA.

    A request is a whole: of two tasks that ask at the same time, each gets its own answer. A cancelled task is free at
    once; the thread goes on, and the next request waits for that and for the instrument to be in step again. The first
    request after a timeout makes sure that no late answer is taken for its own: what comes is dropped until the
    instrument has answered `*IDN?` and its line is quiet.

    Args:
        name: what people call the instrument, for errors.
        address: of VISA, for example TCPIP::192.168.0.7::5025::SOCKET.
        settings: how it is spoken to.
        uri: of the device that it belongs to, for errors.

    Raises (all requests):
        LinkTimeout: no answer in time.
        LinkLost: the connection is gone; or it was switched off and on, or had to be opened again: what was set
            before is lost. It has been initialised, and the next request finds it open.
        LinkCorrupt: an answer that is none.
        DeviceAbsent, DeviceUnavailable: where it had to be opened again, and could not be.
    """

    def __init__(self, name: str, address: str, settings: ResourceSettings, uri: str) -> None:
        self.name, self.address, self.settings, self.uri = name, address, settings, uri
        self._lock = None if settings.backend.endswith("@sim") else AddressLock(address, uri)
        self._owner: OwnerThread | None = None
        self._instrument: Instrument | None = None
        self._identity = ""
        self._turn = asyncio.Lock()
        self._arrived: asyncio.Future[bool] | None = None
        """Awaited by the request that the event loop makes."""
        self._others_ran = 0.0
        """When, by the event loop's clock, a request last left it to other tasks."""

    @property
    def identity(self) -> str:
        """Its answer to `*IDN?`; empty before it was opened."""
        return self._identity

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._instrument is not None

    @property
    def has_hung_up(self) -> bool:
        """Whether its connection is gone, as far as that can be seen while it is idle."""
        if self._instrument is None or self._owner is None or not self._owner.idle or self._turn.locked():
            return False
        return self._instrument.has_hung_up()

    async def open(self) -> None:
        """Connect, identify, initialise.

        Raises:
            DeviceAbsent: it is not there, or not yet.
            DeviceUnavailable: another program has it, it is another instrument, or the backend is not installed.
            DeviceFault: it reports errors of its initialisation.
        """
        await self.close()
        if self._lock is not None:
            self._lock.take()
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect, in bounded time, from any state."""
        owner, self._owner = self._owner, None
        instrument, self._instrument = self._instrument, None
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_exception(LinkLost(f"{self.name} was closed meanwhile", uri=self.uri))
            await asyncio.sleep(0)  # its descriptor is not to be watched any more when it is closed
        try:
            if owner is not None and instrument is not None:
                with contextlib.suppress(Stuck):
                    await owner.run(instrument.close, CLOSING_SECONDS)
        finally:
            if owner is not None:
                owner.end()
            if self._lock is not None:
                self._lock.release()

    async def write(self, message: str) -> None:
        """Send a message."""
        await self._tell((message + self.settings.write_termination).encode())

    async def query(self, message: str) -> str:
        """The answer to a message, without its termination."""
        with self._naming(message):
            raw = await self._ask((message + self.settings.write_termination).encode(), take_line)
        return self._opened().decode(raw)

    async def query_block(self, message: str) -> bytes:
        """The content of the IEEE 488.2 block that answers a message."""
        with self._naming(message):
            return await self._ask((message + self.settings.write_termination).encode(), take_block)

    async def query_ascii(self, message: str) -> FloatArray:
        """The numbers, separated by commas, that answer a message."""
        answer = await self.query(message)
        try:
            return np.array([float(number) for number in answer.split(",")])
        except ValueError:
            raise LinkCorrupt(
                f"{self.name} answers {message} by {short_repr(answer)}; expected numbers", uri=self.uri
            ) from None

    async def write_block(self, header: str, data: bytes) -> None:
        """Send a message that ends in an IEEE 488.2 block of data."""
        size = str(len(data))
        head = f"{header}{'' if header.endswith((' ', ',')) else ' '}#{len(size)}{size}".encode()
        await self._tell(b"".join((head, data, self.settings.write_termination.encode())))

    async def query_parts(self, message: bytes) -> list[bytes | str]:
        """The parts of the answer to a message, which may have blocks: its blocks as bytes, all else as text."""
        return await self._ask(message + self.settings.write_termination.encode(), take_parts)

    async def drain_errors(self) -> None:
        """Read its error queue and its event status, where it has them and the settings say so.

        Raises:
            DeviceFault: errors, with code and text.
            LinkLost: it was switched off and on.
        """
        for _ in range(MOST_ERRORS):
            instrument = self._opened()
            if not instrument.status_query:
                return
            raw = await self._ask(instrument.encode(instrument.status_query), take_line)
            if instrument.note_status(raw) == 0:
                break
        instrument = self._opened()
        if instrument.switched_on:
            async with self._turn:
                await self._run(lambda instrument: instrument.initialise_again())
        instrument.raise_errors()

    async def wait_complete(self) -> None:
        """Wait until it has done all that it was sent, as `*OPC?` says, for up to its timeout."""
        await self.query("*OPC?")

    @contextlib.contextmanager
    def _naming(self, message: str) -> Iterator[None]:
        """A timeout names the message that was not answered: it may be one that the instrument does not know."""
        try:
            yield
        except LinkTimeout as error:
            text = str(error).removeprefix(f"{self.uri}: ")
            raise LinkTimeout(f"{text} (to {short_repr(message)})", uri=self.uri) from error

    # --- in the event loop, where that blocks nothing --------------------------------------------------------------

    async def _tell(self, data: bytes) -> None:
        async with self._turn:
            session, instrument = self._quick_session(), self._opened()
            if session is None:
                await self._run(lambda instrument: instrument.tell(data))
                return
            with instrument.guarded():
                sent = instrument.send_at_once(session, data)
            if sent < len(data):
                await self._run(lambda instrument: instrument.tell_rest(data[sent:]))

    async def _ask(self, data: bytes, take: Take[Answer]) -> Answer:
        async with self._turn:
            session, instrument = self._quick_session(), self._opened()
            if session is None:
                return await self._run(lambda instrument: instrument.ask(data, take))
            with instrument.guarded():
                sent = instrument.send_at_once(session, data)
                if sent == len(data):
                    return await self._await_answer(session, instrument, take)
            return await self._run(lambda instrument: instrument.ask_rest(data[sent:], take))

    async def _await_answer(self, session: StreamSession, instrument: Instrument, take: Take[Answer]) -> Answer:
        """The answer, as soon as all of it has arrived."""
        loop = asyncio.get_running_loop()
        descriptor = session.fileno()
        inline = self.settings.inline_wait
        if inline and loop.time() - self._others_ran < MOST_INLINE_SECONDS and session.arrives_within(inline):
            with contextlib.suppress(Incomplete):
                return instrument.take_arrived(session, take)
        while True:
            arrived: asyncio.Future[bool] = loop.create_future()
            self._arrived = arrived
            timer = loop.call_later(session.timeout, _settle, arrived, False)
            loop.add_reader(descriptor, _settle, arrived, True)
            try:
                if not await arrived:
                    raise instrument.silent(session)
            finally:
                self._arrived = None
                loop.remove_reader(descriptor)
                timer.cancel()
                self._others_ran = loop.time()
            with contextlib.suppress(Incomplete):
                return instrument.take_arrived(session, take)

    def _quick_session(self) -> StreamSession | None:
        """The session if nothing has to be done in the thread first, and nothing is done there."""
        if self._instrument is None or self._owner is None or not self._owner.idle or self._owner.stuck:
            return None
        return self._instrument.quick_session()

    def _opened(self) -> Instrument:
        """The instrument. Raises DeviceAbsent while it is not open."""
        if self._instrument is None:
            raise DeviceAbsent(f"{self.name} is not open", uri=self.uri)
        return self._instrument

    # --- in the thread -------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[Instrument], Answer]) -> Answer:
        self._opened()
        if self._owner is None or self._owner.stuck:
            await self._start()
        owner, instrument = self._owner, self._opened()
        assert owner is not None, "started"
        try:
            return await owner.run(partial(work, instrument), self._limit)
        except Stuck:
            self._abandon(owner, instrument)
            raise LinkTimeout(
                f"{self.name} is stuck in a call of backend {self.settings.backend}; it is opened again before its next"
                " use",
                uri=self.uri,
            ) from None

    async def _start(self) -> None:
        """A new thread with a new connection."""
        owner = OwnerThread(f"instrument {self.name}")
        instrument = Instrument(self.name, self.address, self.settings, self.uri, owner.interrupted)
        self._owner, self._instrument = owner, instrument
        try:
            await owner.run(instrument.connect, self.settings.open_timeout + MARGIN_SECONDS)
            await owner.run(instrument.begin, self._limit)
        except Stuck:
            self._abandon(owner, instrument)
            raise DeviceAbsent(
                f"{self.name}: opening {self.address} does not come to an end; is it there?", uri=self.uri
            ) from None
        identity = instrument.identity
        self._identity = identity

    def _abandon(self, owner: OwnerThread, instrument: Instrument) -> None:
        """Leave a thread behind; should its call ever return, it closes its connection."""
        if self._owner is owner:
            self._owner = None
        owner.close_later(instrument.close)
        owner.end()

    @property
    def _limit(self) -> float:
        """Seconds that a call may take: with bringing the instrument in step, and opening it again."""
        settings = self.settings
        messages = len(settings.initialise) + 8
        return settings.open_timeout + messages * (settings.timeout + settings.min_interval) + MARGIN_SECONDS


def _settle(future: asyncio.Future[bool], answer: bool) -> None:
    if not future.done():
        future.set_result(answer)
