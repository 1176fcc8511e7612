"""Single readings: a multimeter, and what it shares with source-measure units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector, ReadingFault
from mgdhw_drivers.bench.simulate.instrument import SimulatedInstrument
from mgdhw_drivers.scpi import INFINITY, Call, ScpiError

SPIKE = 10.0
"""By how much a reading is off on purpose."""


def disturbed(readings: FloatArray, faults: FaultInjector) -> FloatArray:
    """Readings, (n,), with faults on purpose: all of them overloaded, or far off."""
    fault = faults.reading()
    if fault is ReadingFault.OVERLOAD:
        return np.full_like(readings, INFINITY)
    return readings + SPIKE if fault is ReadingFault.SPIKE else readings


class Readings:
    """`READ?`, `INIT` and `FETC?`, `MEAS:VOLT?` of an instrument's channels.

    Args:
        instrument: whose channels are read.
    """

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument
        self._levels: FloatArray | None = None

    def add_commands(self, sense: str = "[SENSe#:]") -> None:
        """Add them to the instrument.

        Args:
            sense: what precedes settings of the measurement; optional, unless the instrument has sources as well.
        """
        add = self._instrument.tree.add
        add("READ#?", self._read, (0, 1))
        add("INITiate[:IMMediate]", self._start)
        add("FETCh#?", self._fetch, (0, 1))
        add("ABORt", lambda call: None)
        for quantity in ("VOLTage", "CURRent", "POWer", "RESistance"):
            add(f"MEASure#[:SCALar]:{quantity}[:DC]?", self._read, (0, 1))
            add(f"CONFigure#[:SCALar]:{quantity}[:DC]", lambda call: None, (0, 3))
            for setting in ("RANGe", "NPLCycles", "APERture", "RANGe:AUTO"):
                add(f"{sense}{quantity}[:DC]:{setting}", lambda call: None, (1, 2))

    async def value(self, channel: int, levels: FloatArray) -> float:
        """The reading of a channel at levels, (C,), of everything."""
        chip = self._instrument.chip
        wired = chip.wiring.read.get(self._instrument.place(channel))
        if wired is None:
            return 0.0  # nothing is connected
        outputs = (await chip.outputs(levels[None]))[0]
        readings = wired.readings(outputs[wired.index : wired.index + 1])
        return float(disturbed(readings, self._instrument.faults)[0])

    async def _read(self, call: Call) -> tuple[float, ...]:
        return await self.now(self._instrument.selected(call, 0))

    def _start(self, call: Call) -> None:
        self._levels = self._instrument.chip.levels()

    async def _fetch(self, call: Call) -> tuple[float, ...]:
        if self._levels is None:
            raise ScpiError(-230, "nothing was measured; send INIT first")
        return await self._values(self._instrument.selected(call, 0), self._levels)

    async def now(self, channels: Sequence[int]) -> tuple[float, ...]:
        """Readings of channels."""
        self._levels = self._instrument.chip.levels()
        return await self._values(channels, self._levels)

    async def _values(self, channels: Sequence[int], levels: FloatArray) -> tuple[float, ...]:
        return tuple([await self.value(channel, levels) for channel in channels])


class Multimeter(SimulatedInstrument):
    """A multimeter: `READ?`."""

    kind = "multimeter"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector) -> None:
        super().__init__(name, identity, chip, faults)
        self.readings = Readings(self)
        self.readings.add_commands()
