"""A waveform generator: a source whose channels can also play waveforms."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.bench.groups import ByteOrder, NumberType, number_type
from mgdhw_drivers.bench.rack import Place
from mgdhw_drivers.bench.simulate.chip import RESOLUTION, SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector
from mgdhw_drivers.bench.simulate.instrument import MOST_CHANNELS
from mgdhw_drivers.bench.simulate.recorder import Cause
from mgdhw_drivers.bench.simulate.sources import MultichannelSource
from mgdhw_drivers.bench.simulate.trigger import Playback, TriggerLine
from mgdhw_drivers.scpi import Call, ScpiError

MOST_WAVEFORMS = 4096
"""Named waveforms of a channel."""
FASTEST = 1e12


class WaveformGenerator(MultichannelSource):
    """A generator: `SOUR1:DATA:VOL #…`, `SOUR:FUNC ARB,(@1:11)`, `*TRG`; `SOUR1:DATA:NAME S3,#…`, `SOUR1:FUNC:USER S3`.

    A channel is at its level (`DC`), at the end of a named waveform that was selected (`USER`), or at the first point
    of its waveform until the trigger comes, and then at the last (`ARB`).
    """

    kind = "waveform generator"

    def __init__(
        self,
        name: str,
        identity: str,
        chip: SimulatedChip,
        faults: FaultInjector,
        line: TriggerLine,
    ) -> None:
        super().__init__(name, identity, chip, faults)
        self._line = line
        self._functions: dict[int, str] = {}
        self._volatile: dict[int, FloatArray] = {}
        self._played: set[int] = set()
        self._named: dict[tuple[int, str], FloatArray] = {}
        self._rate = 1e6
        self.volatile_format: tuple[NumberType, ByteOrder, float] = ("float32", "little", 1.0)
        """Numbers in waveforms: their type, their order of bytes, and the level of one count."""
        self.named_format: tuple[NumberType, ByteOrder, float] = ("float32", "little", 1.0)
        line.connect(self._playback)
        add = self.tree.add
        add("[SOURce#:]FUNCtion[:SHAPe]", self._choose, (1, 2))
        add("[SOURce#:]FUNCtion[:SHAPe]?", lambda call: self._functions.get(call.suffix(0, MOST_CHANNELS), "DC"))
        add("[SOURce#:]FUNCtion:USER", self._select, (1, 2))
        add("[SOURce#:]DATA:VOLatile", self._upload, 1)
        add("[SOURce#:]DATA:NAME", self._store, 2)
        add("[SOURce#:]DATA:DELete:ALL", lambda call: self._named.clear())
        add("[SOURce#:]ARBitrary:SRATe", self._set_rate, 1)
        add("[SOURce#:]ARBitrary:SRATe?", lambda call: self._rate)

    def effective(self, channel: int) -> float:
        """The level at a channel's connector."""
        if not self.output(channel).on:
            return 0.0
        function = self._functions.get(channel, "DC")
        if function == "ARB" and channel in self._volatile:
            return float(self._volatile[channel][-1 if channel in self._played else 0])
        if function.startswith("USER"):
            return float(self._named[channel, function.removeprefix("USER ")][-1])
        return super().effective(channel)

    def trigger(self) -> Awaitable[None] | None:
        """`*TRG`: play what is ready, here and at all generators on the same line.

        Raises:
            ScpiError: nothing is (-211).
        """
        playing = self._line.fire()
        if playing is None:
            raise ScpiError(-211, "no channel that is on has a waveform to play")
        return playing

    def _all_off(self, cause: Cause) -> None:
        self._functions.clear()
        self._volatile.clear()
        self._named.clear()
        self._played.clear()
        super()._all_off(cause)

    def _playback(self) -> Playback | None:
        waveforms: dict[Place, FloatArray] = {}
        for channel, waveform in self._volatile.items():
            if self._functions.get(channel) == "ARB" and self.output(channel).on:
                waveforms[self.place(channel)] = waveform
                self._played.add(channel)
        for channel in self._played:
            self.chip.set(self.place(channel), self.effective(channel), Cause.WAVEFORM)
        return Playback(waveforms, self._rate) if waveforms else None

    def _choose(self, call: Call) -> None:
        function = call.choice(0, "DC", "ARBitrary")
        for channel in self.selected(call, 1):
            self._functions[channel] = function
            self._played.discard(channel)
            self.apply(channel)

    def _select(self, call: Call) -> None:
        self.select(self.selected(call, 1), call.name(0))

    def select(self, channels: Sequence[int], name: str) -> None:
        """Let channels be at the end of a named waveform. Raises ScpiError if there is none (-256)."""
        name = name.upper()
        if any((channel, name) not in self._named for channel in channels):
            raise ScpiError(-256, name)
        for channel in channels:
            self._functions[channel] = f"USER {name}"
            self.apply(channel)

    def _upload(self, call: Call) -> None:
        self.upload(call.suffix(0, MOST_CHANNELS), call.block(0))

    def upload(self, channel: int, data: bytes) -> None:
        """Take a channel's waveform. Raises ScpiError if it is none (-161, -222)."""
        self._volatile[channel] = _levels(data, self.volatile_format)
        self._played.discard(channel)
        self.apply(channel)

    def _store(self, call: Call) -> None:
        self.store(call.suffix(0, MOST_CHANNELS), call.name(0), call.block(1))

    def store(self, channel: int, name: str, data: bytes) -> None:
        """Take a named waveform of a channel. Raises ScpiError if it is none, or if there are too many (-321)."""
        if len(self._named) >= MOST_WAVEFORMS * max(1, len(self.outputs)):
            raise ScpiError(-321, f"{len(self._named)} waveforms are stored")
        self._named[channel, name.upper()] = _levels(data, self.named_format)

    def _set_rate(self, call: Call) -> None:
        self._rate = call.number(0, unit="HZ", low=1e-6, high=FASTEST)


def _levels(data: bytes, form: tuple[NumberType, ByteOrder, float]) -> FloatArray:
    dtype, byte_order, unit = form
    numbers = number_type(dtype, byte_order)
    if not data or len(data) % numbers.itemsize:
        raise ScpiError(-161, f"{len(data)} bytes are no {dtype}")
    levels = np.round(np.frombuffer(data, numbers).astype(np.float64) * unit, RESOLUTION)
    if not np.isfinite(levels).all():
        raise ScpiError(-222, "a point is no number")
    return levels
