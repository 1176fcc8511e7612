"""Progress of training started from a program or a notebook: a listener.

In a notebook it is a display that is updated in place; elsewhere, plain lines.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from mgdhw.cli.progress import TerminalProgress, heading
from mgdhw.cli.training_metrics import ReplicasMetrics, TrainingMetrics
from mgdhw.report import markup
from mgdhw.report.console import console
from mgdhw.runs.handle import TrainingHandle
from mgdhw.training.events import Event, Faulted, Finished, ReplicasEvent, ReplicasFinished, ReplicasStarted, Started

REDRAW_SECONDS = 0.2


class Progress:
    """Shows the progress of training: `mgdhw.train(..., listeners=[mgdhw.Progress()])`.

    One `Progress` may be used for several trainings, one after another.
    """

    def __init__(self) -> None:
        self._shown: _Display | TerminalProgress | None = None

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Update from an event, and redraw when due."""
        if isinstance(event, Started | ReplicasStarted):
            metrics = TrainingMetrics() if isinstance(event, Started) else ReplicasMetrics()
            if in_notebook():
                self._shown = _Display(metrics)
            else:
                self._shown = TerminalProgress(console(), TrainingHandle(), metrics, live=False)
        if self._shown is not None:
            self._shown(event)


def in_notebook() -> bool:
    """Whether this program runs in a notebook kernel, whose front end can update a display."""
    shell = sys.modules.get("IPython")
    found: Any = None if shell is None else shell.get_ipython()
    return getattr(found, "kernel", None) is not None


class _Display:
    """A display in a notebook, redrawn periodically."""

    def __init__(self, metrics: TrainingMetrics | ReplicasMetrics) -> None:
        self._metrics = metrics
        self._lines: list[str] = []
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        self._metrics(event)
        if isinstance(event, Started | ReplicasStarted):
            self._lines = [*heading(event), *(f"note: {note}" for note in event.notes)]
        elif isinstance(event, Faulted):
            self._lines.append(f"fault: {event.error}; retry {event.attempt}")
        elif time.monotonic() - self._drawn < REDRAW_SECONDS and not isinstance(event, Finished | ReplicasFinished):
            return
        self._drawn = time.monotonic()
        self._draw()

    def _draw(self) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(self, display_id=True)
        else:
            self._handle.update(self)

    def _current_lines(self) -> list[str]:
        left = [self._metrics.time_left] if self._metrics.time_left else []
        return [*self._lines, " · ".join([*self._metrics.fields(), *left])]

    def _repr_html_(self) -> str:
        return markup.bar(self._metrics.share, *self._current_lines())

    def __repr__(self) -> str:
        return "\n".join([f"{100 * self._metrics.share:.0f} %", *self._current_lines()])
