"""What every channel of a simulated rack did: a file with a line for each change, and the largest step at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TextIO

from mgdhw_drivers.bench.rack import Place

HEADER = "seconds,instrument,channel,level,cause"


class Cause(StrEnum):
    """Why a channel has changed."""

    COMMAND = "command"
    WAVEFORM = "waveform"
    POWER = "power"
    """It was switched off and on, which no host can help."""


class Move(NamedTuple):
    """One change of a channel."""

    seconds: float
    """Since the rack was switched on."""
    place: Place
    level: float
    """Of the output from then on."""
    cause: Cause


class Recorder(AbstractContextManager["Recorder"]):
    """Writes changes down. At the beginning every channel is at 0.

    Args:
        path: of a CSV file; None: nothing is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._began = time.monotonic()
        self._levels: dict[Place, float] = {}
        self._closing = ExitStack()
        self.largest: dict[Place, float] = {}
        """The largest change at once that a host has asked for, by channel."""

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._closing.enter_context(self._path.open("w", encoding="utf-8"))
            self._file.write(HEADER + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
        self._file = None

    def now(self) -> float:
        """Seconds since the rack was switched on."""
        return time.monotonic() - self._began

    def moved(self, place: Place, level: float, cause: Cause = Cause.COMMAND, seconds: float | None = None) -> None:
        """Note a channel's level; nothing if it has not changed.

        Args:
            place: the channel.
            level: from now on.
            cause: of the change.
            seconds: when; now if not given.
        """
        before = self._levels.get(place, 0.0)
        if level == before:
            return
        self._levels[place] = level
        if cause is not Cause.POWER:
            self.largest[place] = max(self.largest.get(place, 0.0), abs(level - before))
        if self._file is not None:
            at = self.now() if seconds is None else seconds
            self._file.write(f"{at:.6f},{place.instrument},{place.channel},{level!r},{cause}\n")

    def played(self, place: Place, levels: Sequence[float], rate: float) -> None:
        """Note a waveform that is played now, at `rate` points per second."""
        begin = self.now()
        for number, level in enumerate(levels):
            self.moved(place, level, Cause.WAVEFORM, begin + number / rate)


def read_moves(path: Path) -> Iterator[Move]:
    """The changes in a file, in their order."""
    with path.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            seconds, instrument, channel, level, cause = line.rstrip("\n").split(",")
            yield Move(float(seconds), Place(instrument, channel), float(level), Cause(cause))
