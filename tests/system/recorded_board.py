"""A served chip whose hardware is recorded: a process of its own, with limits on how fast parameters move.

The record is a text file, a line for each parameter that a write changed: microseconds, its index, its code. It
outlives the process, as positions of real hardware do: the chip stands where the record says that it was left.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device import Capability
from mgdhw.device.motion import Motion
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.listener import Listener
from mgdhw_drivers.server.serving import until_asked_to_end
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_drivers.transports.unix import UnixListener
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse


class RecordedChip(SimDevice):
    """A chip to which every code is a write of its parameters, each of which goes on record."""

    def __init__(self, uri: str, record: Path, slew: int, interval: float) -> None:
        super().__init__(uri, parse(uri))
        lsb = self.spec.weight_lsb
        self.info = replace(
            self.info,
            capabilities=self.info.capabilities | Capability.PROBE,  # by writes, as `codes=host` has it
            motion=Motion(slew * lsb, interval, safe=0.0),
        )
        self._record = record
        self._codes = np.zeros(self.info.n_parameters, dtype=np.int64)
        if record.exists():
            for line in record.read_text().splitlines():
                _, parameter, code = (int(word) for word in line.split())
                self._codes[parameter] = code

    async def read(self) -> FloatArray:
        return np.asarray(self._codes * self.spec.weight_lsb, dtype=np.float64)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        await super().apply(theta, step)
        codes = self.chip.codes.astype(np.int64)
        now = time.monotonic_ns() // 1000
        moved = np.flatnonzero(codes != self._codes)
        with self._record.open("a") as file:
            file.write("".join(f"{now} {parameter} {codes[parameter]}\n" for parameter in moved))
        self._codes = codes
        return await self.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chip")
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--slew", type=int, required=True, help="codes at once")
    parser.add_argument("--interval", type=float, required=True, help="seconds between two moves")
    parser.add_argument("--tcp", type=int)
    parser.add_argument("--unix", type=Path)
    parser.add_argument("--pty", action="store_true")
    parser.add_argument("--link", type=Path)
    chosen = parser.parse_args()
    station = Endpoint(RecordedChip(chosen.chip, chosen.record, chosen.slew, chosen.interval), Line())
    listener: Listener
    if chosen.pty:
        listener = PtyListener(station, chosen.link)
    elif chosen.unix is not None:
        listener = UnixListener(station, chosen.unix)
    else:
        listener = TcpListener(station, chosen.tcp)

    def begun() -> None:
        sys.stdout.write(f"serving at {listener.address}\n")
        sys.stdout.flush()

    asyncio.run(until_asked_to_end(station, listener, begun))


if __name__ == "__main__":
    main()
