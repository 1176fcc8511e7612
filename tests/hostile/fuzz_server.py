"""Fuzz the board in Python: mutated frames with valid checksums, from `mutate`, into a real board.

Runnable alone: `python -m tests.hostile.fuzz_server 2000000` prints what was sent and answered, and fails where a
worker died, a board hung, or the hardware was left in operation.
"""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from mgdhw.device import open_device
from mgdhw_drivers.protocol import cells
from mgdhw_drivers.protocol.frames import Frame as LinkFrame
from mgdhw_drivers.protocol.frames import FrameReader, encode
from mgdhw_drivers.protocol.messages import ErrorPayload
from mgdhw_drivers.protocol.numbers import ANSWER, Code, InputKind, ParameterKind, State, Type
from mgdhw_drivers.server.board import Board
from mgdhw_drivers.server.board_status import WINDOW
from mgdhw_drivers.server.limits import NO_LIMITS, Limits

from .mutate import Mutator, Target

CHIPS = (
    ("sim:analog-8bit?layers=2-3-1&engine=reference", NO_LIMITS),
    ("sim:analog-8bit?layers=5-4-3&activation=tanh&weight_bits=10", NO_LIMITS),
    ("sim:analog-8bit?layers=2-3-1&write_noise=0.01&retention=1e6&cost_noise=0.02", NO_LIMITS),
    (
        "sim:analog-8bit?layers=2-3-1&engine=reference&dw_min=0.005&w_max=0.9&w_min=-0.9&read_noise=0.01&settling=0.5",
        NO_LIMITS,
    ),
    ("sim:analog-8bit?layers=2-3-1&codes=host", NO_LIMITS),
    ("sim:analog-8bit?layers=2-3-1&engine=reference&input_bipolar=true", Limits(slew=0.25, stress=1e9)),
)
SESSION = 2000
"""Frames between two looks at whether all is well."""
HANG_S = 60.0
PATIENCE_S = 0.02
"""Most requests are given so long before the next one ends them."""


class Failure(Exception):
    """The board is not what it has to be."""


@dataclass
class Tally:
    """What was sent and answered."""

    frames: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """What the device said that it was not made to do."""
    longest_s: float = 0.0
    """That an answer to PING took, and the event loop did not turn."""

    def __str__(self) -> str:
        answers = ", ".join(f"{name} {count:,}" for name, count in self.answers.most_common())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        faults = "".join(f"; device: {text} ({count:,})" for text, count in self.faults.items())
        return f"{self.frames:,} frames; {answers}{faults}; longest turn {self.longest_s:.3f} s; peak {peak:.0f} MiB"


class _Errors(logging.Handler):
    """Whatever a board logs as an error is a failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Fuzzed:
    """A board, and whoever sends it nonsense.

    Args:
        board: started.
        seed: of the nonsense.
        target: the board, as `mutate` wants to know it.
        tally: is counted up.
    """

    def __init__(self, board: Board, seed: int, target: Target, tally: Tally) -> None:
        self._board = board
        self._requests = Mutator(seed, target).requests()
        self._random = random.Random(seed)
        self._tally = tally
        self._reader = FrameReader(0xFFFF)
        self._sequence = 0
        self._heard: set[tuple[int, int]] = set()
        board.connected(self._hear)

    async def send(self, count: int) -> None:
        """So many frames, and then the question whether all is well. Raises Failure."""
        for _ in range(count):
            self._send(*next(self._requests))
            began = time.perf_counter()
            for _ in range(4):
                await asyncio.sleep(0)
            patience = time.perf_counter() + (PATIENCE_S if self._random.random() < 0.8 else 0.0)
            worker = self._board.worker
            while len(worker.queue) > WINDOW or (worker.running and time.perf_counter() < patience):  # noqa: ASYNC110
                await asyncio.sleep(0.0003)
            self._tally.longest_s = max(self._tally.longest_s, time.perf_counter() - began)
        self._tally.frames += count
        await self._answered(Type.SAFE)
        if self._board.state is not State.SAFE or not self._board.hardware.safe:
            raise Failure(f"asked to be safe, it is {self._board.state.name}")

    def _send(self, kind: int, payload: bytes) -> int:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        self._board.received(encode(LinkFrame(kind, self._sequence, payload)))
        return self._sequence

    async def _answered(self, kind: Type) -> None:
        wanted = (kind | ANSWER, self._send(kind, b""))
        try:
            async with asyncio.timeout(HANG_S):
                while wanted not in self._heard:  # noqa: ASYNC110
                    await asyncio.sleep(0)
        except TimeoutError:
            raise Failure(f"{kind.name} was not answered within {HANG_S:g} s") from None

    def _hear(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.type == Type.FAULT:
                raise Failure(f"FAULT: {frame.payload[ErrorPayload.form.size :].decode()}")
            if frame.type == Type.ERROR:
                name = Code(ErrorPayload.parse(frame.payload).code).name
            else:
                name = f"{Type(frame.type & ~ANSWER).name} done"
            self._tally.answers[name] += 1
            if name == Code.FAULT.name:
                self._tally.faults[frame.payload[ErrorPayload.form.size :].decode()] += 1
            self._heard = {(frame.type, frame.sequence)}


async def fuzz(uri: str, limits: Limits, seed: int, count: int, tally: Tally) -> None:
    """Send frames to a board of its own. Raises Failure."""
    errors = _Errors()
    log = logging.getLogger("mgdhw.serve")
    log.addHandler(errors)
    board = Board(open_device(uri), 1 << 14, limits)
    await board.start()
    try:
        fuzzed = Fuzzed(board, seed, await target_of(board), tally)
        for start in range(0, count, SESSION):
            await fuzzed.send(min(SESSION, count - start))
            if errors.records:
                raise Failure(logging.Formatter().format(errors.records[0]))
    finally:
        log.removeHandler(errors)
        board.disconnected()
        await board.stop()


async def target_of(board: Board) -> Target:
    """What `mutate` has to know of a board that was started."""
    head = board.work.head
    await board.device.open()
    remembered = cells.pack(await board.device.snapshot())
    await board.device.close()
    input_bytes = {InputKind.U8: 1, InputKind.U16: 2, InputKind.I16: 2}.get(InputKind(head.input_kind), 8)
    return Target(
        n_parameters=head.n_parameters,
        n_inputs=head.n_inputs,
        n_outputs=head.n_outputs,
        parameter_bytes=2 if head.parameter_kind == ParameterKind.CODES else 8,
        input_kind=InputKind.FLOATS if input_bytes == 8 else head.input_kind,
        input_bytes=input_bytes,
        target_bytes=8 if input_bytes == 8 else 2,
        cells=remembered,
    )


def main() -> int:
    """Fuzz every kind of chip in turn."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.getLogger("mgdhw").setLevel(logging.ERROR)
    share = -(-count // len(CHIPS))
    total = 0
    for number, (uri, limits) in enumerate(CHIPS):
        tally = Tally()
        began = time.perf_counter()
        try:
            asyncio.run(fuzz(uri, limits, first + number, share, tally))
        except Failure as failure:
            sys.stdout.write(f"{uri}: {tally}\nFAILED: {failure}\n")
            return 1
        total += tally.frames
        sys.stdout.write(f"{uri}: {tally}; {time.perf_counter() - began:.0f} s\n")
        sys.stdout.flush()
    sys.stdout.write(f"{total:,} frames: no worker died, nothing hung\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
