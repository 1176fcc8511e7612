"""Where an answer of an instrument ends: lines, IEEE 488.2 blocks, and blocks with text behind. No I/O."""

from __future__ import annotations

import re

LONGEST = 1 << 26
"""Bytes of an answer, at most: an instrument that sends without end is not listened to for ever."""

_TEXT = re.compile(rb'(?:[^";\r\n]|"[^"]*(?:"|$))*')
"""Up to a semicolon or the end of the line that is not in quotes."""


class Incomplete(Exception):
    """More bytes are needed.

    Args:
        wanted: how many at least, and no more than there will be; None: it is not known.
    """

    def __init__(self, wanted: int | None = None) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def take_line(buffer: bytearray, end: bytes, ended: bool) -> bytes:
    """Take a line, without its termination, from the begin of what has arrived.

    Args:
        buffer: what has arrived; the answer is removed.
        end: the termination.
        ended: whether the instrument says that its message ends here, which needs no termination.

    Raises:
        Incomplete: it has not ended yet.
        OverflowError: it is too long.
    """
    at = buffer.find(end) if end else -1
    if at < 0:
        if not ended:
            if len(buffer) > LONGEST:
                raise OverflowError
            raise Incomplete
        at = len(buffer)
    line = bytes(memoryview(buffer)[:at])
    del buffer[: at + len(end)]
    return line


def take_block(buffer: bytearray, end: bytes, ended: bool) -> bytes:
    """Take a block's content. Arguments and errors as for `take_line`; ValueError where this is no block."""
    while buffer and buffer[0] in b" \r\n":
        del buffer[:1]
    if buffer.startswith(b"#0"):
        return take_line(buffer, end, ended)[2:]
    begin, stop = _bounds(buffer, ended)
    # The termination as well: left to itself it would be the begin of the next answer.
    _need(buffer, stop + len(end), ended and len(buffer) >= stop)
    if len(buffer) > stop and not buffer.startswith(end, stop):
        raise ValueError
    content = bytes(memoryview(buffer)[begin:stop])
    del buffer[: stop + len(end)]
    return content


def take_parts(buffer: bytearray, end: bytes, ended: bool) -> list[bytes | str]:
    """Take the parts of an answer: blocks as bytes, all else as text. Arguments and errors as for `take_block`."""
    parts: list[bytes | str] = []
    at = 0
    while True:
        _need(buffer, at + 1, ended and len(buffer) == at)
        if buffer.startswith(b"#", at):
            begin, stop = _bounds(buffer, ended, at)
            parts.append(bytes(memoryview(buffer)[begin:stop]))
        else:
            found = _TEXT.match(buffer, at)
            assert found is not None, "matches the empty text, too"
            stop = found.end()
            parts.append(found[0].decode(errors="replace"))
        _need(buffer, stop + 1, ended and len(buffer) >= stop)
        if len(buffer) == stop or buffer.startswith(end, stop):
            del buffer[: stop + len(end)]
            return parts
        if buffer[stop] not in b";,":
            raise ValueError
        at = stop + 1


def _bounds(buffer: bytearray, ended: bool, at: int = 0) -> tuple[int, int]:
    """Where a block's content begins and ends."""
    _need(buffer, at + 2, False)
    digits = buffer[at + 1] - ord("0")
    if buffer[at] != ord("#") or not 1 <= digits <= 9:
        raise ValueError
    begin = at + 2 + digits
    _need(buffer, begin, False)
    size = bytes(memoryview(buffer)[at + 2 : begin])
    if not size.isdigit() or int(size) > LONGEST:
        raise ValueError
    stop = begin + int(size)
    if ended and len(buffer) < stop:
        raise ValueError
    return begin, stop


def _need(buffer: bytearray, size: int, enough: bool) -> None:
    if len(buffer) < size and not enough:
        raise Incomplete(size - len(buffer))
