"""`mgdhw devices`: what can be trained here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List every installed driver, where it comes from, and the presets that it offers.

    Example: mgdhw devices
    """
    from mgdhw.report.console import echo, printing

    found = installed()
    if as_json:
        import json

        echo(json.dumps({"drivers": found}))
        return
    with printing():
        _show(found)


def installed() -> list[dict[str, Any]]:
    """Every installed driver, by URI scheme, each with its distribution, its presets, and what is wrong with it."""
    from importlib.metadata import entry_points

    from mgdhw.device.drivers import PRESETS, conflicting_drivers, installed_drivers
    from mgdhw.plugins import distribution_of

    offered = list(entry_points(group=PRESETS))
    drivers = []
    for point in installed_drivers():
        others = ", ".join(distribution_of(other) for other in conflicting_drivers(point))
        presets, problem = _presets(point, [one for one in offered if one.name == point.name])
        drivers.append(
            {
                "scheme": point.name,
                "package": None if point.dist is None else distribution_of(point),
                "driver": point.value,
                "presets": presets,
                "problem": f"another driver answers to this scheme: {others}" if others else problem,
            }
        )
    return drivers


def _presets(driver: EntryPoint, offered: list[EntryPoint]) -> tuple[dict[str, str], str | None]:
    """What a driver offers, and what is wrong with it or with that; others' code, which may do anything."""
    from mgdhw.plugins import Broken, describe_error, load

    found: dict[str, str] = {}
    try:
        load(driver)
    except Broken as error:
        return found, f"cannot be loaded: {error}"
    try:
        for point in offered:
            found |= {str(address): str(text) for address, text in dict(load(point)()).items()}
    except (Exception, SystemExit) as error:
        problem = str(error) if isinstance(error, Broken) else describe_error(error)
        return found, f"what it offers cannot be listed: {problem}"
    return found, None


def _show(drivers: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mgdhw.report.console import console, print_table

    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("device", style="cyan", overflow="fold")
    table.add_column("from", style="dim", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for driver in drivers:
        package, problem = driver["package"] or "", driver["problem"]
        presets = driver["presets"] or {f"{driver['scheme']}:…": driver["driver"]}
        if problem:
            presets = {f"{driver['scheme']}:…": Text(problem, style="red"), **driver["presets"]}
        for number, (address, description) in enumerate(presets.items()):
            table.add_row(address, "" if number else package, description)
    print_table(out, table)
    out.print()
    out.print("Train one with: mgdhw train --device ADDRESS", style="dim")
