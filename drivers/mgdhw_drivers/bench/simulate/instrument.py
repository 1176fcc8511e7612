"""What all simulated instruments have in common: a name in the rack, and faults on purpose."""

from __future__ import annotations

from mgdhw_drivers.bench.rack import Place
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector, MessageFault
from mgdhw_drivers.scpi import Call, ScpiError, ScpiInstrument

MOST_CHANNELS = 4096


class Closed(Exception):
    """The connection is to be closed, on purpose."""


class PowerCycled(Exception):
    """The instrument is to be switched off and on, on purpose."""


class SimulatedInstrument(ScpiInstrument):
    """An instrument of a simulated rack.

    Args:
        name: in the rack.
        identity: text that its answer to *IDN? contains; empty: the kind of instrument.
        chip: that its channels are wired to.
        faults: what goes wrong.
    """

    kind = "instrument"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector) -> None:
        super().__init__(f"mgdhw,{(identity or self.kind).replace(',', ' ')},{name},simulated")
        self.name = name
        self.chip = chip
        self.faults = faults
        self.messages = 0
        """Messages so far."""

    def begin_message(self, message: bytes) -> None:
        """Count it, and let something go wrong before it is executed."""
        self.messages += 1
        fault = self.faults.message()
        if fault is MessageFault.CLOSE:
            raise Closed
        if fault is MessageFault.REBOOT:
            raise PowerCycled
        if fault is MessageFault.ERROR:
            self.status.report(ScpiError(-310, "on purpose"))

    def place(self, channel: int) -> Place:
        """One of its channels."""
        return Place(self.name, str(channel))

    def selected(self, call: Call, index: int) -> tuple[int, ...]:
        """Channels of a command: its channel list, if it has one at `index`, or else its first suffix."""
        if len(call.arguments) > index:
            return call.channels(index, MOST_CHANNELS)
        return (call.suffix(0, MOST_CHANNELS),)
