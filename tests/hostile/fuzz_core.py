"""Fuzz the board in C: mutated frames with valid checksums, from `mutate`, into whole boards in this process.

Runnable alone: `python -m tests.hostile.fuzz_core 2000000` prints what was sent and answered, and fails where a board
hung, was not safe when it had been asked to be, or moved something faster than it may. `--library` takes a core that
was built with sanitizers (`LD_PRELOAD` them).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mgdhw_drivers.protocol.frames import Frame, FrameReader, encode
from mgdhw_drivers.protocol.messages import Chunk, ErrorPayload, Identify, Pong, Read, Snapshot
from mgdhw_drivers.protocol.numbers import ANSWER, Area, Code, State, Type
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.spec import ChipSpec
from tests.firmware.core import FIRMWARE, Core
from tests.firmware.in_process import InProcess

from .mutate import Mutator, Target

SESSION = 1000
"""Frames between two looks at whether all is well."""
POLLS = 3
"""Turns that the board gets after each frame."""
DETACHED_EVERY = 5
"""Sessions of which one ends with a lost line."""


class Failure(Exception):
    """The board is not what it has to be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A board to be fuzzed.

    Args:
        spec: its chip.
        slew, interval_us: its limits.
        recorded: whether its chip is a recorder's.
    """

    spec: ChipSpec
    slew: float = 0.0
    interval_us: int = 0
    recorded: bool = False


PLAIN = ChipSpec(layers=(2, 3, 1))
WIDE = ChipSpec(layers=(5, 4, 3), activation="tanh", weight_bits=10, input_bipolar=True, cost="xent")
WORN = ChipSpec(
    layers=(2, 3, 1),
    nonidealities=Nonidealities(dw_min=0.005, w_max=1.0, w_min=-1.0, read_noise=0.01, settling=0.5),
    seed=3,
)
SETTINGS = (
    Setting(PLAIN),
    Setting(WIDE, slew=9.0),
    Setting(WORN),
    Setting(WORN, slew=4.0, interval_us=300),
    Setting(PLAIN, slew=6.0, recorded=True),
    Setting(WIDE, slew=7.5, interval_us=400, recorded=True),
)


class Fuzzed:
    """A board, and whoever sends it nonsense.

    Args:
        core: the library.
        setting: the board.
        seed: of the nonsense.
    """

    def __init__(self, core: Core, setting: Setting, seed: int) -> None:
        spec = setting.spec
        self._setting = setting
        self._board = InProcess(
            core, spec, slew=setting.slew, interval_us=setting.interval_us, recorded=setting.recorded
        )
        bipolar = spec.input_bipolar
        target = Target(
            n_parameters=spec.topology.n_parameters,
            n_inputs=spec.layers[0],
            n_outputs=spec.layers[-1],
            parameter_bytes=2 if spec.ideal else 8,
            input_kind=2 if bipolar else 0,
            input_bytes=2 if bipolar else 1,
            cells=b"" if spec.ideal else self._cells(),
        )
        self._requests = Mutator(seed, target).requests()
        self._reader = FrameReader(0xFFFF)
        self._sequence = 0
        self.answers: Counter[str] = Counter()
        self._heard: dict[int, Frame] = {}

    def send(self, count: int, *, detach: bool) -> None:
        """So many frames, and then a look at whether all is well. Raises Failure."""
        board = self._board
        for _ in range(count):
            self._send(*next(self._requests))
            for _ in range(POLLS):
                board.poll()
        if detach:
            board.attached = False
            board.poll()
            board.attached = True
        self._ask(Type.SAFE)
        pong = Pong.unpack(self._ask(Type.PING).payload)
        if pong.state != State.SAFE or pong.running:
            raise Failure(f"asked to be safe, it is {pong}")
        recorder, setting = board.recorder, self._setting
        if setting.recorded and recorder.codes.any():
            raise Failure("it says that it is safe, and the hardware is not")
        too_soon = recorder.soonest is not None and recorder.soonest < setting.interval_us
        if recorder.largest > setting.slew or too_soon:
            raise Failure(f"moved by {recorder.largest} at once, {recorder.soonest} µs after the move before")
        recorder.moves.clear()

    def _cells(self) -> bytes:
        board = self._board
        board.ask(Type.IDENTIFY, Identify(1, 0, 0xFFFF, 1).pack())
        size = Snapshot.unpack(board.ask(Type.SNAPSHOT).payload).size
        return board.ask(Type.READ, Read(Area.CELLS, 0, size).pack()).payload[Chunk.form.size :]

    def _send(self, kind: int, payload: bytes) -> int:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        self._board.receive(encode(Frame(kind, self._sequence, payload)))
        self._listen()
        return self._sequence

    def _listen(self) -> None:
        self._heard.clear()
        for frame in self._reader.feed(bytes(self._board.sent)):
            self._heard[frame.sequence] = frame
            name = Code(ErrorPayload.parse(frame.payload).code).name if frame.type == Type.ERROR else "answered"
            self.answers[name] += 1
        self._board.sent.clear()

    def _ask(self, kind: Type) -> Frame:
        sequence = self._send(kind, b"")
        for _ in range(10_000):
            answer = self._heard.get(sequence)
            if answer is not None and answer.type == kind | ANSWER:
                return answer
            self._board.poll()
            self._board.now += self._setting.interval_us // 8
            self._listen()
        raise Failure(f"{kind.name} is not answered")


def fuzz(core: Core, count: int, first_seed: int = 0) -> Counter[str]:
    """Send so many frames to every kind of board in turn; what was answered. Raises Failure."""
    answers: Counter[str] = Counter()
    share = -(-count // len(SETTINGS))
    for number, setting in enumerate(SETTINGS):
        fuzzed = Fuzzed(core, setting, first_seed + number)
        for start in range(0, share, SESSION):
            fuzzed.send(min(SESSION, share - start), detach=start // SESSION % DETACHED_EVERY == 0)
        answers += fuzzed.answers
    return answers


def main() -> None:
    """Fuzz as long as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=100_000, help="frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--library", type=Path, default=FIRMWARE / "build" / "libcore.so")
    options = parser.parse_args()
    began = time.perf_counter()
    answers = fuzz(Core(options.library), options.count, options.seed)
    told = ", ".join(f"{name} {count:,}" for name, count in answers.most_common())
    sys.stdout.write(f"{options.count:,} frames, {time.perf_counter() - began:.0f} s: {told}; nothing hung\n")


if __name__ == "__main__":
    main()
