"""Where commands print to, and how numbers look."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mgdhw.timing import Bill

BARS = "▁▂▃▄▅▆▇█"
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


def echo(text: str) -> None:
    """Print a line on stdout as it is."""
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
    """Print a table; where no terminal is, as wide as it is, without the blanks that pad its lines."""
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


def duration(seconds: float) -> str:
    """4.2 s, 3:07, 2:05:00."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(per_second: float) -> str:
    """Probes per second, to the three digits that anybody reads."""
    if per_second < 100:
        return f"{per_second:.3g} probes/s"
    if per_second < 10_000:
        return f"{per_second:,.0f} probes/s"
    return f"{per_second / 1000:,.3g}k probes/s" if per_second < 1e6 else f"{per_second / 1e6:,.3g}M probes/s"


def taken(bill: Bill) -> str:
    """What something takes on hardware: 5.6 h, 31 µJ."""
    from mgdhw.quantity import quantity, span

    return f"{span(bill.seconds)}, {quantity(bill.joules, 'J')}"


def percent(share: float) -> str:
    """A share as 93.1 %."""
    return f"{100 * share:.1f} %"


def bars(values: list[float], low: float, high: float, width: int = 24) -> str:
    """A curve of one character's height; empty where the terminal's encoding has no such characters."""
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    step = max(1, -(-len(values) // width))
    chosen = values[::-1][::step][::-1]
    span = (high - low) or 1.0
    return "".join(BARS[round(min(1.0, max(0.0, (value - low) / span)) * (len(BARS) - 1))] for value in chosen)
