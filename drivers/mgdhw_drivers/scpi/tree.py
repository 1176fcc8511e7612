"""The commands of an instrument, found by their headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mgdhw_drivers.scpi.call import Call
from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.headers import Node, spellings
from mgdhw_drivers.scpi.lexing import Unit
from mgdhw_drivers.scpi.replies import Reply

Handler = Callable[[Call], Reply | Awaitable[Reply]]
"""Executes a command. May be a coroutine function, where the interpreter is asked for `replies`."""

LARGEST_SUFFIX_DIGITS = 9


class _Command(NamedTuple):
    handler: Handler
    numbers: tuple[int | None, ...]
    least: int
    most: int | None


@dataclass(slots=True)
class _Branch:
    """What may follow a node."""

    names: dict[str, _Branch] = field(default_factory=dict)
    numbered: dict[str, _Branch] = field(default_factory=dict)
    commands: dict[bool, _Command] = field(default_factory=dict)
    """By whether it is a query."""

    def grow(self, node: Node) -> _Branch:
        """The branch of a node, new or not."""
        table = self.numbered if node.numbered else self.names
        branch = table.get(node.short) or table.get(node.long) or _Branch()
        table[node.short] = table[node.long] = branch
        return branch


class CommandTree:
    """Handlers by header, for one instrument."""

    def __init__(self) -> None:
        self._root = _Branch()

    def add(self, pattern: str, handler: Handler, arguments: int | tuple[int, int | None] = 0) -> None:
        """A command or, with a `?` at the end, a query.

        Args:
            pattern: such as `[SOURce#:]VOLTage[:LEVel]`: the short form in capitals, optional nodes in brackets,
                `#` where a numeric suffix may stand.
            handler: called with what was sent; raises ScpiError where that cannot be executed.
            arguments: how many there must be, or the least and the most (None: any number).

        Raises:
            ValueError: the pattern is malformed, or one of its headers has a handler.
        """
        least, most = (arguments, arguments) if isinstance(arguments, int) else arguments
        query = pattern.endswith("?")
        for spelling in spellings(pattern.removesuffix("?")):
            if not spelling.nodes:
                continue  # all is optional: the empty header is none
            branch = self._root
            for node in spelling.nodes:
                branch = branch.grow(node)
            if query in branch.commands:
                raise ValueError(f"{pattern}: there is a command of this name")
            branch.commands[query] = _Command(handler, spelling.numbers, least, most)

    def knows(self, nodes: Sequence[str], query: bool) -> bool:
        """Whether there is a command with this header, from the root, in capitals."""
        try:
            found = self._follow(nodes, "")
        except ScpiError:
            return False
        return found is not None and query in found[0].commands

    def find(self, nodes: Sequence[str], unit: Unit) -> tuple[Handler, Call]:
        """The handler of a header, and its call.

        Args:
            nodes: from the root, in capitals.
            unit: with the arguments.

        Raises:
            ScpiError: there is no such command (-113), or it has another number of arguments (-108, -109).
        """
        shown = ":".join(nodes)[:80] + "?" * unit.header.query
        found = self._follow(nodes, shown)
        command = None if found is None else found[0].commands.get(unit.header.query)
        if found is None or command is None:
            raise ScpiError(-113, shown)
        suffixes = tuple(1 if place is None else found[1][place] for place in command.numbers)
        count = len(unit.arguments)
        if count < command.least:
            raise ScpiError(-109, shown)
        if command.most is not None and count > command.most:
            raise ScpiError(-108, shown)
        return command.handler, Call(unit.arguments, suffixes, unit.header.query, shown)

    def _follow(self, nodes: Sequence[str], shown: str) -> tuple[_Branch, list[int]] | None:
        branch = self._root
        suffixes: list[int] = []
        for node in nodes:
            name = node.rstrip("0123456789")
            digits = node[len(name) :]
            if node in branch.names:
                branch = branch.names[node]
                suffixes.append(1)
            elif name in branch.numbered:
                branch = branch.numbered[name]
                if len(digits) > LARGEST_SUFFIX_DIGITS:
                    raise ScpiError(-114, shown)
                suffixes.append(int(digits or "1"))
            elif name in branch.names:
                if digits.lstrip("0") != "1":
                    raise ScpiError(-114, shown)
                branch = branch.names[name]
                suffixes.append(1)
            else:
                return None
        return branch, suffixes
