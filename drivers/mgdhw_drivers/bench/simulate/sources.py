"""Sources of levels: many channels in one instrument, or one channel that also measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector
from mgdhw_drivers.bench.simulate.instrument import MOST_CHANNELS, SimulatedInstrument
from mgdhw_drivers.bench.simulate.meter import Readings
from mgdhw_drivers.bench.simulate.recorder import Cause
from mgdhw_drivers.scpi import Call, ScpiError

HIGHEST = 1000.0
"""Largest level, in either direction."""
QUANTITIES = {"VOLTage": "V", "CURRent": "A", "POWer": "W"}
"""What may be set, with its unit; a channel has one level, whatever it is called."""


@dataclass(slots=True)
class Output:
    """A channel."""

    level: float = 0.0
    on: bool = False


class MultichannelSource(SimulatedInstrument):
    """A source of many channels: `SOUR:VOLT 0.5,1.5,(@1:2)`, `SOUR2:VOLT 1.5`, `OUTP ON,(@1:13)`."""

    kind = "multichannel source"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector) -> None:
        super().__init__(name, identity, chip, faults)
        self.outputs: dict[int, Output] = {}
        self.limits: dict[int, float] = {}
        """Current limits, which nothing here ever reaches."""
        add = self.tree.add
        for quantity, unit in QUANTITIES.items():
            self._add_level(quantity, unit)
        add("OUTPut#[:STATe]", self._switch, (1, 2))
        add("OUTPut#[:STATe]?", lambda call: tuple(int(self.output(n).on) for n in self.selected(call, 0)), (0, 1))
        add("OUTPut#:PROTection:TRIPped?", lambda call: int(self.faults.interlock_is_open()))
        add("OUTPut#:PROTection:CLEar", lambda call: None)

    def output(self, channel: int) -> Output:
        """A channel's state."""
        return self.outputs.setdefault(channel, Output())

    def effective(self, channel: int) -> float:
        """The level at a channel's connector."""
        output = self.output(channel)
        return output.level if output.on else 0.0

    def apply(self, channel: int, cause: Cause = Cause.COMMAND) -> None:
        """Let the chip see a channel."""
        self.chip.set(self.place(channel), self.effective(channel), cause)

    def reset(self) -> None:
        """`*RST`: everything is off."""
        super().reset()
        self._all_off(Cause.COMMAND)

    def power_cycle(self) -> None:
        """Everything is off, at once."""
        self._all_off(Cause.POWER)
        super().power_cycle()

    def _all_off(self, cause: Cause) -> None:
        channels = list(self.outputs)
        self.outputs.clear()
        self.limits.clear()
        for channel in channels:
            self.apply(channel, cause)

    def _add_level(self, quantity: str, unit: str) -> None:
        add = self.tree.add

        def set_levels(call: Call) -> None:
            self._set_levels(call, unit)

        def limit(call: Call) -> None:
            channels = self.selected(call, 1)
            value = call.number(0, unit="A" if unit == "V" else "V", low=0.0, high=HIGHEST)
            self.limits.update(dict.fromkeys(channels, value))

        add(f"[SOURce#:]{quantity}[:LEVel][:IMMediate][:AMPLitude]", set_levels, (1, None))
        add(
            f"[SOURce#:]{quantity}[:LEVel][:IMMediate][:AMPLitude]?",
            lambda call: self.levels_of(self.selected(call, 0)),
            (0, 1),
        )
        add(f"[SOURce#:]{quantity}:ILIMit", limit, (1, 2))
        add(f"[SOURce#:]{quantity}:RANGe", lambda call: None, (1, 2))

    def _set_levels(self, call: Call, unit: str) -> None:
        count = len(call.arguments)
        values = [call.number(0, unit=unit, low=-HIGHEST, high=HIGHEST, default=0.0)]
        channels: tuple[int, ...] = ()
        if count == 1:
            channels = (call.suffix(0, MOST_CHANNELS),)
        else:
            values += [
                call.number(index, unit=unit, low=-HIGHEST, high=HIGHEST, default=0.0) for index in range(1, count - 1)
            ]
            channels = call.channels(count - 1, MOST_CHANNELS)
        self.set_levels(channels, values)

    def levels_of(self, channels: Sequence[int]) -> tuple[float, ...]:
        """What channels are set to, on or not."""
        return tuple(self.output(channel).level for channel in channels)

    def set_levels(self, channels: Sequence[int], values: Sequence[float]) -> None:
        """Set channels, each to its value or all to the same.

        Raises:
            ScpiError: too few values (-109), or too many (-108).
        """
        if len(values) == 1:
            values = list(values) * len(channels)
        if len(values) != len(channels):
            raise ScpiError(-108 if len(values) > len(channels) else -109, f"{len(channels)} channels are listed")
        for channel, value in zip(channels, values, strict=True):
            self.output(channel).level = value
        for channel in channels:
            self.apply(channel)

    def _switch(self, call: Call) -> None:
        on = call.boolean(0)
        for channel in self.selected(call, 1):
            self.output(channel).on = on
            self.apply(channel)


class SourceMeasureUnit(MultichannelSource):
    """One channel that sources and measures: `SOUR:VOLT 0.5`, `OUTP ON`, `READ?`."""

    kind = "source-measure unit"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector) -> None:
        super().__init__(name, identity, chip, faults)
        self.readings = Readings(self)
        self.readings.add_commands("SENSe#:")
