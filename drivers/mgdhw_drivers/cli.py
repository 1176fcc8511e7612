"""`mgdhw serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mgdhw.commands import Command

FASTEST = 100_000_000
"""Bits per second of an emulated line."""
LARGEST = 1e6
"""Of a limit of motion."""


class Serve(Command):
    """A command whose help says what transports there are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As usual; transports are loaded only now: listing commands is not to wait for them."""
        from mgdhw_drivers.transports.transport import listen_help

        for parameter in self.params:
            if parameter.name == "listen":
                parameter.help = f"Where to listen for hosts: {listen_help()}."  # type: ignore[attr-defined]
        return super().get_params(ctx)


app = typer.Typer(add_completion=False)


@app.command(cls=Serve)
def serve(
    device: Annotated[str, typer.Argument(metavar="URI", help="Device to serve: any address that can be trained.")],
    listen: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen for hosts.")] = None,
    tcp: Annotated[int | None, typer.Option(metavar="PORT", help="Short for --listen tcp:PORT; 0: any port.")] = None,
    unix: Annotated[Path | None, typer.Option(metavar="PATH", help="Short for --listen unix:PATH.")] = None,
    pty: Annotated[bool, typer.Option("--pty", help="Short for --listen pty:, a serial port to a host.")] = False,
    link: Annotated[Path | None, typer.Option(help="With --pty: a symbolic link to it, at a fixed path.")] = None,
    serial: Annotated[str | None, typer.Option(metavar="PORT", help="Short for --listen serial:PORT.")] = None,
    scpi: Annotated[
        int | None, typer.Option(metavar="PORT", help="Short for --listen scpi:PORT: raw SCPI, on this machine.")
    ] = None,
    baud: Annotated[
        int, typer.Option(help="Emulate a serial line of this speed (0: no line); with --serial: its speed.")
    ] = 0,
    faults: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Faults to inject: drop=0.01,corrupt=0.01,dup=0.01,split=0.01,delay=5ms,reboot=0.0001,unplug=…",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    slew: Annotated[
        float, typer.Option(help="Largest change of a parameter in one write, in its units; 0: no limit.")
    ] = 0.0,
    stress: Annotated[
        float, typer.Option(help="Limit on the sum of the largest changes of all writes; 0: no limit.")
    ] = 0.0,
) -> None:
    """Serve a device as a board does: over the link, to one host at a time.

    Example: mgdhw serve sim:analog-8bit --tcp 5510
    """
    import asyncio
    import logging

    from mgdhw.device import open_device
    from mgdhw.device.uri import Address, split_uri
    from mgdhw.errors import ConfigError
    from mgdhw.parsing import format_number
    from mgdhw.report.console import PrintableFormatter, echo
    from mgdhw_drivers.server.endpoint import Endpoint, Line
    from mgdhw_drivers.server.fault_injection import Faults
    from mgdhw_drivers.server.limits import Limits
    from mgdhw_drivers.server.serving import until_asked_to_end
    from mgdhw_drivers.transports.transport import transport_for

    if link is not None and not pty:
        raise ConfigError("--link: only with --pty")
    if not 0 <= baud <= FASTEST:
        raise ConfigError(f"--baud {format_number(baud)}: expected 0 ... {FASTEST:,}")
    chosen = [
        *([split_uri(listen)] if listen is not None else []),
        *([Address("tcp", str(tcp), {})] if tcp is not None else []),
        *([Address("unix", str(unix), {})] if unix is not None else []),
        *([Address("pty", str(link or ""), {})] if pty else []),
        *([Address("scpi", str(scpi), {})] if scpi is not None else []),
        *([Address("serial", serial, {"baud": str(baud)} if baud else {})] if serial is not None else []),
    ]
    if len(chosen) != 1:
        raise ConfigError(
            "mgdhw serve: say where, with one of --listen ADDRESS, --tcp PORT, --unix PATH, --pty, --serial PORT,"
            " --scpi PORT"
        )
    for name, limit in (("slew", slew), ("stress", stress)):
        if not 0 <= limit < LARGEST:
            raise ConfigError(f"--{name} {limit:g}: expected 0 (any) or more, below {LARGEST:g}")
    scheme, place, given = chosen[0]
    transport = transport_for(scheme)
    options = transport.read_options(f"{scheme}:{place}", given)
    on_stderr = logging.StreamHandler()
    on_stderr.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[on_stderr])
    line = Line(0 if serial is not None else baud, Faults.parse(faults), seed)
    endpoint = Endpoint(open_device(device), line, Limits(slew, stress))
    listener = transport.listener(endpoint, place, options)

    def begun() -> None:
        echo(f"serving {device} at {listener.address}")
        echo(f"train it with: mgdhw train --device {listener.address}")
        if listener.notice:
            echo(listener.notice)

    asyncio.run(until_asked_to_end(endpoint, listener, begun))
