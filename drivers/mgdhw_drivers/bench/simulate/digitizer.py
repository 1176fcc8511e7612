"""Instruments that record: a digitizer and a scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector
from mgdhw_drivers.bench.simulate.instrument import MOST_CHANNELS, SimulatedInstrument
from mgdhw_drivers.bench.simulate.meter import disturbed
from mgdhw_drivers.bench.simulate.trigger import TriggerLine
from mgdhw_drivers.scpi import Call, ScpiError

MOST_POINTS = 1 << 24
FASTEST = 1e12


class Digitizer(SimulatedInstrument):
    """A digitizer: `ACQ:POIN 16;:TRIG:SOUR IMM;:INIT`, `*OPC?`, `FETC? (@1)`.

    A record at once begins with what was there before, up to the first window that the rack reads: the edge of what
    was applied. One that the trigger starts has a point for each that was played.
    """

    kind = "digitizer"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector, line: TriggerLine) -> None:
        super().__init__(name, identity, chip, faults)
        self._line = line
        self._outputs = np.zeros(chip.wiring.n_outputs)
        """Of the record before."""
        self._clear()
        add = self.tree.add
        add("ACQuire:POINts", self._set_points, 1)
        add("ACQuire:POINts?", lambda call: self._points)
        add("ACQuire:SRATe", self._set_rate, 1)
        add("ACQuire:SRATe?", lambda call: self._rate)
        add("TRIGger:SOURce", self._set_source, 1)
        add("TRIGger:SOURce?", lambda call: "EXT" if self._external else "IMM")
        add("INITiate[:IMMediate]", self._start)
        add("ABORt", lambda call: self._abort())
        add("FETCh?", self._fetch, (0, 1))
        add("READ?", self._read, (0, 1))

    def _clear(self) -> None:
        self._points = 1000
        self._rate = 1e6
        self._external = False
        self._records: dict[int, FloatArray] | None = None
        """Of each channel that is wired: (points,)."""
        self._recorded: asyncio.Event | None = None
        """While a trigger is awaited."""

    def reset(self) -> None:
        """`*RST`."""
        super().reset()
        self._abort()
        self._clear()

    @property
    def busy(self) -> bool:
        """Whether it waits for a trigger."""
        return self._recorded is not None

    def complete(self) -> Awaitable[object] | None:
        """Until it has recorded."""
        return None if self._recorded is None else self._recorded.wait()

    def _abort(self) -> None:
        self._line.leave(self._record_played)
        self._finish()

    def _finish(self) -> None:
        if self._recorded is not None:
            self._recorded.set()
            self._recorded = None
            self.completed()

    def _set_points(self, call: Call) -> None:
        self._points = call.integer(low=1, high=MOST_POINTS)

    def _set_rate(self, call: Call) -> None:
        self._rate = call.number(unit="HZ", low=1e-6, high=FASTEST)

    def _set_source(self, call: Call) -> None:
        self._external = call.choice(0, "IMMediate", "EXTernal") == "EXT"

    def _start(self, call: Call) -> Awaitable[None] | None:
        if self.busy:
            raise ScpiError(-213, "it waits for a trigger")
        self._records = None
        if not self._external:
            return self._record_now()
        self._recorded = asyncio.Event()
        self._line.wait(self._record_played)
        return None

    async def _record_now(self) -> None:
        outputs = (await self.chip.outputs(self.chip.levels()[None]))[0]
        before, self._outputs = self._outputs, outputs
        records = {}
        for place, wired in self.chip.wiring.read.items():
            if place.instrument == self.name:
                record = np.full(self._points, before[wired.index])
                for number, (first, end) in enumerate(wired.group.parts):
                    record[first:end] = outputs[wired.index + number]
                records[int(place.channel)] = disturbed(wired.readings(record), self.faults)
        self._records = records

    def _record_played(self, outputs: FloatArray, rate: float) -> None:
        """Take what was played, at the own rate; what changes has an effect once it has settled."""
        late = np.ceil(self.chip.wiring.settle * rate - 1e-6)
        times = np.arange(self._points) * (rate / self._rate) - late
        rows = np.clip(np.round(times), 0, len(outputs) - 1).astype(np.intp)
        self._outputs = outputs[-1]
        self._records = {
            int(place.channel): disturbed(wired.readings(outputs[rows, wired.index]), self.faults)
            for place, wired in self.chip.wiring.read.items()
            if place.instrument == self.name
        }
        self._finish()

    def _fetch(self, call: Call) -> FloatArray:
        return self._fetched(call.channels(0, MOST_CHANNELS) if call.arguments else ())

    async def fetch(self, channels: Sequence[int]) -> FloatArray:
        """Records of channels, one after the other; made at once where there are none.

        Raises:
            ScpiError: a trigger is awaited (-230).
        """
        if self._records is None and not self.busy:
            await self._record_now()
        return self._fetched(channels)

    def _fetched(self, channels: Sequence[int]) -> FloatArray:
        if self._records is None:
            raise ScpiError(-230, "nothing was recorded; send INIT first")
        records = [self._records.get(channel, np.zeros(self._points)) for channel in channels or self._records]
        return np.concatenate(records) if records else np.zeros(self._points)

    async def _read(self, call: Call) -> FloatArray:
        if self._external or self.busy:
            raise ScpiError(-221, "READ? records at once; TRIG:SOUR is EXT")
        await self._record_now()
        return self._fetch(call)


class Scope(Digitizer):
    """A scope: `ACQ:POIN 200`, `INIT`, `*OPC?`, `FETC? (@1)`."""

    kind = "scope"
