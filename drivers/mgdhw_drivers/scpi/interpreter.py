"""One connection to one instrument: bytes in, replies out. No socket, no clock, no task."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Generator
from typing import Final, cast

from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.instrument import ScpiInstrument
from mgdhw_drivers.scpi.lexing import Unit, absolute, units
from mgdhw_drivers.scpi.message_reader import MessageReader
from mgdhw_drivers.scpi.replies import Reply, reply_bytes

LONGEST_MESSAGE: Final = 1 << 24
"""Bytes of a message that are taken unless said otherwise, blocks included."""
LONGEST_REPLY: Final = 1 << 26
"""Bytes of the answers to one message; of more the rest is not asked for (-430)."""

_INDEFINITE: Final = frozenset({"*IDN"})
"""Queries whose answer only the end of the message ends: none may follow (IEEE 488.2, 6.3.6)."""


class Interpreter:
    """Executes what one peer sends. An instrument's connections each have their own.

    Args:
        instrument: shared by its connections.
        max_message: longest message, in bytes; a longer one is dropped (-223) as it comes, and needs no memory.
        marks_end: whether the transport says where messages end; see `MessageReader`.
    """

    def __init__(
        self, instrument: ScpiInstrument, max_message: int = LONGEST_MESSAGE, *, marks_end: bool = False
    ) -> None:
        self.instrument = instrument
        self._reader = MessageReader(max_message, marks_end)

    @property
    def hang_up(self) -> bool:
        """No SCPI client sends what came. Nothing from there on was or will be executed: end the connection."""
        return self._reader.stranger

    def receive(self, data: bytes, end: bool = False) -> bytes:
        """Execute the messages that are complete with `data`, and answer them.

        Args:
            data: bytes, cut anywhere.
            end: the transport says that a message ends here.

        Raises:
            TypeError: a handler is a coroutine function; use `replies`.
        """
        self._reader.feed(data)
        answers = []
        while (work := self._next(end)) is not None:
            try:
                next(work)
            except StopIteration as done:
                answers.append(done.value)
            else:
                work.close()
                raise TypeError("a command has to be awaited: ask the interpreter for `replies`")
        return b"".join(answers)

    async def replies(self, data: bytes, end: bool = False) -> AsyncIterator[bytes]:
        """The same, with handlers that may be coroutine functions: each message's answer as soon as it is there."""
        self._reader.feed(data)
        while (work := self._next(end)) is not None:
            answer = await _awaited(work)
            if answer:
                yield answer

    def clear(self) -> None:
        """Device clear: forget a message that is half there."""
        self._reader.clear()
        self.instrument.status.message_available = False

    def interrupted(self) -> None:
        """For a transport that knows: a message came before an answer was read (-410)."""
        self.instrument.status.report(ScpiError(-410))

    def unterminated(self) -> None:
        """For a transport that knows: an answer is read that nothing has asked for (-420)."""
        self.instrument.status.report(ScpiError(-420))

    def _next(self, end: bool) -> Generator[Awaitable[Reply], Reply, bytes] | None:
        """Work for the next message; None if there is none."""
        while True:
            try:
                message = self._reader.next_message(end)
            except OverflowError as error:
                self.instrument.status.report(ScpiError(-223, str(error)))
                continue
            return None if message is None else self._execute(message)

    def _execute(self, message: bytes) -> Generator[Awaitable[Reply], Reply, bytes]:
        """Execute a message; yields what has to be awaited, and returns the answer."""
        self.instrument.begin_message(message)
        answers: list[bytes] = []
        size = 0
        last = ""
        path: tuple[str, ...] = ()
        status = self.instrument.status
        rest = units(message)
        while True:
            try:
                unit = next(rest, None)
                if unit is None:
                    break
                nodes, path = absolute(unit.header, path)
                if unit.header.query and last in _INDEFINITE:
                    raise ScpiError(-440, str(unit.header))
                answer = yield from self._execute_unit(unit, nodes)
            except ScpiError as error:
                self.instrument.status.report(error)
                if -200 < error.code <= -100:
                    break  # what follows may not be what it looks like (IEEE 488.2, 6.1.6.1.1)
                continue
            if answer is None:
                continue
            last = nodes[0]
            answers.append(answer)
            size += len(answer)
            if size > LONGEST_REPLY:
                status.report(ScpiError(-430))
                answers.clear()
                break
            self.instrument.status.message_available = True
        self.instrument.status.message_available = False
        return b";".join(answers) + b"\n" if answers else b""

    def _execute_unit(self, unit: Unit, nodes: tuple[str, ...]) -> Generator[Awaitable[Reply], Reply, bytes | None]:
        handler, call = self.instrument.tree.find(nodes, unit)
        reply = handler(call)
        if inspect.isawaitable(reply):
            reply = yield reply
        if not unit.header.query:
            return None
        return reply_bytes(reply, self.instrument.format)


async def _awaited(work: Generator[Awaitable[Reply], Reply, bytes]) -> bytes:
    """Await what the work yields, until it is done."""
    try:
        awaitable = next(work)
        while True:
            try:
                result = await awaitable
            except Exception as error:
                awaitable = work.throw(error)
            else:
                awaitable = work.send(result)
    except StopIteration as done:
        return cast(bytes, done.value)
