"""An instrument, used by one thread: opened, identified, kept in step, and brought back in step after a fault."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from mgdhw.errors import DeviceAbsent, DeviceError, DeviceFault, DeviceUnavailable, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw.parsing import short_repr
from mgdhw_drivers.visa.backend import link_errors
from mgdhw_drivers.visa.framing import LONGEST, take_line
from mgdhw_drivers.visa.open_session import open_session
from mgdhw_drivers.visa.owner_thread import Interrupted
from mgdhw_drivers.visa.session import Session, Take
from mgdhw_drivers.visa.settings import ResourceSettings
from mgdhw_drivers.visa.status import POWER_ON, STATUS, parse_status
from mgdhw_drivers.visa.stream_session import StreamSession

MOST_ERRORS = 64
"""Errors read from a queue at once, at most: one that is never empty is not read for ever."""
QUIET_SECONDS = 0.05
"""A line on which nothing has come for so long is quiet."""


Answer = TypeVar("Answer")


class Instrument:
    """An instrument. Blocks; not to be shared by threads.

    Args:
        name: what people call it.
        address: of VISA.
        settings: how it is spoken to.
        uri: of the device that it belongs to, for errors.
        interrupted: whether nobody waits any more for what is awaited.
    """

    def __init__(
        self, name: str, address: str, settings: ResourceSettings, uri: str, interrupted: Callable[[], bool]
    ) -> None:
        self.identity = ""
        self._name, self._address, self._settings, self._uri = name, address, settings, uri
        self._interrupted = interrupted
        self._session: Session | None = None
        self._poisoned = False
        """Whether an answer to an earlier question may still come."""
        self.switched_on = False
        """Whether it was switched off and on, and knows nothing of what was set."""
        self.status_query = ""
        """The query that tells its errors; empty: it has none."""
        self._errors: list[str] = []
        """Errors that it has reported, and that were raised to nobody yet."""
        self._ready_at = 0.0

    # --- open and close ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, identify, initialise. Raises DeviceAbsent, DeviceUnavailable, DeviceFault."""
        self.connect()
        self.begin()

    def connect(self) -> None:
        """Connect. Raises DeviceAbsent, DeviceUnavailable."""
        self.close()
        self._session = open_session(self._address, self._settings, self._uri, self._interrupted)

    def begin(self) -> None:
        """Identify and initialise it. Raises as `open`."""
        assert self._session is not None, "connected"
        try:
            self._begin(self._session)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect. From any state."""
        session, self._session = self._session, None
        self._poisoned = self.switched_on = False
        if session is not None:
            with contextlib.suppress(Exception):  # whatever a backend does with a connection that is gone
                session.close()

    def _begin(self, session: Session) -> None:
        name, settings = self._name, self._settings
        try:
            identity = self._identify(session)
        except (LinkTimeout, LinkLost) as error:
            raise DeviceAbsent(
                f"{_text_of(error)}, to {settings.identify} at {self._address}; is it switched on, and are the"
                " terminations (and the baud rate) its own?",
                uri=self._uri,
            ) from None
        expected = self.identity or settings.identity
        if settings.identity not in identity or (self.identity and identity != self.identity):
            raise DeviceUnavailable(
                f"{self._address} is {short_repr(identity)}; expected {short_repr(expected)} for {name}", uri=self._uri
            )
        self.identity = identity
        self._find_status()
        self._initialise()

    def _identify(self, session: Session) -> str:
        """Its identity. On a line that may bring answers to what a killed program asked, it has to say it twice."""
        self._send(session, self._settings.identify)
        identity = self._receive_text(session)
        if not session.is_stream:
            return identity
        self._send(session, self._settings.identify)
        began = time.monotonic()
        while time.monotonic() - began < self._settings.open_timeout:
            latest = self._receive_text(session)
            if latest == identity and latest and self._is_quiet(session):
                return identity
            identity = latest
        raise LinkCorrupt(f"{self._name} does not stop to send, for example {short_repr(identity)}", uri=self._uri)

    def _find_status(self) -> None:
        """Find out how it tells its errors, and forget old ones."""
        self.status_query = ""
        if not self._settings.check_errors:
            return
        self.write("*CLS")
        for query in (STATUS, "SYST:ERR?"):
            try:
                answer = self.query(query)
            except LinkTimeout:
                self._resynchronise()
                continue
            if parse_status(answer, query) is not None:
                self.status_query = query
                break
        if self.query(self._settings.identify) != self.identity:  # it has answered what is no query
            self._resynchronise()
        for _ in range(MOST_ERRORS if self.status_query else 0):  # what it did not understand of this
            if self.note_status(self.ask(self.encode(self.status_query), take_line)) == 0:
                break

    def _initialise(self) -> None:
        self.switched_on = False
        self._errors.clear()
        for message in self._settings.initialise:
            self.write(message)
        if self._settings.initialise:
            self.drain_errors()

    # --- use -----------------------------------------------------------------------------------------------------

    def tell(self, data: bytes) -> None:
        """Send a whole message."""
        with self._in_step() as session:
            self._send_bytes(session, data)

    def ask(self, data: bytes, take: Take[Answer]) -> Answer:
        """The answer to a whole message."""
        with self._in_step() as session:
            self._send_bytes(session, data)
            return self._receive(session, take)

    def tell_rest(self, data: bytes) -> None:
        """Send the rest of a message of which some was sent at once."""
        with self.guarded():
            if self._session is None:
                raise LinkLost(f"the connection to {self._name} was closed", uri=self._uri)
            self._send_bytes(self._session, data)
            self._poisoned = False

    def ask_rest(self, data: bytes, take: Take[Answer]) -> Answer:
        """The same, and the answer."""
        self.tell_rest(data)
        with self.guarded():
            assert self._session is not None, "sent"
            return self._receive(self._session, take)

    def write(self, message: str) -> None:
        """Send a message."""
        self.tell(self.encode(message))

    def query(self, message: str) -> str:
        """The text that answers a message."""
        return self.decode(self.ask(self.encode(message), take_line))

    def encode(self, message: str) -> bytes:
        """A message with its termination."""
        return (message + self._settings.write_termination).encode()

    def decode(self, raw: bytes) -> str:
        """An answer as text. Raises LinkCorrupt where it is none."""
        try:
            return raw.decode().strip()
        except UnicodeDecodeError:
            self._poisoned = True
            raise LinkCorrupt(f"{self._name} answers by what is no text: {raw[:40]!r}", uri=self._uri) from None

    def drain_errors(self) -> None:
        """Read its error queue until it is empty. Raises DeviceFault, and LinkLost where it was switched off and on."""
        for _ in range(MOST_ERRORS if self.status_query else 0):
            if self.note_status(self.ask(self.encode(self.status_query), take_line)) == 0:
                break
        if self.switched_on:
            self.initialise_again()
        self.raise_errors()

    def note_status(self, raw: bytes) -> int:
        """Note what an answer to `status_query` says: an error, whose code is returned, and whether it was switched on.

        Raises:
            LinkCorrupt: it says something else.
        """
        answer = self.decode(raw)
        status = parse_status(answer, self.status_query)
        if status is None:
            self._poisoned = True
            raise LinkCorrupt(f"{self._name} answers {self.status_query} by {short_repr(answer)}", uri=self._uri)
        events, code, text = status
        self.switched_on |= bool(events & POWER_ON)
        if code:
            self._errors.append(f"{code}, {text}" if text else str(code))
        return code

    def raise_errors(self) -> None:
        """Raise what was noted as DeviceFault."""
        found, self._errors = self._errors, []
        if found:
            raise DeviceFault(f"{self._name} reports error {'; '.join(found)}", uri=self._uri)

    # --- in step -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[Session]:
        """The session, with which every answer belongs to its question."""
        session = self._session
        if session is None:
            self.open()
            session = self._session
            assert session is not None, "open"
        elif self._poisoned or self._has_strayed(session):
            session = self._bring_in_step(session)
        with self.guarded():
            yield session

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """In this context an answer is awaited: if it fails, the next one is not to be trusted."""
        try:
            yield
        except (Interrupted, asyncio.CancelledError, LinkTimeout, LinkCorrupt):
            self._poisoned = True
            raise
        except LinkLost:
            self.close()
            raise

    def quick_session(self) -> StreamSession | None:
        """The session if the event loop may use it: it can be watched, and is in step. Blocks for nothing."""
        session = self._session
        if not isinstance(session, StreamSession) or self._poisoned or self._settings.min_interval:
            return None
        try:
            if session.fileno() < 0:
                return None
            self._poisoned = bool(session.take_stray().strip())
        except OSError:
            return None  # the thread finds out again, and says so
        return None if self._poisoned else session

    def has_hung_up(self) -> bool:
        """Whether its connection is gone, as far as that can be seen without waiting."""
        session = self._session
        return session is None or (isinstance(session, StreamSession) and session.has_hung_up())

    def send_at_once(self, session: StreamSession, data: bytes) -> int:
        """Send what can be sent of a message without waiting; how much that is. The rest has to follow."""
        with link_errors(self._name, self._uri):
            sent = session.send_at_once(data)
        if sent < len(data):
            self._poisoned = session.write_interrupted = True  # until `tell_rest`, should it ever be called
        return sent

    def take_arrived(self, session: StreamSession, take: Take[Answer]) -> Answer:
        """The answer, if all of it has arrived. Raises Incomplete."""
        with self._answer_errors(session), link_errors(self._name, self._uri):
            return session.take_arrived(take)

    def silent(self, session: StreamSession) -> LinkTimeout:
        """The error for an answer that has not arrived in time."""
        return LinkTimeout(f"{self._name} {session.silent()}", uri=self._uri)

    def _has_strayed(self, session: Session) -> bool:
        """Whether something came that nobody asked for."""
        try:
            with link_errors(self._name, self._uri):
                return bool(session.take_stray().strip())
        except LinkLost:
            self.close()  # or it would be found lost for ever
            raise

    def _bring_in_step(self, session: Session) -> Session:
        """Synchronise, or else open again."""
        try:
            if not session.write_interrupted:
                self._resynchronise()
                return session
        except (LinkTimeout, LinkCorrupt):
            pass
        try:
            self.open()
        except DeviceAbsent as error:
            raise LinkTimeout(_text_of(error), uri=self._uri) from None
        raise LinkLost(
            f"{self._name} had to be opened and initialised again; what was set before may be lost", uri=self._uri
        )

    def _resynchronise(self) -> None:
        """Drop what comes until it has identified itself and its line is quiet. Raises LinkTimeout, LinkCorrupt."""
        session = self._session
        assert session is not None, "open"
        with link_errors(self._name, self._uri):
            session.clear()
        self._send(session, self._settings.identify)
        began = time.monotonic()
        while True:
            answer = self._receive(session, take_line)
            if answer.decode(errors="replace").strip() == self.identity and self._is_quiet(session):
                break
            if time.monotonic() - began > self._settings.open_timeout:
                raise LinkCorrupt(f"{self._name} does not stop to send", uri=self._uri)
        self._poisoned = False
        if self.status_query == STATUS:
            self._send(session, STATUS)
            self.note_status(self._receive(session, take_line))
        if self.switched_on:
            self.initialise_again()

    def initialise_again(self) -> None:
        """Initialise it after it was switched off and on, and raise LinkLost: what was set before is lost."""
        self._initialise()
        raise LinkLost(
            f"{self._name} was switched off and on, and has been initialised again; what was set before is lost",
            uri=self._uri,
        )

    def _is_quiet(self, session: Session) -> bool:
        with link_errors(self._name, self._uri):
            return session.is_quiet(QUIET_SECONDS)

    # --- bytes ---------------------------------------------------------------------------------------------------

    def _send(self, session: Session, message: str) -> None:
        self._send_bytes(session, self.encode(message))

    def _send_bytes(self, session: Session, data: bytes) -> None:
        pause = self._settings.min_interval
        if pause:
            left = self._ready_at - time.monotonic()
            if left > 0:
                time.sleep(left)
        with link_errors(self._name, self._uri):
            session.write(data)
        if pause:
            self._ready_at = time.monotonic() + pause

    def _receive(self, session: Session, take: Take[Answer]) -> Answer:
        with self._answer_errors(session), link_errors(self._name, self._uri):
            answer = session.read(take)
        if self._settings.min_interval:
            self._ready_at = time.monotonic() + self._settings.min_interval
        return answer

    def _receive_text(self, session: Session) -> str:
        return self.decode(self._receive(session, take_line))

    @contextlib.contextmanager
    def _answer_errors(self, session: Session) -> Iterator[None]:
        """Raise what `framing` does not understand as LinkCorrupt."""
        try:
            yield
        except OverflowError:
            raise LinkCorrupt(f"{self._name} sends an answer of more than {LONGEST} bytes", uri=self._uri) from None
        except ValueError:
            heard = session.take_stray()[:40]
            raise LinkCorrupt(
                f"{self._name} does not answer by a definite-length block, but by {heard!r}", uri=self._uri
            ) from None


def _text_of(error: DeviceError) -> str:
    """What an error says, without the address in front."""
    return str(error).removeprefix(f"{error.uri}: ")
