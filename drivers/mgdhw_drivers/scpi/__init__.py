"""SCPI for instruments, without I/O: bytes in, replies out.

class Supply(ScpiInstrument):
    def __init__(self) -> None:
        super().__init__("mgdhw,supply,7,1.0")
        self.volts = [0.0] * 4
        self.tree.add("[SOURce#:]VOLTage[:LEVel]", self.set_voltage, arguments=1)
        self.tree.add("[SOURce#:]VOLTage[:LEVel]?", lambda call: self.volts[call.suffix(0, 4) - 1])

    def set_voltage(self, call: Call) -> None:
        self.volts[call.suffix(0, 4) - 1] = call.number(unit="V", low=0.0, high=10.0, default=0.0)

connection = Interpreter(Supply())
connection.receive(b"SOUR2:VOLT 10 MV;VOLT?\\n")  # b"0.01\\n"
"""

from mgdhw_drivers.scpi.call import INFINITY, NOT_A_NUMBER, Call
from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.instrument import ScpiInstrument
from mgdhw_drivers.scpi.interpreter import Interpreter
from mgdhw_drivers.scpi.replies import DataFormat, DataType, Reply, quoted
from mgdhw_drivers.scpi.tree import CommandTree

__all__ = [
    "INFINITY",
    "NOT_A_NUMBER",
    "Call",
    "CommandTree",
    "DataFormat",
    "DataType",
    "Interpreter",
    "Reply",
    "ScpiError",
    "ScpiInstrument",
    "quoted",
]
