"""Patterns of headers: `[SOURce#:]VOLTage[:LEVel]`, with long and short forms, optional nodes and numeric suffixes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(r"\[|\]|:|[*]?[A-Za-z][A-Za-z0-9_]*#?")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a pattern: `VOLTage` is matched by VOLT and VOLTAGE, `SOURce#` by SOUR2, too."""

    short: str
    long: str
    numbered: bool

    @classmethod
    def parse(cls, text: str) -> Node:
        """From a node of a pattern: what is in capitals is the short form."""
        name = text.removesuffix("#")
        letters = name.rstrip("0123456789")
        capitals = "".join(c for c in letters if not c.islower())
        short = capitals + name[len(letters) :]
        if not letters.startswith(capitals) or not capitals:
            raise ValueError(f"{text}: the short form is the beginning, in capitals")
        return cls(short, name.upper(), text.endswith("#"))


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to write a header: its nodes, and for each `#` of the pattern which node has it (None: left out)."""

    nodes: tuple[Node, ...]
    numbers: tuple[int | None, ...]


def spellings(pattern: str) -> list[Spelling]:
    """Every way to leave out optional nodes.

    Args:
        pattern: without a `?`.

    Raises:
        ValueError: the pattern is malformed.
    """
    pieces = _PIECE.findall(pattern)
    if "".join(pieces) != pattern.replace(" ", ""):
        raise ValueError(f"{pattern}: expected nodes, colons and brackets")
    position = 0

    def sequence(closed: bool) -> list[list[tuple[Node, bool]]]:
        """Alternatives from here to the closing bracket or the end; each node with whether it is there."""
        nonlocal position
        found: list[list[tuple[Node, bool]]] = [[]]
        while position < len(pieces):
            piece = pieces[position]
            position += 1
            if piece == "]":
                if not closed:
                    raise ValueError(f"{pattern}: a bracket too many")
                return found
            if piece == "[":
                inner = sequence(closed=True)
                absent = [(node, False) for node, _ in inner[0]]
                found = [begin + end for begin in found for end in [*inner, absent]]
            elif piece != ":":
                found = [[*begin, (Node.parse(piece), True)] for begin in found]
        if closed:
            raise ValueError(f"{pattern}: a bracket is not closed")
        return found

    return [_spelling(nodes) for nodes in sequence(closed=False)]


def _spelling(nodes: list[tuple[Node, bool]]) -> Spelling:
    there = [node for node, present in nodes if present]
    numbers: list[int | None] = []
    place = 0
    for node, present in nodes:
        if node.numbered:
            numbers.append(place if present else None)
        place += present
    return Spelling(tuple(there), tuple(numbers))
