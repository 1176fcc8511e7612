"""Progress of training: a bar in a terminal, plain lines in a pipe, nothing in quiet mode."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mgdhw.cli.formatting import format_duration
from mgdhw.cli.training_metrics import Throughput
from mgdhw.report.console import is_live, printable, printing
from mgdhw.runs.handle import TrainingHandle
from mgdhw.training.events import (
    BlockDone,
    Evaluated,
    Event,
    Faulted,
    InterlockClosed,
    InterlockOpened,
    Measured,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasStarted,
    Started,
)

REDRAW_SECONDS = 0.1
LINE_SECONDS = 5.0
"""Minimum time between plain lines, besides one for each evaluation."""


class Metrics(Protocol):
    """Metrics of training under way, as far as they are displayed."""

    speed: Throughput

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Update from an event."""

    @property
    def share(self) -> float:
        """Fraction done, 0 to 1."""

    @property
    def time_left(self) -> str:
        """Time left, as text; empty while unknown."""

    def fields(self) -> list[str]:
        """Values to display, most important first."""


class TerminalProgress:
    """Displays the events of a trainer or of a set of replicas. Use it as a listener and a context manager.

    Args:
        out: the console.
        session: the training, which knows the run's folder.
        metrics: what is displayed.
        quiet: show faults only.
        live: draw a bar if the terminal can; requires use as a context manager.
    """

    def __init__(
        self, out: Console, session: TrainingHandle, metrics: Metrics, *, quiet: bool = False, live: bool = True
    ) -> None:
        self.metrics = metrics
        self._out = out
        self._session = session
        self._quiet = quiet
        self._may_be_live = live
        self._live: Live | None = None
        self._shown = 0.0
        self._activity = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with printing():
            if self._live is not None:
                self._live.update(_Bar(self.metrics), refresh=True)
            self._stack.close()

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Update from an event, and redraw when due."""
        self.metrics(event)
        if self._activity and isinstance(event, BlockDone | ReplicasAdvanced):
            self._activity = ""
            self._shown = 0.0
        with printing():
            self._show(event)

    def say(self, text: str) -> None:
        """Print something immediately, also from a signal handler: above the bar, or else on stderr."""
        with suppress(OSError, RuntimeError):  # Python refuses reentrant writes to a stream
            if self._live is not None:
                self._out.print(Text(text, style="yellow"))  # print(style=) would also color the bar
            else:
                sys.stderr.write(printable(text, lines=True) + "\n")
                sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print something that the user should know, unless quiet."""
        if not self._quiet:
            self.say(text)

    def show_activity(self, text: str) -> None:
        """Show what is going on, from any thread: in the bar until the next block is done, or as a plain line."""
        self.metrics.speed.wait()
        if self._quiet:
            return
        self._activity = text
        with suppress(OSError):  # lost output is reported at the next event
            if self._live is not None:
                self._live.update(_Bar(self.metrics, text), refresh=True)
            else:
                self._out.print(text, soft_wrap=True)
                self._out.file.flush()

    def _show(self, event: Event | ReplicasEvent) -> None:
        if isinstance(event, Faulted):
            text = Text(f"fault: {event.error}; retry {event.attempt}", style="yellow")
            self._out.print(text, soft_wrap=True)
        if isinstance(event, InterlockOpened):
            then = {"wait": "waiting until it is closed", "end": "training ends"}.get(
                event.when_open, "going to the safe state"
            )
            text = Text(f"interlock {event.name!r} is open: {event.problem}; {then}", style="yellow")
            self._out.print(text, soft_wrap=True)
            self.metrics.speed.wait()
        if isinstance(event, InterlockClosed):
            closed = f"interlock {event.name!r} is closed again after {format_duration(event.seconds)}"
            self._out.print(Text(closed, style="yellow"), soft_wrap=True)
        if self._quiet:
            return
        if isinstance(event, Started | ReplicasStarted):
            self._begin(event)
        elif self._live is not None:
            if isinstance(event, BlockDone | Evaluated | Measured | ReplicasAdvanced) and self._due(REDRAW_SECONDS):
                self._live.update(_Bar(self.metrics), refresh=True)
        elif isinstance(event, Evaluated) or (
            isinstance(event, BlockDone | Measured | ReplicasAdvanced) and self._due(LINE_SECONDS)
        ):
            self._print_line()

    def _begin(self, event: Started | ReplicasStarted) -> None:
        live = self._may_be_live and is_live(self._out)
        what, how = heading(event)
        run = self._session.run
        saved = "" if run is None else f", saved in {run.folder}"
        self._out.print(what, style="bold", soft_wrap=not live)
        self._out.print(f"{how}{saved}", style="dim", soft_wrap=not live)
        for note in event.notes:
            self._out.print(f"note: {note}", style="yellow")
        self._shown = time.monotonic()
        if live:
            # Redrawn from events, without a thread that competes with training.
            display = Live(_Bar(self.metrics), console=self._out, auto_refresh=False, redirect_stdout=False)
            self._live = self._stack.enter_context(display)

    def _due(self, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._shown < seconds:
            return False
        self._shown = now
        return True

    def _print_line(self) -> None:
        self._shown = time.monotonic()
        left = [self.metrics.time_left] if self.metrics.time_left else []
        line = "  ".join([f"{100 * self.metrics.share:3.0f} %", *self.metrics.fields(), *left])
        self._out.print(line, soft_wrap=True)
        self._out.file.flush()


def heading(event: Started | ReplicasStarted) -> tuple[str, str]:
    """Two lines: device and data, and how it is trained."""
    device, dataset = event.device, event.dataset
    samples = f"{dataset.n_train:,} samples"
    if dataset.n_test:
        samples = f"{dataset.n_train:,} training and {dataset.n_test:,} test samples"
    layers = f"{device.topology}, " if device.topology.layers else ""
    begun = ""
    if isinstance(event, ReplicasStarted):
        begun = f", {event.replicas:,} replicas"
        if event.finished:
            begun += f" ({len(event.finished):,} finished already)"
    elif event.step:
        begun = f", from probe {event.step:,}"
    what = f"{device.model}, {layers}{device.n_parameters:,} parameters, on {dataset.name} ({samples})"
    return what, f"{event.level}, Δ = {event.delta:g}{begun}"


class _Bar:
    """A bar with percentage and time left; beneath it the current activity, or the metrics."""

    def __init__(self, metrics: Metrics, activity: str = "") -> None:
        self._metrics = metrics
        self._activity = activity

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        metrics = self._metrics
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True, style="dim")
        bar = ProgressBar(total=1.0, completed=metrics.share)
        grid.add_row(bar, f"{100 * metrics.share:.0f} %", metrics.time_left)
        yield grid
        if self._activity:
            yield Text(self._activity)
            return
        line = ""
        for field in metrics.fields():
            if line and len(line) + len(field) + 3 > options.max_width:
                yield Text(line)
                line = field
            else:
                line = f"{line} · {field}" if line else field
        yield Text(line)
