"""`mgdhw serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mgdhw.commands import Command

FASTEST = 100_000_000
"""Bits per second of a serial line."""
LARGEST = 1e6
"""Of a limit of motion."""
app = typer.Typer(add_completion=False)


@app.command(cls=Command)
def serve(
    device: Annotated[str, typer.Argument(metavar="URI", help="What is served: any address that can be trained.")],
    tcp: Annotated[int | None, typer.Option(metavar="PORT", help="On a TCP port of this machine; 0: any.")] = None,
    unix: Annotated[Path | None, typer.Option(metavar="PATH", help="On a Unix socket, for this user alone.")] = None,
    pty: Annotated[bool, typer.Option("--pty", help="On a pseudo-terminal, which is a serial port to a host.")] = False,
    link: Annotated[Path | None, typer.Option(help="With --pty: a symbolic link to it, whose name stays.")] = None,
    serial: Annotated[str | None, typer.Option(metavar="PORT", help="On a serial port, to a host wired to it.")] = None,
    baud: Annotated[int, typer.Option(help="Be as slow as a serial line of this speed; 0: as fast as it goes.")] = 0,
    faults: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Go wrong: drop=0.01,corrupt=0.01,dup=0.01,split=0.01,delay=5ms,reboot=0.0001,unplug=…"
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    slew: Annotated[float, typer.Option(help="Largest change of a parameter at once, in its units; 0: any.")] = 0.0,
    stress: Annotated[float, typer.Option(help="Largest sum of the largest changes; 0: any.")] = 0.0,
) -> None:
    """Serve a device as a board does: over the link, to one host at a time.

    Example: mgdhw serve sim:analog-8bit --tcp 5510
    """
    import asyncio
    import logging

    from mgdhw.device import open_device
    from mgdhw.errors import ConfigError
    from mgdhw.parsing import format_number
    from mgdhw.report.console import PrintableFormatter, echo
    from mgdhw_drivers.server.endpoint import Line, Station
    from mgdhw_drivers.server.fault_injection import Faults
    from mgdhw_drivers.server.limits import Limits
    from mgdhw_drivers.server.listeners import Listener, PtyListener, SerialListener, TcpListener, UnixListener
    from mgdhw_drivers.server.serving import until_asked_to_end

    if sum((tcp is not None, unix is not None, pty, serial is not None)) != 1:
        raise ConfigError("mgdhw serve: say where, with one of --tcp PORT, --unix PATH, --pty, --serial PORT")
    if link is not None and not pty:
        raise ConfigError("--link: only with --pty")
    if not 0 <= baud <= FASTEST:
        raise ConfigError(f"--baud {format_number(baud)}: expected 0 ... {FASTEST:,}")
    if tcp is not None and not 0 <= tcp <= 65535:
        raise ConfigError(f"--tcp {format_number(tcp)}: expected a port of 0 ... 65535")
    for name, limit in (("slew", slew), ("stress", stress)):
        if not 0 <= limit < LARGEST:
            raise ConfigError(f"--{name} {limit:g}: expected 0 (any) or more, below {LARGEST:g}")
    on_stderr = logging.StreamHandler()
    on_stderr.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[on_stderr])
    line = Line(0 if serial is not None else baud, Faults.parse(faults), seed)
    station = Station(open_device(device), line, Limits(slew, stress))
    listener: Listener
    if tcp is not None:
        listener = TcpListener(station, tcp)
    elif unix is not None:
        listener = UnixListener(station, unix)
    elif serial is not None:
        listener = SerialListener(station, serial, baud or 115_200)
    else:
        listener = PtyListener(station, link)

    def begun() -> None:
        echo(f"serving {device} at {listener.address}")
        echo(f"train it with: mgdhw train --device {listener.address}")
        if isinstance(listener, TcpListener):
            echo(f"only hosts that know the secret in {listener.secret_file} are let in; yours on this machine find it")

    asyncio.run(until_asked_to_end(station, listener, begun))
