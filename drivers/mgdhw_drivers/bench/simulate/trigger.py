"""The trigger line of a simulated rack: generators that play drive it, what waits for it records what was played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.bench.rack import Place
from mgdhw_drivers.bench.simulate.chip import SimulatedChip


@dataclass(frozen=True, slots=True)
class Playback:
    """What a generator plays.

    Args:
        waveforms: levels of each channel, (N,) each.
        rate: points per second.
    """

    waveforms: dict[Place, FloatArray]
    rate: float


class TriggerLine:
    """Generators and recorders, connected by a trigger.

    Args:
        chip: that they are wired to.
    """

    def __init__(self, chip: SimulatedChip) -> None:
        self._chip = chip
        self._generators: list[Callable[[], Playback | None]] = []
        self._waiting: list[Callable[[FloatArray, float], None]] = []

    def connect(self, generator: Callable[[], Playback | None]) -> None:
        """Connect a generator, which is asked what it plays when a trigger comes; None: nothing."""
        self._generators.append(generator)

    def wait(self, record: Callable[[FloatArray, float], None]) -> None:
        """Be called with (N, n_out) outputs, and their rate, when something was played."""
        self._waiting.append(record)

    def leave(self, record: Callable[[FloatArray, float], None]) -> None:
        """Wait no more."""
        self._waiting = [one for one in self._waiting if one != record]

    def fire(self) -> Awaitable[None] | None:
        """Play everything that is ready; None if nothing is."""
        playbacks = [found for found in (ask() for ask in self._generators) if found is not None]
        return self._play(playbacks) if playbacks else None

    async def _play(self, playbacks: list[Playback]) -> None:
        recorders, self._waiting = self._waiting, []
        levels = self._chip.levels()
        rate = max(playback.rate for playback in playbacks)
        points = max(len(one) for playback in playbacks for one in playback.waveforms.values())
        table = np.repeat(levels[None], points, axis=0)
        driven = self._chip.wiring.driven
        for playback in playbacks:
            for place, waveform in playback.waveforms.items():
                self._chip.recorder.played(place, waveform.tolist(), playback.rate)
                if place in driven:
                    whole = np.append(waveform, np.full(points - len(waveform), waveform[-1]))
                    table[:, driven[place]] = whole
        ends = time.monotonic() + points / rate
        outputs = await self._distinct_outputs(table) if recorders else np.empty((points, 0))
        await asyncio.sleep(max(0.0, ends - time.monotonic()))  # nobody can be told before it is over
        for record in recorders:
            record(outputs, rate)

    async def _distinct_outputs(self, table: FloatArray) -> FloatArray:
        """Outputs of every row; each stretch of equal ones is computed once, and what changes settles."""
        changes = np.append(True, (table[1:] != table[:-1]).any(axis=1))
        stretch = np.cumsum(changes) - 1
        outputs = await self._chip.outputs(table[changes])
        return np.asarray(outputs[stretch])
