"""The example racks, simulated on loopback."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from mgdhw_drivers.bench.device import BenchDevice, open_uri
from mgdhw_drivers.bench.load import parse_rack
from mgdhw_drivers.bench.simulate.rack_file import with_addresses
from mgdhw_drivers.bench.simulate.recorder import Recorder
from mgdhw_drivers.bench.simulate.simulation import RackSimulation, SimulationSettings
from tests.helpers.paths import ROOT

PLAIN = SimulationSettings()
"""Without delays and faults."""


@dataclass(frozen=True)
class Simulated:
    """A simulated rack.

    Args:
        path: of the rack file with the addresses of the simulated instruments.
        recorder: of what channels do.
        simulation: itself.
    """

    path: Path
    recorder: Recorder
    simulation: RackSimulation

    @property
    def uri(self) -> str:
        """Its address."""
        return f"bench:{self.path}"

    def device(self) -> BenchDevice:
        """The rack as a device."""
        return open_uri(self.uri)


@contextlib.asynccontextmanager
async def simulated(
    name: str,
    folder: Path,
    *changes: tuple[str, str],
    chip: str = "analog-8bit",
    settings: SimulationSettings = PLAIN,
) -> AsyncIterator[Simulated]:
    """An example rack, with some of its text changed, whose instruments listen on loopback."""
    text = (ROOT / "examples" / "benches" / f"{name}.toml").read_text("utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    async with RackSimulation(parse_rack(text, name), chip, settings) as simulation:
        path = folder / f"{name}.toml"
        path.write_text(with_addresses(text, name, simulation.addresses), "utf-8")
        yield Simulated(path, simulation.recorder, simulation)
