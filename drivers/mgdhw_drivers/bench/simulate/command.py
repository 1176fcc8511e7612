"""`mgdhw bench simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MOST_SECONDS = 60.0


def simulate(
    rack: Annotated[Path, typer.Argument(metavar="RACK.toml", help="Rack file.")],
    chip: Annotated[
        str,
        typer.Option(
            metavar="PRESET",
            help="Chip that the instruments are wired to: a preset of `mgdhw sim list`, or an address.",
        ),
    ] = "analog-8bit",
    latency: Annotated[str, typer.Option(metavar="TIME", help="Time that an instrument needs for a message.")] = "0 s",
    settling: Annotated[
        str, typer.Option(metavar="TIME", help="Time until a change of a level has an effect on the chip.")
    ] = "0 s",
    faults: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="What goes wrong: late=0.01,garbage=0.01,half=0.01,close=0.01,reboot=0.001,error=0.01 (of messages),"
            " overload=0.005,spike=0.01 (of readings), interlock=0.01; delay=3s: by how much late replies are late.",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    pty: Annotated[bool, typer.Option("--pty", help="Pseudo-terminals (ASRL…) instead of sockets.")] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write down every change of every channel.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.toml", help="Where to write the rack file to train with."),
    ] = None,
) -> None:
    """Rehearse a rack without hardware: its instruments, simulated on this computer and wired to one simulated chip.

    Example: mgdhw bench simulate examples/benches/source-and-scope.toml --latency 1ms
    """
    import asyncio

    from mgdhw.errors import ConfigError
    from mgdhw.report.units import parse_quantity
    from mgdhw_drivers.bench.simulate.faults import Faults
    from mgdhw_drivers.bench.simulate.rehearsal import rehearse
    from mgdhw_drivers.bench.simulate.simulation import SimulationSettings

    def seconds(option: str, text: str) -> float:
        try:
            value = parse_quantity(text, "s")
        except ValueError as error:
            raise ConfigError(f"--{option} {text}: {error}") from None
        if not 0 <= value <= MOST_SECONDS:
            raise ConfigError(f"--{option} {text}: expected 0 s to {MOST_SECONDS:g} s")
        return value

    settings = SimulationSettings(
        latency=seconds("latency", latency),
        settling=seconds("settling", settling),
        faults=Faults.parse(faults),
        seed=seed,
        pty=pty,
        record=record,
    )
    asyncio.run(rehearse(rack, chip, settings, output))
