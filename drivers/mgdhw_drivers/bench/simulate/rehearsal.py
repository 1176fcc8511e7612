"""A rehearsal, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mgdhw.errors import ConfigError
from mgdhw.report.console import PrintableFormatter, echo
from mgdhw_drivers.bench.load import load_rack
from mgdhw_drivers.bench.simulate.rack_file import simulated_path, with_addresses
from mgdhw_drivers.bench.simulate.simulation import RackSimulation, SimulationSettings
from mgdhw_drivers.server.serving import ENDING


async def rehearse(path: Path, chip: str, settings: SimulationSettings, output: Path | None) -> None:
    """Simulate a rack until Ctrl-C or SIGTERM, and say how to train it.

    Args:
        path: of the rack file.
        chip: that it is wired to.
        settings: how it is simulated.
        output: where to write the rack file to train with; by default into a temporary folder.

    Raises:
        ConfigError: the rack file or the chip, or a file cannot be written.
        DeviceError: the chip cannot be opened.
    """
    rack = load_rack(path)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt, which ends this, too
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, asked.set)
    on_stderr = logging.StreamHandler()
    on_stderr.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[on_stderr])
    simulation = RackSimulation(rack, chip, settings)
    with tempfile.TemporaryDirectory(prefix="mgdhw-") as folder:
        target = output or simulated_path(path, Path(folder))
        try:
            async with simulation:
                _write_rack(path, target, simulation.addresses)
                for port in simulation.ports:
                    echo(f"{port.instrument.name}: {port.instrument.kind} at {port.address}")
                echo(f"wired to {simulation.chip}; rack file: {target}")
                echo(f"train it with: mgdhw train EXPERIMENT.toml --device bench:{target}")
                await asked.wait()
                counts = simulation.fault_counts()
        except OSError as error:
            raise ConfigError(f"{error.filename or target}: {error.strerror or error}") from None
    _summarize(simulation, counts)


def _write_rack(path: Path, target: Path, addresses: Mapping[str, str]) -> None:
    text = with_addresses(path.read_text(encoding="utf-8"), str(path), addresses)
    target.write_text(text, encoding="utf-8")


def _summarize(simulation: RackSimulation, counts: Mapping[str, int]) -> None:
    if counts:
        echo("faults: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    if simulation.recorder.largest:
        place, step = max(simulation.recorder.largest.items(), key=lambda item: item[1])
        echo(f"largest step of a channel: {step:g}, of {place.instrument}, channel {place.channel}")
