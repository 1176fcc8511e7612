"""A board in another process, with a recorder at its hardware: what moved there, how far, and when."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.sockets import free_port

SECONDS = 180.0
SLEW = 4
"""Codes that a parameter may move at once."""
INTERVAL = 0.0005
"""Seconds between two moves of a parameter."""
RECORDED = Path(__file__).with_name("recorded_board.py")
CHIP = "sim:analog-8bit?layers=2-3-1&output_bits=16&engine=reference&codes=host"
IN_C = ("layers=2-3-1", "output_bits=16")


@dataclass(frozen=True)
class Move:
    """A line of the record."""

    microseconds: int
    parameter: int
    code: int


class Recorded:
    """A board in a process of its own, with a recorder at its hardware.

    Args:
        transport: where it is served: tcp, unix or pty.
        folder: of its files.
        program: the C core's; None: the served chip.
    """

    def __init__(self, transport: str, folder: Path, program: Path | None) -> None:
        self._folder = folder
        self._program = program
        self._starts = 0
        self._record = folder / "record"
        self._earlier: list[list[Move]] = []
        self.port = free_port()
        self._where = {
            "tcp": ["--tcp", str(self.port)],
            "unix": ["--unix", str(folder / "socket")],
            "pty": ["--pty"] if program else ["--pty", "--link", str(folder / "port")],
        }[transport]
        self.process: subprocess.Popen[str]
        self.address = ""

    def start(self) -> None:
        """Begin, and wait until it serves."""
        if self._program is None:
            arguments = [sys.executable, str(RECORDED), CHIP, "--slew", str(SLEW), "--interval", str(INTERVAL)]
            arguments += ["--record", str(self._record)]
        else:  # a board that was killed has lost its power, and its converters begin anew
            if self._record.exists():
                self._earlier.append(self._moves())
                self._record.unlink()
            arguments = [str(self._program), *IN_C, f"max_slew={SLEW}", f"slew_interval={1000 * INTERVAL:g}"]
            arguments += [f"record={self._record}"]
        self._starts += 1
        with (self._folder / "board.log").open("a") as log:
            self.process = subprocess.Popen(
                [*arguments, *self._where], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        said = re.search(r"(?:^| )((?:tcp|unix|serial):\S+)", self.process.stdout.readline())
        assert said is not None, f"the board does not serve; {(self._folder / 'board.log').read_text()}"
        self.address = said.group(1)

    def end(self, number: int) -> int:
        """By a signal, to all of its processes; its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGCONT)
            os.killpg(self.process.pid, number)
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode

    def _moves(self) -> list[Move]:
        if not self._record.exists():
            return []
        lines = self._record.read_text().splitlines()
        return [Move(*(int(word) for word in line.split())) for line in lines if line.count(" ") == 2]

    def is_safe(self) -> bool:
        """Whether every parameter was left where it is safe."""
        return not any({move.parameter: move.code for move in self._moves()}.values())

    def moved(self) -> int:
        """How many moves there have been since it was started."""
        return len(self._moves())

    def worst(self) -> tuple[int, int]:
        """The largest change at once, and the least time between two moves of a parameter (µs)."""
        largest, soonest = 0, 1 << 62
        for moves in [*self._earlier, self._moves()]:
            last: dict[int, Move] = {}
            for move in moves:
                before = last.get(move.parameter)
                last[move.parameter] = move
                if before is not None:
                    largest = max(largest, abs(move.code - before.code))
                    soonest = min(soonest, move.microseconds - before.microseconds)
                elif self._program is None:  # the record begins where nothing had moved yet
                    largest = max(largest, abs(move.code))
        return largest, soonest
