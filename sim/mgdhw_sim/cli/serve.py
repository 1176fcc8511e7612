"""`mgdhw sim serve`: short for `mgdhw serve sim:…`."""

from __future__ import annotations

from typing import Annotated

import typer

COMMANDS = "mgdhw.commands"


def serve(
    context: typer.Context,
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A preset, with options if wanted: analog-8bit?seed=1.")],
) -> None:
    """Serve a simulated chip as a board does; takes the options of `mgdhw serve`.

    Example: mgdhw sim serve analog-8bit --tcp 5510
    """
    from importlib.metadata import entry_points

    from mgdhw.errors import ConfigError

    # Whatever serves devices is another package's business, and found as every command is.
    found = [point for point in entry_points(group=COMMANDS) if point.name == "serve"]
    if not found:
        raise ConfigError("no installed package serves devices; install mgdhw with its drivers")
    command = typer.main.get_command(found[0].load())
    address = chip if chip.startswith("sim:") else f"sim:{chip}"
    command.main([address, *context.args], prog_name="mgdhw serve", standalone_mode=False)
