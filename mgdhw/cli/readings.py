"""Shows readings while they are made, for commands that otherwise show only a result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from mgdhw.cli.log_forwarding import forward_logs
from mgdhw.report.console import is_live, printing
from mgdhw.training.events import Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

LINE_SECONDS = 5.0
"""Minimum time between lines where no terminal is."""


@contextlib.contextmanager
def showing_readings(out: Console, doing: str) -> Iterator[Callable[[Measured], None]]:
    """Show the number of readings, and what devices log: in one line that is redrawn, or as lines in a pipe.

    Nothing is shown of hardware that is done at once.

    Yields: what is called with every `Measured`.
    """
    from rich.live import Live

    live = is_live(out)
    shown = time.monotonic()
    with Live(Text(""), console=out, auto_refresh=False, transient=True) if live else contextlib.nullcontext() as line:

        def show(text: str) -> None:
            with contextlib.suppress(OSError), printing():
                if line is not None:
                    line.update(Text(text), refresh=True)
                else:
                    out.print(text, soft_wrap=True, markup=False)

        def listen(event: Measured) -> None:
            nonlocal shown
            now = time.monotonic()
            if live or now - shown >= LINE_SECONDS:
                shown = now
                show(f"{doing}: {event.readings:,} readings")

        def note(text: str) -> None:
            out.print(Text(text, style="yellow"), soft_wrap=True)

        with forward_logs(show, note):
            yield listen
