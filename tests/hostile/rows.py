"""A row of the table of hostile requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mgdhw_drivers.protocol.messages import Chunk
from mgdhw_drivers.protocol.numbers import Area, Code, MismatchedItem, Type

from .world import (
    SHAPES,
    Holding,
)


class Expect(NamedTuple):
    """What is answered: an ERROR's code, or nothing wrong.

    Args:
        code: of the ERROR; None: the answer.
        late: found out only by a board that has all that the request depends on.
        thing: what a MISMATCH is about.
    """

    code: Code | None = None
    late: bool = False
    thing: int = 0


FINE = Expect()
BAD, UNSUPPORTED, UNKNOWN = Expect(Code.BAD), Expect(Code.UNSUPPORTED), Expect(Code.UNKNOWN)
LATE_BAD, LIMIT = Expect(Code.BAD, late=True), Expect(Code.LIMIT, late=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A request, and what it must get.

    Args:
        name: message, field and value.
        kind: its type on the wire.
        payload: what follows the header.
        expect: by its fields, of a board that holds everything.
        needs: what it depends on, in the order in which boards look.
        before: content of areas that is written first.
        holding: what the board is doing.
    """

    name: str
    kind: int
    payload: bytes
    expect: Expect
    needs: tuple[MismatchedItem, ...] = ()
    before: tuple[tuple[Area, bytes], ...] = ()
    holding: Holding = Holding.SET

    def expected(self) -> Expect:
        """What this board answers, which may lack something."""
        if self.expect is UNKNOWN or self._never_looked_into():
            return self.expect
        if self.holding is Holding.SAFE and not self._may_in_safe():
            return Expect(Code.SAFE)
        if self.expect.code is not None and not self.expect.late:
            return self.expect
        for thing in self.needs:
            if not (self.holding.theta if thing is MismatchedItem.PARAMETERS else self.holding.dataset):
                return mismatch(thing)
            if self.expect == mismatch(thing):
                break
        return self.expect

    def _never_looked_into(self) -> bool:
        """Whether it is refused for its length, or as an IDENTIFY: in every state."""
        if self.kind == Type.WRITE:
            return len(self.payload) < Chunk.form.size
        return len(self.payload) != SHAPES[Type(self.kind)] or (self.kind == Type.IDENTIFY and self.expect is BAD)

    def _may_in_safe(self) -> bool:
        if self.kind == Type.READ:
            return self.payload[0] in (Area.DESCRIPTION, Area.LIMITS)
        return self.kind <= Type.STATISTICS


def mismatch(thing: MismatchedItem) -> Expect:
    """A checksum of something else."""
    return Expect(Code.MISMATCH, late=True, thing=thing)
