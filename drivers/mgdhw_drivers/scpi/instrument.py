"""An instrument that speaks SCPI: its commands, its status, and what every instrument has."""

from __future__ import annotations

from collections.abc import Awaitable

from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.replies import DataFormat
from mgdhw_drivers.scpi.standard_commands import add_standard_commands
from mgdhw_drivers.scpi.status import Event, Status
from mgdhw_drivers.scpi.tree import CommandTree


class ScpiInstrument:
    """Derive from it, and add commands to `tree`; several connections may share one.

    Args:
        identity: answer to `*IDN?`: manufacturer, model, serial number and version, with commas in between.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.tree = CommandTree()
        self.status = Status()
        self.format = DataFormat()
        self._completion_asked = False
        add_standard_commands(self)

    def begin_message(self, message: bytes) -> None:
        """Called with every message before it is executed: for a log, or to fail on purpose."""

    def reset(self) -> Awaitable[None] | None:
        """`*RST`: settings as after power-on. Status, masks and errors stay."""
        self.format = DataFormat()
        return None

    def complete(self) -> Awaitable[object] | None:
        """`*OPC?`, `*WAI`: what there is to wait for until every operation is over; None if there is nothing."""
        return None

    @property
    def busy(self) -> bool:
        """Whether an operation is going on: `*OPC` then waits for `completed`."""
        return False

    def completed(self) -> None:
        """Call it when the last operation is over."""
        if self._completion_asked:
            self._completion_asked = False
            self.status.events |= Event.OPERATION_COMPLETE

    def report_completion(self) -> None:
        """`*OPC`: set the event when no operation is going on."""
        self._completion_asked = True
        if not self.busy:
            self.completed()

    def forget_completion(self) -> None:
        """`*CLS` and `*RST` end what `*OPC` has begun."""
        self._completion_asked = False

    def trigger(self) -> Awaitable[None] | None:
        """`*TRG`.

        Raises:
            ScpiError: nothing waits for a trigger (-211).
        """
        raise ScpiError(-211)

    def self_test(self) -> int:
        """`*TST?`: 0, or what is wrong."""
        return 0

    def power_cycle(self) -> Awaitable[None] | None:
        """As after power was off and on: nothing is remembered, and *ESR? says so (bit 7)."""
        self.status = Status()
        self.forget_completion()
        return self.reset()
