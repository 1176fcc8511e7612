"""Sends rows of the table to a board over a line, and sees what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from mgdhw_drivers.protocol.connection import Answer
from mgdhw_drivers.protocol.messages import Chunk, Identify, Pong, Probe, Set
from mgdhw_drivers.protocol.numbers import ANSWER, Area, Code, Type
from mgdhw_drivers.protocol.segments import LearnRequest
from tests.firmware.talk import Talk

from .fields import LONGEST
from .rows import Expect, Row
from .world import AREAS, ENDLESS, INPUTS, LEARN, PROBE, SHAPES, TARGETS, THETA_CRC, Holding, load

SECONDS = 30.0
"""After which something hangs."""


class Hangs(Exception):
    """A board does not answer."""


class Sender:
    """A hostile host.

    Args:
        talk: a line to a board of the chip in `world`.
        learns: whether that has the areas for LEARN.
    """

    def __init__(self, talk: Talk, *, learns: bool = True) -> None:
        self._talk = talk
        self._areas = {area: content for area, content in AREAS.items() if learns or area < Area.ETA}
        self._session = 0
        self._last: dict[int, Answer] = {}
        """Answers that nothing follows, by what they answer."""

    def bring_to(self, holding: Holding) -> None:
        """SAFE, and from there to what a row wants; all of it has to be answered well."""
        self._last.clear()
        self._must(Type.SAFE)
        if holding is Holding.SAFE:
            return
        self._session += 1
        self._must(Type.IDENTIFY, Identify(self._session, 0, LONGEST, 1).pack())
        self.write([*self._areas.items(), (Area.INPUTS, INPUTS), (Area.TARGETS, TARGETS)])
        if holding is Holding.TAKEN:
            return
        self._must(Type.LOAD, load().pack())
        if holding is Holding.LOADED:
            return
        self._must(Type.SET, Set(0, THETA_CRC).pack())
        if holding is Holding.LEARNT:
            self._must(Type.LEARN, LearnRequest(PROBE, replace(LEARN, ticket=5)).pack())
        if holding is Holding.RUNNING:
            sequence = self._talk.send(Type.PROBE, replace(PROBE, **ENDLESS).pack())
            assert self._pong().running == sequence

    def write(self, areas: Iterable[tuple[Area, bytes]]) -> None:
        """WRITE the beginning of areas."""
        sent = [self._talk.send(Type.WRITE, Chunk(area, 0).pack() + content) for area, content in areas]
        for sequence in sent:
            self._good(sequence)

    def send(self, row: Row) -> Expect:
        """What comes of a row, and that the board is well afterwards. Raises Hangs."""
        self.bring_to(row.holding)
        if row.before:
            self.write(row.before)
        sequence = self._talk.send(row.kind, row.payload)  # type: ignore[arg-type]
        first = pong = self._pong()
        while is_endless(row) and pong.running == sequence and sequence not in self._last:
            if pong.done != first.done:  # it is more than being looked at
                return Expect()
            pong = self._pong()
        self._wait_for(lambda: sequence in self._last)
        trouble = self._last[sequence].trouble
        if trouble is None:
            return Expect()
        code = Code(trouble.code)
        return Expect(code, thing=trouble.value if code is Code.MISMATCH else 0)

    # --- what comes ----------------------------------------------------------------------------------------------

    def _must(self, kind: Type, payload: bytes = b"") -> Answer:
        return self._good(self._talk.send(kind, payload))

    def _good(self, sequence: int) -> Answer:
        self._wait_for(lambda: sequence in self._last)
        answer = self._last[sequence]
        assert answer.trouble is None, answer
        return answer

    def _pong(self) -> Pong:
        return Pong.unpack(self._must(Type.PING).payload)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            for answer in self._talk.receive():
                if answer.type not in STREAMS or answer.payload[LAST]:
                    self._last[answer.sequence] = answer
            if time.monotonic() > deadline:
                raise Hangs("nothing comes of it")


STREAMS = frozenset((Type.INFER | ANSWER, Type.PROBE | ANSWER))
LAST = 7
"""Byte of a frame of values that says whether it is the last one."""
MOST_EVALUATIONS = 10**7


def is_endless(row: Row) -> bool:
    """Whether a block or a segment takes longer than anybody waits."""
    if row.kind not in (Type.PROBE, Type.LEARN) or len(row.payload) != SHAPES[Type(row.kind)]:
        return False
    probe = Probe.parse(row.payload)
    return probe.n_probes * probe.batch > MOST_EVALUATIONS
