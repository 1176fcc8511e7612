"""Racks and instruments to simulate, small and in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.testing import FunctionDevice
from mgdhw_drivers.bench.load import load_rack, parse_rack
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import Faults
from mgdhw_drivers.bench.simulate.instrument import SimulatedInstrument
from mgdhw_drivers.bench.simulate.instruments import simulated_instruments
from mgdhw_drivers.bench.simulate.recorder import Recorder
from mgdhw_drivers.scpi import Interpreter
from tests.helpers.paths import ROOT

BENCHES = ROOT / "examples" / "benches"
NAMES = ("source-and-scope", "source-measure-units", "generator-and-digitizer")


def example(name: str) -> Rack:
    """One of the example racks."""
    return load_rack(BENCHES / f"{name}.toml")


SMALL = parse_rack(
    """
[instruments.source]
address = "TCPIP::10.0.0.1::5025::SOCKET"
identity = "SRC"
[instruments.meter]
address = "TCPIP::10.0.0.2::5025::SOCKET"
[[parameters]]
instrument = "source"
channels = "1:3"
write = "SOUR:VOLT {values},(@{channels})"
min = "-4 V"
max = "4 V"
lsb = "1 mV"
safe = "0 V"
[[inputs]]
instrument = "source"
channels = "4"
write = "SOUR:VOLT {values},(@{channels})"
low = "1 V"
high = "3 V"
[[outputs]]
instrument = "meter"
query = "READ?"
scale = 2.0
offset = 1.0
[[safe]]
instrument = "source"
write = "OUTP OFF,(@1:4)"
""",
    "small",
)
"""Three parameters and an input on a source, an output on a multimeter."""


class Counting(FunctionDevice):
    """A device of which every output is the sum of parameters and inputs, and whose work is counted."""

    def __init__(self, n: int, n_inputs: int, low: float = -8.0, high: float = 8.0, n_outputs: int = 1) -> None:
        def outputs(theta: FloatArray, inputs: FloatArray) -> FloatArray:
            return np.repeat(theta.sum() + inputs.sum(axis=1, keepdims=True), n_outputs, axis=1)

        super().__init__(None, n, outputs=outputs, n_inputs=n_inputs, n_outputs=n_outputs, low=low, high=high, lsb=1e-6)
        self.inferences = 0

    async def infer(self, samples: np.ndarray, step: int = 0) -> FloatArray:
        self.inferences += 1
        return await super().infer(samples, step)


class Bench:
    """Simulated instruments that are spoken to without a connection."""

    def __init__(self, instruments: Sequence[SimulatedInstrument], chip: SimulatedChip, device: Counting) -> None:
        self.instruments = {instrument.name: instrument for instrument in instruments}
        self.chip = chip
        self.device = device
        self._connections = {name: Interpreter(one) for name, one in self.instruments.items()}

    async def ask(self, name: str, message: str | bytes) -> bytes:
        """What an instrument answers to a message, without its end."""
        data = message.encode() if isinstance(message, str) else message
        replies = [reply async for reply in self._connections[name].replies(data + b"\n")]
        return b"".join(replies).removesuffix(b"\n")

    def errors(self, name: str) -> list[int]:
        """Codes in an instrument's error queue."""
        return [code for code, _ in self.instruments[name].status.errors]


@asynccontextmanager
async def bench(
    rack: Rack, faults: Faults | None = None, record: Path | None = None, settling: float = 0.0, n_outputs: int = 1
) -> AsyncIterator[Bench]:
    """The instruments of a rack, wired to a device that is a sum."""
    with Recorder(record) as recorder:
        async with Counting(rack.n_parameters, rack.n_inputs, n_outputs=n_outputs) as device:
            chip = SimulatedChip(device, rack, recorder, settling)
            yield Bench(simulated_instruments(rack, chip, faults or Faults(), 0), chip, device)
