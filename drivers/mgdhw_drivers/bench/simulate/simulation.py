"""A whole rack, simulated: the chip, the instruments, and where they listen."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mgdhw.device import open_device
from mgdhw.device.uri import split_uri
from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import Faults
from mgdhw_drivers.bench.simulate.instruments import simulated_instruments
from mgdhw_drivers.bench.simulate.ports import Port, PseudoTerminal, SocketPort
from mgdhw_drivers.bench.simulate.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """How a rack is simulated.

    Args:
        latency: seconds that an instrument needs for a message.
        settling: seconds until a change of a level has an effect.
        faults: what goes wrong.
        seed: of the faults.
        pty: pseudo-terminals instead of sockets.
        record: file to which every change of a channel is written.
    """

    latency: float = 0.0
    settling: float = 0.0
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    pty: bool = False
    record: Path | None = None


class RackSimulation:
    """Use it with `async with`: instruments listen as long as this lasts.

    Args:
        rack: whose instruments are simulated.
        chip: address of the device that they are wired to, or the name of a preset of `sim:`.
        settings: how.
    """

    def __init__(self, rack: Rack, chip: str, settings: SimulationSettings) -> None:
        self.rack = rack
        self.chip = chip_uri(rack, chip)
        self.settings = settings
        self.ports: list[Port] = []
        self.recorder = Recorder(settings.record)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        settings = self.settings
        async with AsyncExitStack() as stack:
            stack.enter_context(self.recorder)
            device = await stack.enter_async_context(open_device(self.chip))
            chip = SimulatedChip(device, self.rack, self.recorder, settings.settling)
            await chip.outputs(
                chip.levels()[None]
            )  # what has to be compiled or loaded is so before anyone waits for it
            for instrument in simulated_instruments(self.rack, chip, settings.faults, settings.seed):
                port = (PseudoTerminal if settings.pty else SocketPort)(instrument, settings.latency)
                stack.push_async_callback(port.stop)
                await port.start()
                self.ports.append(port)
            self._closing = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.ports = []
        await self._closing.aclose()

    @property
    def addresses(self) -> dict[str, str]:
        """Where every instrument listens, by its name in the rack."""
        return {port.instrument.name: port.address for port in self.ports}

    def fault_counts(self) -> dict[str, int]:
        """Faults so far, of all instruments."""
        found: dict[str, int] = {}
        for port in self.ports:
            for name, count in port.instrument.faults.counts.items():
                found[name] = found.get(name, 0) + count
        return found


def chip_uri(rack: Rack, chip: str) -> str:
    """The address of the chip: of a preset, with the layers of the rack and the range of its parameters.

    Raises:
        ConfigError: the rack's layers are needed, and not known.
    """
    if ":" in chip:
        return chip
    _, place, options = split_uri(f"sim:{chip}")
    if "layers" not in options:
        if not rack.network.layers:
            raise ConfigError(
                f"--chip {chip}: how many neurons? Give layers in [network] of the rack, or an address, such as"
                f" sim:{place}?layers=2-3-1"
            )
        options["layers"] = "-".join(map(str, rack.network.layers))
    limits = {(group.min, group.max) for group in rack.parameters}
    if len(limits) == 1 and "weight_range" not in options:
        low, high = limits.pop()
        if low == -high:
            options["weight_range"] = f"{high:g}"
    return f"sim:{place}?" + "&".join(f"{name}={value}" for name, value in options.items())
