"""Whatever is answered in the middle of a block or of outputs, their numbers are those of an undisturbed one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mgdhw.block import Block, CodeSpec
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol import values
from mgdhw_drivers.protocol.blocks import probe_of
from mgdhw_drivers.protocol.messages import Chunk, Identify, Infer
from mgdhw_drivers.protocol.numbers import Area, Type

from .talk import Talk
from .test_board import ready


def ping(talk: Talk) -> None:
    """Are you there?"""
    talk.send(Type.PING)


def ask_who(talk: Talk) -> None:
    """Who are you? But go on."""
    talk.send(Type.IDENTIFY, Identify(7, 0, 256, 0).pack())


def say_nonsense(talk: Talk) -> None:
    """A request that is none, which is refused."""
    talk.send(Type.PING, b"not empty")


@pytest.mark.parametrize("disturb", [ping, ask_who, say_nonsense], ids=lambda disturb: disturb.__name__)
@pytest.mark.parametrize("kind", [Type.PROBE, Type.INFER], ids=lambda kind: kind.name)
def test_what_is_answered_in_between_changes_no_number(host: Path, kind: Type, disturb: Callable[[Talk], None]) -> None:
    count = 3000 if kind is Type.PROBE else 60_000
    samples = b"".join((i % 7).to_bytes(4, "little") for i in range(count))
    with ready(host, "--tcp 0") as (talk, _):
        for offset in range(0, len(samples), 4000):
            talk.ask(Type.WRITE, Chunk(Area.SAMPLES, offset).pack() + samples[offset : offset + 4000])
        block = Block(3, count, CodeSpec("random", 1, 3), SampleOrder(2, 7, 64, count))
        payload = (
            probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack()
            if kind is Type.PROBE
            else Infer(0, count, zlib.crc32(samples), talk.theta_crc, talk.dataset_crc).pack()
        )
        undisturbed = talk.values(kind, payload)
        sequence, found, disturbed = talk.send(kind, payload), [], 0
        for _ in range(40):
            disturb(talk)
        last = False
        while not last:
            for answer in talk.receive():
                if answer.sequence != sequence:
                    disturbed += 1
                    disturb(talk)
                    continue
                assert answer.trouble is None
                first, numbers, last = values.unpack(answer.payload)
                assert first == len(found)
                found += numbers.tolist()
        assert disturbed > 0
        assert found == undisturbed
