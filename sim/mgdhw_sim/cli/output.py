"""Tables on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table


WIDE = 1000
"""Columns of what is no terminal: more than any table needs."""


def print_table(table: Table) -> None:
    """Print a table; where no terminal is, as wide as it is, without the blanks that pad its lines."""
    from rich.console import Console

    out = Console(highlight=False, markup=False, emoji=False)
    if out.file.isatty():
        out.print(table)
        return
    out.width = WIDE
    with out.capture() as captured:
        out.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
