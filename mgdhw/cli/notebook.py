"""Progress of a training that a program or a notebook has begun: a listener.

In a notebook it is one display that is updated in place; anywhere else, and where IPython is absent, plain lines.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from mgdhw.cli.meter import ReplicasMeter, TrainingMetrics
from mgdhw.cli.progress import Progress as Lines
from mgdhw.cli.progress import heading
from mgdhw.report import markup
from mgdhw.report.console import console
from mgdhw.runs.handle import TrainingHandle
from mgdhw.training.events import Event, Faulted, Finished, ReplicasEvent, ReplicasFinished, ReplicasStarted, Started

REDRAW_SECONDS = 0.2


class Progress:
    """Shows how a training, or a set of replicas, goes on: `mgdhw.train(..., listeners=[mgdhw.Progress()])`.

    Each training gets a display of its own; one `Progress` may be given to one after the other.
    """

    def __init__(self) -> None:
        self._shown: _Display | Lines | None = None

    def __call__(self, event: Event | ReplicasEvent) -> None:
        """Take in an event and show it when it is time."""
        if isinstance(event, Started | ReplicasStarted):
            meter = TrainingMetrics() if isinstance(event, Started) else ReplicasMeter()
            if in_notebook():
                self._shown = _Display(meter)
            else:
                self._shown = Lines(console(), TrainingHandle(), meter, live=False)
        if self._shown is not None:
            self._shown(event)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this program, whose front end can replace what it shows."""
    shell = sys.modules.get("IPython")
    found: Any = None if shell is None else shell.get_ipython()
    return getattr(found, "kernel", None) is not None


class _Display:
    """One place in a notebook, drawn anew now and then."""

    def __init__(self, meter: TrainingMetrics | ReplicasMeter) -> None:
        self._meter = meter
        self._lines: list[str] = []
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, event: Event | ReplicasEvent) -> None:
        self._meter(event)
        if isinstance(event, Started | ReplicasStarted):
            self._lines = [*heading(event), *(f"note: {note}" for note in event.notes)]
        elif isinstance(event, Faulted):
            self._lines.append(f"fault: {event.error}; repeated ({event.attempt})")
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

    def _now(self) -> list[str]:
        left = [self._meter.left] if self._meter.left else []
        return [*self._lines, " · ".join([*self._meter.fields(), *left])]

    def _repr_html_(self) -> str:
        return markup.bar(self._meter.share, *self._now())

    def __repr__(self) -> str:
        return "\n".join([f"{100 * self._meter.share:.0f} %", *self._now()])
