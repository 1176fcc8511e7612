"""Listens to a trainer and keeps what it says."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from mgdhw.checkpoint import Saved
from mgdhw.events import BlockDone, Checkpoint, Evaluated, Event, Faulted, Finished, Started, Updated
from mgdhw.runs.folder import Run
from mgdhw.runs.store import Store, is_damaged

CURVE_ROWS = 2000
"""Rows that a whole run leaves: more than a picture can show, and a run of a billion probes stays small."""


class Recorder:
    """Keeps a run: curves, faults, checkpoints. Give it every event; use it as a context manager.

    Args:
        run: where; the caller holds its lock.
        began: what the digest of this run begins with, in hexadecimal: by it a checkpoint is known as this run's.
        saved: what is gone on from, if anything.
        session: what is different from the session before, if the run is resumed; goes into its provenance.

    Raises (on entering, and whenever something cannot be written):
        RunError: names the folder, the reason, and how to go on. The last whole checkpoint stays usable.
    """

    def __init__(
        self, run: Run, began: str, saved: Saved | None = None, session: Mapping[str, Any] | None = None
    ) -> None:
        self.run = run
        self.notes: list[str] = []
        """What the user should know; complete once entered."""
        self._began = began
        self._step = 0 if saved is None else saved.state.step
        self._session = session
        self._seconds_before = 0.0 if saved is None else float(saved.extra.get("seconds", 0.0))
        self._start = time.monotonic()
        self._every = 1.0
        self._row_at = 0.0
        self._cost = 0.0
        self._probes = 0
        self._last_block: BlockDone | None = None
        self._last_update: Updated | None = None

    @property
    def seconds(self) -> float:
        """Spent on the run, in all of its sessions."""
        return self._seconds_before + time.monotonic() - self._start

    def __enter__(self) -> Self:
        with self._writing():
            if self._session is not None:
                self.run.tidy(self._step)
                self.run.summary_file.unlink(missing_ok=True)
                self.run.add_session({"step": self._step, **self._session})
            self._store = self._open_store()
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        with self._writing():
            self._keep(event)

    def finish(self, summary: dict[str, Any]) -> None:
        """Keep how it ended."""
        with self._writing():
            self._store.add("meta", ("digest", str(summary["digest"])))
            self._store.add("meta", ("reason", str(summary["reason"])))
            self._store.commit()
            self.run.write_summary(summary)

    def _open_store(self) -> Store:
        """The curves; a run whose checkpoints are whole goes on with new ones where they are damaged."""
        try:
            return Store(self.run.metrics, self._step)
        except sqlite3.Error as error:
            if self._session is None or not is_damaged(error):
                raise
            aside = self.run.set_metrics_aside()
            self.notes.append(f"{self.run.metrics}: is damaged ({error}); kept as {aside.name}, its curves begin anew")
            return Store(self.run.metrics, self._step)

    def _keep(self, event: Event) -> None:
        match event:
            case BlockDone():
                self._cost += event.cost * event.probes
                self._probes += event.probes
                self._last_block = event
                if event.step >= self._row_at:
                    self._add_row()
            case Updated():
                self._last_update = event
            case Evaluated():
                row = (event.step, event.evaluations, self.seconds, event.split, event.accuracy, event.cost)
                self._store.add("evaluation", row)
            case Checkpoint(state):
                # Rows first: a checkpoint must never be ahead of the curve that leads to it.
                self._store.commit()
                self.run.save(Saved(state, {"seconds": self.seconds, "began": self._began}))
            case Faulted():
                kind = type(event.error).__name__
                self._store.add("fault", (event.step, self.seconds, event.attempt, kind, str(event.error)))
            case Started():
                self._every = event.probes / CURVE_ROWS
                self._row_at = self._next_row(event.step)
            case Finished():
                self._add_row()

    def _add_row(self) -> None:
        block, update = self._last_block, self._last_update
        if block is None or not self._probes:
            return
        eta, norm = (None, None) if update is None else (update.eta, update.gradient_norm)
        self._store.add("curve", (block.step, block.evaluations, self.seconds, self._cost / self._probes, eta, norm))
        self._cost, self._probes = 0.0, 0
        self._row_at = self._next_row(block.step)

    def _next_row(self, step: int) -> float:
        return (step // self._every + 1) * self._every

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self.run.cannot_write(error) from error
