"""`mgdhw devices`: what can be trained here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

ENTRY_POINTS = "mgdhw.presets"
"""Group of callables, keyed by scheme, that answer addresses worth knowing and what each is: {address: text}."""


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the installed drivers and the presets they offer.

    Example: mgdhw devices
    """
    from mgdhw.output import echo, printing

    found = installed()
    if as_json:
        import json

        echo(json.dumps({"drivers": found}))
        return
    with printing():
        _show(found)


def installed() -> list[dict[str, Any]]:
    """Drivers by URI scheme, each with its package and its presets."""
    from importlib.metadata import entry_points

    from mgdhw.cli.plugins import why
    from mgdhw.device import device_schemes

    offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}

    drivers = []
    for scheme, point in sorted(device_schemes().items()):
        package = point.dist
        entry: dict[str, Any] = {
            "scheme": scheme,
            "package": None if package is None else f"{package.name} {package.version}",
            "driver": point.value,
            "presets": {},
            "problem": None,
        }
        try:
            point.load()
            if scheme in offered:
                presets = dict(offered[scheme].load()())
                entry["presets"] = {str(address): str(text) for address, text in presets.items()}
        except Exception as error:  # others' code
            entry["problem"] = why(error)
        drivers.append(entry)
    return drivers


def _show(drivers: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mgdhw.output import console, print_table

    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("device", style="cyan", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for driver in drivers:
        presets = driver["presets"] or {f"{driver['scheme']}:…": driver["driver"]}
        for address, description in presets.items():
            problem = driver["problem"]
            table.add_row(address, Text(f"cannot be loaded: {problem}", style="red") if problem else description)
    print_table(out, table)
    out.print()
    out.print("Train one with: mgdhw train --device ADDRESS", style="dim")
