"""From a stream of bytes to program messages: where one ends, whatever it contains and however it arrives."""

from __future__ import annotations

import re
from typing import Final

from mgdhw_drivers.scpi.blocks import block_start
from mgdhw_drivers.scpi.strangers import CONTROL_BYTES, LOOKED_AT, has_endless_header, is_strange

_INTERESTING: Final = re.compile(rb"[\n\"'#" + CONTROL_BYTES + rb"]")
_IN_STRING: Final = {quote: re.compile(rb"[\n" + bytes([quote]) + CONTROL_BYTES + rb"]") for quote in b"\"'"}


class MessageReader:
    """Program messages out of bytes that arrive in any pieces.

    A newline ends a message, except in a block; also in a string, which resynchronizes after a quote that was never
    closed. At most `max_message` bytes and the last piece are kept: of a longer message only the end is looked for.

    Args:
        max_message: longest message, in bytes, blocks included; 512 or more.
        marks_end: whether the transport says where messages end (GPIB, USB, HiSLIP); only then may a block of
            indefinite length contain newlines.
    """

    def __init__(self, max_message: int, marks_end: bool = False) -> None:
        if max_message < LOOKED_AT:
            raise ValueError(
                f"messages of {max_message} bytes are too short for strangers to be told by: allow {LOOKED_AT} or more"
            )
        self.max_message = max_message
        self.marks_end = marks_end
        self.stranger = False
        """Something came that no SCPI client sends: nothing is read any more."""
        self._buffer = bytearray()
        self._position = 0
        """Everything before was looked at."""
        self._skip = 0
        """Bytes of a block that are still to come."""
        self._quote = 0
        self._to_end = False
        """In a block of indefinite length."""
        self._kept_all = True

    def clear(self) -> None:
        """Forget a message that is half there."""
        self._buffer.clear()
        self._restart()

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        if not self.stranger:
            self._buffer += data

    def next_message(self, end: bool = False) -> bytes | None:
        """The next message, without its end; None if it is not complete yet.

        Args:
            end: the bytes so far end a message, newline or not.

        Raises:
            OverflowError: the next message was longer than allowed, and is dropped.
        """
        if self.stranger:
            return None
        found = self._find_end()
        if found is None and end and (self._buffer or not self._kept_all):
            found = self._position = len(self._buffer)
        self.stranger = self.stranger or self._is_strange(found)
        if self.stranger:
            self._buffer.clear()
            return None
        if found is None:
            if self._position > self.max_message or not self._kept_all:
                self._kept_all = False
                del self._buffer[: self._position]
                self._position = 0
            return None
        too_long = not self._kept_all or found > self.max_message
        message = b"" if too_long else bytes(self._buffer[:found])
        del self._buffer[: found + 1]
        self._restart()
        if too_long:
            raise OverflowError(f"a message of more than {self.max_message:,} bytes")
        return message

    def _restart(self) -> None:
        self._position = self._skip = self._quote = 0
        self._to_end = False
        self._kept_all = True

    def _is_strange(self, found: int | None) -> bool:
        """Whether the message is a stranger's, once its beginning, its end or its length tells."""
        if not self._kept_all:
            return False
        head = self._buffer[: LOOKED_AT if found is None else min(found, LOOKED_AT)]
        decided = found is not None or self._position > self.max_message
        return has_endless_header(head) or (decided and is_strange(head))

    def _find_end(self) -> int | None:
        buffer = self._buffer
        while True:
            if self._skip:
                step = min(self._skip, len(buffer) - self._position)
                self._skip -= step
                self._position += step
                if self._skip:
                    return None
            if self._to_end:
                self._position = len(buffer)
                return None
            pattern = _IN_STRING[self._quote] if self._quote else _INTERESTING
            match = pattern.search(buffer, self._position)
            if match is None:
                self._position = len(buffer)
                return None
            at = match.start()
            found = buffer[at]
            if found == ord("\n"):
                self._position = at
                return at
            if found in b"\"'":
                self._quote = 0 if self._quote else found
                self._position = at + 1
            elif found == ord("#"):
                if not self._enter_block(at):
                    return None
            else:
                self._position = at
                self.stranger = True
                return None

    def _enter_block(self, at: int) -> bool:
        """Whether it could be told what the `#` begins."""
        try:
            start = block_start(self._buffer, at)
        except IndexError:
            self._position = at
            return False
        if start is None:
            self._position = at + 1
        elif start.length is None:
            self._position = start.begin
            self._to_end = self.marks_end
        else:
            self._position = start.begin
            self._skip = start.length
        return True
