"""Where commands print to, those of other packages as well, and how they say that it cannot be written.

What a board, a file or a name says reaches no terminal raw: a control character could move the cursor, change a
window's title, or make a line of text say something else than it does.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
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


# C0, DEL, C1; what ends lines elsewhere; what turns the direction of writing; what cannot be written as UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, lines: bool = False) -> str:
    """A text with its control characters as escapes: what ESC begins reads \\x1b… and does nothing.

    Args:
        text: from anywhere.
        lines: whether ends of lines and tabs are meant, as they are in a message of several lines.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found[0]
        if lines and character in "\n\t":
            return character
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")

    return _UNPRINTABLE.sub(escaped, text)


class PrintableFormatter(logging.Formatter):
    """What is logged, made printable."""

    def format(self, record: logging.LogRecord) -> str:
        """One message, with its traceback if it has one."""
        return printable(super().format(record), lines=True)


def echo(text: str = "", *, stderr: bool = False) -> None:
    """Print a line on stdout, or on stderr, without markup or colours. Raises OutputLost."""
    import typer

    with printing():
        typer.echo(printable(text, lines=True), err=stderr)


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr where stdout is a script's."""
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        """Makes whatever it is given printable: rich itself lets ESC through."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            """Segments of text; those that move the cursor are rich's own."""
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable():
                    yield segment
                else:
                    yield Segment(printable(segment.text, lines=True), segment.style)

    # Markup and emoji off: a device's text or a folder's name may hold brackets and colons.
    return Printable(stderr=stderr, highlight=False, markup=False, emoji=False)


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
