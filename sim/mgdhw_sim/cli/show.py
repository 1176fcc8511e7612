"""`mgdhw sim show`: a chip's numbers, and a picture of what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mgdhw_sim.spec import ChipSpec


LONG = 24
"""Longer sources are notes below the table."""


def show(
    chip: Annotated[
        str, typer.Argument(metavar="PRESET|ADDRESS", help="A preset, or sim:PRESET?option=value, or sim:FILE.toml.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    as_toml: Annotated[
        bool,
        typer.Option(
            "--toml", help="Print the chip as a TOML file, which sim:FILE.toml opens, with units and sources."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw its transfer curves, update curves, noise and timing."),
    ] = None,
) -> None:
    """Show every number of a chip, its unit, and where it comes from.

    Example: mgdhw sim show thermo-optic --plot thermo-optic.png
    """
    import json

    from mgdhw.device.uri import split_uri
    from mgdhw.errors import ConfigError
    from mgdhw.report.console import echo
    from mgdhw_sim.cli.show_network import show_network
    from mgdhw_sim.ideal.address import is_ideal
    from mgdhw_sim.ideal.address import parse as parse_network
    from mgdhw_sim.numbers import numbers
    from mgdhw_sim.uri import parse

    if as_json and as_toml:
        raise ConfigError("--json and --toml: choose one of them")
    address = chip if chip.startswith("sim:") else f"sim:{chip}"
    if is_ideal(split_uri(address).place):
        if as_toml or plot is not None:
            raise ConfigError(
                f"{address}: an ideal network has no chip file and no converters to draw; expected --json"
            )
        show_network(parse_network(address), as_json=as_json)
        return
    spec = parse(address)
    if plot is not None:
        from mgdhw_sim.plot import draw

        draw(spec, plot)
    if as_toml:
        echo(_as_toml(spec))
    elif as_json:
        found = [{"name": n.name, "value": n.value, "unit": n.unit, "source": n.source} for n in numbers(spec)]
        echo(json.dumps({"name": spec.name, "identity": spec.identity(), "numbers": found}))
    else:
        _print(spec)
        if plot is not None:
            echo(f"\nwrote {plot}")


class Notes:
    """Sources of numbers: short ones as they are, longer ones as notes, printed once, at the end."""

    def __init__(self) -> None:
        self._notes: dict[str, int] = {}

    def mark(self, source: str) -> str:
        """What stands beside a number."""
        return source if len(source) <= LONG else f"[{self._notes.setdefault(source, len(self._notes) + 1)}]"

    def lines(self) -> list[str]:
        """What stands at the end."""
        return [f"[{number}] {source}" for source, number in self._notes.items()]


def _as_toml(spec: ChipSpec) -> str:
    from mgdhw_sim.chip_file import to_toml
    from mgdhw_sim.numbers import numbers
    from mgdhw_sim.presets import CATALOGUE

    notes = Notes()
    comments = {n.name: "; ".join(filter(None, (n.unit, notes.mark(n.source)))) for n in numbers(spec)}
    preset = CATALOGUE.get(spec.name)
    if preset is not None:
        comments["name"] = preset.about
    return to_toml(spec, comments) + "".join(f"\n# {line}" for line in notes.lines())


def _print(spec: ChipSpec) -> None:
    from rich.table import Table

    from mgdhw.report.console import console, echo, print_table
    from mgdhw_sim.numbers import numbers
    from mgdhw_sim.presets import CATALOGUE

    preset = CATALOGUE.get(spec.name)
    echo(f"{spec.name}: {preset.about}" if preset is not None else spec.name)
    echo()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("source", style="dim", overflow="fold")
    notes = Notes()
    for number in numbers(spec):
        if number.name != "name":
            table.add_row(number.name, _value(number.value), number.unit, notes.mark(number.source))
    print_table(console(), table)
    for at, line in enumerate(notes.lines()):
        echo(line if at else f"\n{line}")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
