"""Progress of a training: a bar in a terminal, plain lines in a pipe, nothing if asked to be quiet."""

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

from mgdhw.cli.meter import Speed
from mgdhw.report.console import is_live, printable, printing
from mgdhw.runs.handle import TrainingHandle
from mgdhw.training.events import (
    BlockDone,
    Evaluated,
    Event,
    Faulted,
    Measured,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasStarted,
    Started,
)

REDRAW_SECONDS = 0.1
LINE_SECONDS = 5.0
"""At most this often a plain line, beside one for each evaluation."""


class Shown(Protocol):
    """What a meter knows of the work under way."""

    speed: Speed

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event."""

    @property
    def share(self) -> float:
        """How much is done, 0 ... 1."""

    @property
    def left(self) -> str:
        """Time left, in words; empty while nobody can tell."""

    def fields(self) -> list[str]:
        """What there is to say, most important first."""


class Progress:
    """Shows what a trainer or a set of replicas says. Give it every event; use it as a context manager.

    Args:
        out: where to.
        session: the training; knows the run's folder.
        meter: what is known of it.
        quiet: show faults only.
        live: draw a bar where a terminal can; it has to be left as a context manager then.
    """

    def __init__(
        self, out: Console, session: TrainingHandle, meter: Shown, *, quiet: bool = False, live: bool = True
    ) -> None:
        self.meter = meter
        self._out = out
        self._session = session
        self._quiet = quiet
        self._may_be_live = live
        self._live: Live | None = None
        self._shown = 0.0
        self._doing = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with printing():
            if self._live is not None:
                self._live.update(_Bar(self.meter), refresh=True)
            self._stack.close()

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event and show it when it is time."""
        self.meter(event)
        if self._doing and isinstance(event, BlockDone | ReplicasAdvanced):
            self._doing = ""
            self._shown = 0.0
        with printing():
            self._show(event)

    def say(self, text: str) -> None:
        """Say something at once, also from a signal handler: above the bar, or else on stderr."""
        with suppress(OSError, RuntimeError):  # Python refuses to write to a stream in the midst of writing to it
            if self._live is not None:
                self._out.print(Text(text, style="yellow"))  # a style of print's would colour the bar, too
            else:
                sys.stderr.write(printable(text, lines=True) + "\n")
                sys.stderr.flush()

    def note(self, text: str) -> None:
        """Say something that the user should know; not if asked to be quiet."""
        if not self._quiet:
            self.say(text)

    def doing(self, text: str) -> None:
        """Show what goes on, from any thread: in the bar until the next block is done, or as a plain line."""
        self.meter.speed.wait()
        if self._quiet:
            return
        self._doing = text
        with suppress(OSError):  # output that is lost is noticed at the next event
            if self._live is not None:
                self._live.update(_Bar(self.meter, text), refresh=True)
            else:
                self._out.print(text, soft_wrap=True)
                self._out.file.flush()

    def _show(self, event: Event | ReplicasEvent) -> None:
        if isinstance(event, Faulted):
            text = Text(f"fault: {event.error}; repeated ({event.attempt})", style="yellow")
            self._out.print(text, soft_wrap=True)
        if self._quiet:
            return
        if isinstance(event, Started | ReplicasStarted):
            self._begin(event)
        elif self._live is not None:
            if isinstance(event, BlockDone | Evaluated | Measured | ReplicasAdvanced) and self._due(REDRAW_SECONDS):
                self._live.update(_Bar(self.meter), refresh=True)
        elif isinstance(event, Evaluated) or (
            isinstance(event, BlockDone | Measured | ReplicasAdvanced) and self._due(LINE_SECONDS)
        ):
            self._print_line()

    def _begin(self, event: Started | ReplicasStarted) -> None:
        live = self._may_be_live and is_live(self._out)
        what, how = heading(event)
        run = self._session.run
        kept = "" if run is None else f", kept in {run.folder}"
        self._out.print(what, style="bold", soft_wrap=not live)
        self._out.print(f"{how}{kept}", style="dim", soft_wrap=not live)
        for note in event.notes:
            self._out.print(f"note: {note}", style="yellow")
        self._shown = time.monotonic()
        if live:
            # Redrawn from events: no thread that competes with the training.
            display = Live(_Bar(self.meter), console=self._out, auto_refresh=False, redirect_stdout=False)
            self._live = self._stack.enter_context(display)

    def _due(self, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._shown < seconds:
            return False
        self._shown = now
        return True

    def _print_line(self) -> None:
        self._shown = time.monotonic()
        left = [self.meter.left] if self.meter.left else []
        line = "  ".join([f"{100 * self.meter.share:3.0f} %", *self.meter.fields(), *left])
        self._out.print(line, soft_wrap=True)
        self._out.file.flush()


def heading(event: Started | ReplicasStarted) -> tuple[str, str]:
    """What is trained on what, and how, in a line each."""
    device, dataset = event.device, event.dataset
    parts = f"{dataset.n_train:,} samples"
    if dataset.n_test:
        parts = f"{dataset.n_train:,} samples, {dataset.n_test:,} for testing"
    layers = f"{device.topology}, " if device.topology.layers else ""
    begun = ""
    if isinstance(event, ReplicasStarted):
        begun = f", {event.replicas:,} replicas"
        if event.finished:
            begun += f" of which {len(event.finished):,} are finished"
    elif event.step:
        begun = f", from probe {event.step:,}"
    what = f"{device.model}, {layers}{device.n_parameters:,} parameters, on {dataset.name} ({parts})"
    return what, f"{event.level}, Δ = {event.delta:g}{begun}"


class _Bar:
    """A bar with its share and the time left, and under it what goes on, or as many fields to a line as fit."""

    def __init__(self, meter: Shown, doing: str = "") -> None:
        self._meter = meter
        self._doing = doing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        meter = self._meter
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True, style="dim")
        bar = ProgressBar(total=1.0, completed=meter.share)
        grid.add_row(bar, f"{100 * meter.share:.0f} %", meter.left)
        yield grid
        if self._doing:
            yield Text(self._doing)
            return
        line = ""
        for field in meter.fields():
            if line and len(line) + len(field) + 3 > options.max_width:
                yield Text(line)
                line = field
            else:
                line = f"{line} · {field}" if line else field
        yield Text(line)
