"""A small instrument to send messages to."""

from __future__ import annotations

import numpy as np

from mgdhw_drivers.scpi import Call, Interpreter, ScpiInstrument


class Supply(ScpiInstrument):
    """Four channels, one name, one block, and a record of calls."""

    def __init__(self) -> None:
        super().__init__("mgdhw,supply,7,1.0")
        self.volts = [0.0] * 4
        self.block = b""
        self.calls: list[Call] = []
        add = self.tree.add
        add("[SOURce#:]VOLTage[:LEVel]", self.set_voltage, 1)
        add("[SOURce#:]VOLTage[:LEVel]?", lambda call: self.volts[call.suffix(0, 4) - 1])
        add("[SOURce#:]CURRent", self.record, 1)
        add("DATA", self.take, 1)
        add("DATA?", lambda call: self.block)
        add("ARRay?", lambda call: np.array([1.0, -2.5, 1e-5]))
        add("ANY", self.record, (0, None))
        add("ROUTe:CLOSe", self.record, 1)

    def set_voltage(self, call: Call) -> None:
        """0 to 10 V."""
        self.volts[call.suffix(0, 4) - 1] = call.number(unit="V", low=0.0, high=10.0, default=5.0)

    def take(self, call: Call) -> None:
        """Keep a block."""
        self.block = call.block()

    def record(self, call: Call) -> None:
        """Keep the call."""
        self.calls.append(call)


def ask(message: str | bytes, instrument: ScpiInstrument | None = None) -> str:
    """The reply to one message, without its newline."""
    sent = message.encode() if isinstance(message, str) else message
    reply = Interpreter(instrument or Supply()).receive(sent + b"\n")
    return reply.decode().removesuffix("\n")


def errors(instrument: ScpiInstrument) -> list[int]:
    """Codes in the error queue, oldest first."""
    return [code for code, _ in instrument.status.errors]


def codes_of(message: str | bytes) -> list[int]:
    """Codes of the errors that a message leaves."""
    instrument = Supply()
    ask(message, instrument)
    return errors(instrument)
