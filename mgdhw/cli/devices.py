"""`mgdhw devices`: list what can be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List installed drivers, their packages, and the devices and presets that they offer.

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
    """Installed drivers by URI scheme, each with its distribution, its presets, and what is wrong with it."""
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
                "problem": f"another driver uses this scheme: {others}" if others else problem,
            }
        )
    return drivers


def _presets(driver: EntryPoint, offered: list[EntryPoint]) -> tuple[dict[str, str], str | None]:
    """What a driver offers, and what is wrong with it. Third-party code may raise anything."""
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
        return found, f"its devices cannot be listed: {problem}"
    return found, None


def _show(drivers: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mgdhw.report.console import console, print_table

    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("device", style="cyan", overflow="fold")
    table.add_column("package", style="dim", overflow="fold")
    table.add_column("description", overflow="fold")
    for driver in drivers:
        package, problem = driver["package"] or "", driver["problem"]
        presets = driver["presets"] or {f"{driver['scheme']}:…": driver["driver"]}
        if problem:
            presets = {f"{driver['scheme']}:…": Text(problem, style="red"), **driver["presets"]}
        for number, (address, description) in enumerate(presets.items()):
            table.add_row(address, "" if number else package, description)
    print_table(out, table)
    out.print()
    out.print("Train with: mgdhw train --device ADDRESS", style="dim")
