"""A board and whoever talks to it, without a line between them: bytes go straight in, frames come straight out."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncIterator, Callable

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Block, CodeSpec
from mgdhw.device import Device, open_device
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol import blocks, values
from mgdhw_drivers.protocol.frames import Frame, FrameReader, encode
from mgdhw_drivers.protocol.messages import (
    Chunk,
    ErrorPayload,
    Identify,
    Learn,
    Load,
    Measure,
    Pong,
    Probe,
    Set,
    Stored,
)
from mgdhw_drivers.protocol.numbers import ANSWER, Area, Code, InputKind, LearnFlag, Type
from mgdhw_drivers.protocol.samples import sealed
from mgdhw_drivers.server.board import Board
from mgdhw_drivers.server.limits import NO_LIMITS, Limits
from tests.helpers.chips import REFERENCE_CHIP

PATIENCE_S = 120.0


class Direct:
    """Talks to a board.

    Args:
        board: started.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.frames: list[Frame] = []
        self.theta_crc = self.dataset_crc = 0
        self._reader = FrameReader(0xFFFF)
        self._sequence = 0
        self.connect()

    def connect(self) -> None:
        """Come (again)."""
        self.board.connected(lambda data: self.frames.extend(self._reader.feed(data)))

    def send(self, kind: int, payload: bytes = b"") -> int:
        """Send a request; its number."""
        self._sequence += 1
        self.board.received(encode(Frame(kind, self._sequence, payload)))
        return self._sequence

    async def ask(self, kind: int, payload: bytes = b"") -> Frame:
        """The first frame that answers a request, or a FAULT."""
        sequence = self.send(kind, payload)
        return await self.wait(lambda frame: frame.sequence == sequence or frame.type == Type.FAULT)

    async def wait(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame of a kind, which is taken out."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for index, frame in enumerate(self.frames):
                    if wanted(frame):
                        return self.frames.pop(index)
                await asyncio.sleep(0.001)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 (a board sets no events)
                await asyncio.sleep(0.001)

    async def identify(self, session: int = 7, dead_man_ms: int = 0) -> Frame:
        """Take the board into operation."""
        return await self.ask(Type.IDENTIFY, Identify(session, dead_man_ms, 0x4000, 1).pack())

    async def write(self, area: Area, content: bytes, offset: int = 0) -> Frame:
        """Bytes into an area, of which a frame holds all."""
        return await self.ask(Type.WRITE, Chunk(area, offset).pack() + content)

    async def prepare(self) -> None:
        """Everything that requests depend on: XOR, parameters of zero, and all four samples."""
        assert (await self.identify()).type == Type.IDENTIFY | ANSWER
        head = self.board.work.head
        codes = head.input_kind != InputKind.VALUES
        table = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        wanted = table.sum(axis=1) % 2
        inputs = (table * 255).astype("<u1").tobytes()
        targets = (wanted * 4096).astype("<i2").tobytes() if codes else wanted.astype("<f8").tobytes()
        load = sealed(Load(4, 4, 1.0 if codes else 1 / 255, head.input_kind, 0), inputs, targets)
        await self.write(Area.INPUTS, inputs)
        await self.write(Area.TARGETS, targets)
        assert (await self.ask(Type.LOAD, load.pack())).type == Type.LOAD | ANSWER
        self.dataset_crc = load.crc
        await self.write(Area.SAMPLES, np.arange(4, dtype="<u4").tobytes())
        assert (await self.set(np.zeros(head.n_parameters))).type == Type.SET | ANSWER

    async def set(self, theta: NDArray[np.float64], step: int = 0) -> Frame:
        """Write θ and set it."""
        content = self.board.work.form.encode(theta)
        await self.write(Area.REQUESTED, content)
        answer = await self.ask(Type.SET, Set(step, zlib.crc32(content)).pack())
        if answer.type == Type.SET | ANSWER:
            self.theta_crc = Stored.unpack(answer.payload).theta_crc
        return answer

    def measure(self, **fields: int) -> bytes:
        """A good MEASURE, but for some fields."""
        samples_crc = zlib.crc32(np.arange(4, dtype="<u4").tobytes())
        good = {"step": 0, "part": 0, "count": 4, "samples_crc": samples_crc}
        return Measure(**{**good, "theta_crc": self.theta_crc, "dataset_crc": self.dataset_crc, **fields}).pack()

    def probe(self, **fields: int | float | bytes) -> bytes:
        """A good PROBE of four probes, but for some fields."""
        return self.probe_fields(**fields).pack()

    def probe_fields(self, **fields: int | float | bytes) -> Probe:
        """The message itself."""
        block = Block(0, 4, CodeSpec("random", 1, 1), SampleOrder(1, 4, 1, 1))
        floats = bool(self.board.work.head.float_costs)
        probe = blocks.probe_of(block, self.theta_crc, self.dataset_crc, floats=floats)
        for name, value in fields.items():
            setattr(probe, name, value)
        return probe

    async def learn(self, probe: dict[str, int] | None = None, **fields: int | float | tuple[float, ...]) -> bytes:
        """A good LEARN of four probes and two updates, but for some fields. Writes the state that it begins with."""
        theta = bytes(8 * self.board.work.head.n_parameters)
        await self.write(Area.THETA, theta)
        good: dict[str, int | float | tuple[float, ...]] = {
            "update": 0, "rounding_seed": 1, "eta": 0.1, "scale": 0.01, "low": -1.0, "high": 1.0, "tau_hp": 1.0,
            "constants": (0.0,) * 5, "scalars": (1.0, 1.0), "analog_cost": 0.0, "high_passed": 0.0, "ticket": 1,
            "state_crc": zlib.crc32(theta), "update_period": 2, "tau_theta": 2, "eta_count": 0, "eta_crc": 0,
            "optimizer": 0, "flags": int(LearnFlag.WINDOW_EMPTY), "guard_crc": 0,
        }  # fmt: skip
        learn = Learn(**{**good, **fields})  # type: ignore[arg-type]
        return self.probe_fields(theta_crc=0, **(probe or {})).pack() + learn.pack()

    async def pong(self) -> Pong:
        """What the board says of itself."""
        return Pong.unpack((await self.ask(Type.PING)).payload)


def code_of(frame: Frame) -> Code | None:
    """What an ERROR or a FAULT says; None for other frames."""
    if frame.type not in (Type.ERROR, Type.FAULT):
        return None
    return Code(ErrorPayload.parse(frame.payload).code)


def value_of(frame: Frame) -> int:
    """The number that an ERROR comes with."""
    return ErrorPayload.parse(frame.payload).value


def text_of(frame: Frame) -> str:
    """What it says to people."""
    return frame.payload[ErrorPayload.form.size :].decode()


def costs_of(frame: Frame) -> list[int | float]:
    """The values in a frame."""
    costs: list[int | float] = values.unpack(frame.payload)[1].tolist()
    return costs


def doubles(*numbers: float) -> bytes:
    """Numbers as an area has them."""
    return struct.pack(f"<{len(numbers)}d", *numbers)


@contextlib.asynccontextmanager
async def direct(device: Device | str = REFERENCE_CHIP, limits: Limits = NO_LIMITS) -> AsyncIterator[Direct]:
    """A board that serves a device, and somebody who talks to it."""
    board = Board(open_device(device) if isinstance(device, str) else device, 1 << 14, limits)
    await board.start()
    try:
        yield Direct(board)
    finally:
        board.disconnected()
        await board.stop()
