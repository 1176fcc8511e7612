"""Where commands print to, those of other packages as well, and how they say that it cannot be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 1000
"""Columns of what is no terminal: more than any table needs."""


class OutputLost(Exception):
    """stdout or stderr cannot be written; the cause is the OSError."""


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Tells an OSError of what is printed inside from those of files and devices. Raises OutputLost."""
    try:
        yield
    except OSError as error:
        raise OutputLost(error.strerror or str(error)) from error


def echo(text: str = "") -> None:
    """Print a line on stdout as it is. Raises OutputLost."""
    import typer

    with printing():
        typer.echo(text)


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr where stdout is a script's."""
    from rich.console import Console

    # Markup and emoji off: a device's text or a folder's name may hold brackets and colons.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def is_live(out: Console) -> bool:
    """Whether somebody looks at a terminal that can redraw a line (FORCE_COLOR makes no terminal of a pipe)."""
    return out.file.isatty() and not out.is_dumb_terminal


def print_table(out: Console, table: Table) -> None:
    """Print a table; where no terminal is, as wide as it is, without the blanks that pad its lines.

    Raises:
        OutputLost: it cannot be written.
    """
    with printing():
        if out.file.isatty():
            out.print(table)
            return
        width = out.width
        out.width = WIDE
        try:
            with out.capture() as captured:
                out.print(table)
            for line in captured.get().splitlines():
                out.out(line.rstrip(), highlight=False)
        finally:
            out.width = width
