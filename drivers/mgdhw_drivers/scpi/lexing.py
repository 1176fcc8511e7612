"""A program message in units: `SOUR1:VOLT 1;CURR 2` is two, each a header with arguments (IEEE 488.2, 7.3 to 7.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mgdhw_drivers.scpi.arguments import Argument, parse_argument
from mgdhw_drivers.scpi.blocks import block_start
from mgdhw_drivers.scpi.errors import ScpiError

LONGEST_MNEMONIC: Final = 12

_HEADER = re.compile(rb"(?:\*[A-Za-z]\w*|:?[A-Za-z]\w*(?::[A-Za-z]\w*)*)\??(?=[\s;]|$)")
_WHOLE = re.compile(rb"[^\s;]*")
_SPACE = re.compile(rb"\s*")
_SPECIAL = re.compile(rb"[,;\"'#()]")
_CLOSING = {ord('"'): re.compile(rb'"'), ord("'"): re.compile(rb"'")}


@dataclass(frozen=True, slots=True)
class Header:
    """What a unit is about: `SOUR1:VOLT?` has two nodes and is a query."""

    nodes: tuple[str, ...]
    """In capitals; of a common command one, with its asterisk."""
    query: bool
    common: bool
    absolute: bool
    """Began with a colon."""

    def __str__(self) -> str:
        return ":".join(self.nodes) + "?" * self.query


@dataclass(frozen=True, slots=True)
class Unit:
    """A header and its arguments."""

    header: Header
    arguments: tuple[Argument, ...]


def units(message: bytes) -> Iterator[Unit]:
    """The units of a message, one after the other: those before a mistake are there to be executed.

    Raises:
        ScpiError: what comes next is no unit; nothing behind it can be understood.
    """
    position = 0
    while position < len(message):
        position = _after_space(message, position)
        if position == len(message):
            return
        if message[position] == ord(";"):
            position += 1
            continue
        header, position = _header(message, position)
        raw, position = _raw_arguments(message, position)
        yield Unit(header, tuple(parse_argument(text) for text in raw))
        position += 1


def absolute(header: Header, path: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A header's nodes from the root, and the path for the next one (SCPI-99, volume 1, 6.2.4).

    Args:
        header: as it was sent.
        path: left by the header before; empty at the start of a message.
    """
    if header.common:
        return header.nodes, path
    nodes = header.nodes if header.absolute else path + header.nodes
    return nodes, nodes[:-1]


def _after_space(message: bytes, position: int) -> int:
    match = _SPACE.match(message, position)
    return position if match is None else match.end()


def _header(message: bytes, position: int) -> tuple[Header, int]:
    match = _HEADER.match(message, position)
    if match is None:
        whole = _WHOLE.match(message, position)
        sent = b"" if whole is None else whole.group()
        code = -101 if not sent.isascii() else -102 if sent[:1] in b":*" else -110
        raise ScpiError(code, sent[:40].decode("ascii", errors="replace"))
    text = match.group().decode("ascii").upper()
    query = text.endswith("?")
    name = text.removesuffix("?")
    nodes = tuple(name.removeprefix(":").split(":"))
    if any(len(node.rstrip("0123456789").lstrip("*")) > LONGEST_MNEMONIC for node in nodes):
        raise ScpiError(-112, text[:40])
    return Header(nodes, query, name.startswith("*"), name.startswith(":")), match.end()


def _raw_arguments(message: bytes, position: int) -> tuple[list[bytes], int]:
    """Arguments as they stand, and where the unit ends."""
    begin = position = kept = _after_space(message, position)
    found: list[bytes] = []
    depth = 0
    while True:
        match = _SPECIAL.search(message, position)
        at = len(message) if match is None else match.start()
        what = ord(";") if match is None else message[at]
        if match is None or (what in b";," and depth == 0):
            raw = message[begin:kept] + message[kept:at].rstrip()  # spaces at the end of a block are its own
            if raw or found or what == ord(","):
                found.append(raw)
            if not all(found):
                raise ScpiError(-103, "an argument is empty")
            if what != ord(","):
                return found, at
            begin = position = kept = _after_space(message, at + 1)
        elif what in _CLOSING:
            closing = _CLOSING[what].search(message, at + 1)
            if closing is None:
                raise ScpiError(-151)
            position = closing.end()
        elif what == ord("#"):
            position = kept = _after_block(message, at)
        else:
            depth += {ord("("): 1, ord(")"): -1}.get(what, 0)
            if depth < 0:
                raise ScpiError(-103, ")")
            position = at + 1


def _after_block(message: bytes, at: int) -> int:
    try:
        start = block_start(message, at)
    except IndexError:
        raise ScpiError(-161) from None
    if start is None:
        return at + 1
    end = len(message) if start.length is None else start.begin + start.length
    if end > len(message):
        raise ScpiError(-161)
    return end
