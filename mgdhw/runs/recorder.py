"""Listens to a trainer and keeps what it says."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from mgdhw.device.readings import GuardCounts
from mgdhw.report.text import readable
from mgdhw.runs import manifest
from mgdhw.runs.checkpoint import Saved
from mgdhw.runs.folder import Run
from mgdhw.runs.metrics import MEASURED, MetricsDatabase, Row, is_damaged
from mgdhw.runs.writer import Writer
from mgdhw.training.events import (
    Best,
    BlockDone,
    Checkpoint,
    Evaluated,
    Event,
    Faulted,
    Finished,
    Guarded,
    InterlockClosed,
    InterlockOpened,
    Started,
    Updated,
)

CURVE_ROWS = 2000
"""Rows that a whole run leaves: more than a picture can show, and a run of a billion probes stays small."""
WAITING_ROWS = 10_000
"""So many rows wait for a slow disk at most; if there are more (evaluations, faults), the oldest are lost."""
WRITE_SECONDS = 1.0
"""How much of a curve a crash may cost."""

log = logging.getLogger("mgdhw.runs")


class Recorder:
    """Keeps a run: curves, faults, checkpoints. Give it every event; use it as an asynchronous context manager.

    Taking an event never waits for a file: a thread writes, about once a second, and every checkpoint after the rows
    that lead to it. Where the disk is slower than that, only the newest checkpoint waits, and rows up to a limit.

    Args:
        run: where; the caller holds its lock.
        began: what the digest of this run begins with, in hexadecimal: by it a checkpoint is known as this run's.
        saved: what is gone on from, if anything.
        session: what is different from the session before, if the run is resumed; goes into its provenance.

    Raises (on entering and leaving, and with the next event after something could not be written):
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
        self.guarded = GuardCounts() if saved is None else GuardCounts(**saved.extra.get("guarded", {}))
        """Readings that were not taken as they came, in all sessions of the run."""
        self._guarded = GuardCounts()
        """Those that no row tells of yet."""
        self._guarded_row_at = 0.0
        self._seconds_before = 0.0 if saved is None else float(saved.extra.get("seconds", 0.0))
        self._start = time.monotonic()
        self._every = 1.0
        self._row_at = 0.0
        self._cost = 0.0
        self._probes = 0
        self._last_block: BlockDone | None = None
        self._last_update: Updated | None = None
        self._writer = Writer(run, begin=self._open, write=self._write, end=self._close)
        self._metrics: MetricsDatabase | None = None
        self._last: dict[str, int] = {} if saved is None else dict(saved.extra.get("rows", {}))
        """By table, the step of its last row: so far the curves go that a checkpoint builds on."""
        self._lock = threading.Lock()  # for what waits; never held while anything is written
        self._rows: deque[Row] = deque(maxlen=WAITING_ROWS)
        self._checkpoint: Saved | None = None
        self._best: Saved | None = None
        self._summary: dict[str, Any] | None = None
        self._taken_at = 0.0
        self._lost = False

    @property
    def seconds(self) -> float:
        """Spent on the run, in all of its sessions."""
        return self._seconds_before + time.monotonic() - self._start

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        self._start = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.__aexit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Keep an event, soon."""
        self._writer.check()
        self._take(event)
        waits = self._rows or self._best is not None
        if isinstance(event, Checkpoint) or (waits and time.monotonic() - self._taken_at >= WRITE_SECONDS):
            self._writer.soon()

    async def kept(self) -> None:
        """Wait until all so far is on disk. Raises RunError."""
        await self._writer.kept()

    def finish(self, summary: dict[str, Any]) -> None:
        """Keep how it ended, on leaving."""
        with self._lock:
            self._rows.extend(("meta", (key, str(summary[key]))) for key in ("digest", "reason"))
            self._summary = summary

    # --- in the event loop ---------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case BlockDone():
                self._cost += event.cost * event.probes
                self._probes += event.probes
                self._last_block = event
                if event.step >= self._row_at:
                    self._add_curve()
            case Updated():
                self._last_update = event
            case Evaluated():
                how = (event.split, event.accuracy, event.cost, event.r2)
                self._add(("evaluation", (event.step, event.evaluations, self.seconds, *how)))
            case Best(state, evaluated):
                extra = {"seconds": self.seconds, "began": self._began, "evaluated": asdict(evaluated)}
                with self._lock:
                    self._best = Saved(state, extra)
            case Checkpoint(state):
                about: dict[str, Any] = {"seconds": self.seconds, "began": self._began, "rows": dict(self._last)}
                if self.guarded:
                    about["guarded"] = self.guarded.summary()
                saved = Saved(state, about)
                with self._lock:
                    self._checkpoint = saved
            case Faulted():
                kind = type(event.error).__name__
                self._add(("fault", (event.step, self.seconds, event.attempt, kind, readable(str(event.error)))))
            case Guarded():
                self.guarded += event.counts
                self._guarded += event.counts
                if event.step >= self._guarded_row_at:
                    self._add_guarded(event.step)
            case InterlockOpened():
                row = (event.step, self.seconds, readable(event.name), "opened", readable(event.problem))
                self._add(("interlock", row))
            case InterlockClosed():
                row = (event.step, self.seconds, readable(event.name), "closed", "")
                self._add(("interlock", row))
            case Started():
                self._every = event.probes / CURVE_ROWS
                self._row_at = self._next_row(event.step)
            case Finished(state=state):
                self._add_curve()
                self._add_guarded(state.step)

    def _add_curve(self) -> None:
        block, update = self._last_block, self._last_update
        if block is None or not self._probes:
            return
        eta, norm = (None, None) if update is None else (update.eta, update.gradient_norm)
        row = (block.step, block.evaluations, self.seconds, self._cost / self._probes, eta, norm)
        self._add(("curve", row))
        self._cost, self._probes = 0.0, 0
        self._row_at = self._next_row(block.step)

    def _add_guarded(self, step: int) -> None:
        """A row about what was guarded since the row before; no more of them than of the curve."""
        if self._guarded:
            self._add(("fault", (step, self.seconds, 0, "Guarded", str(self._guarded))))
            self._guarded, self._guarded_row_at = GuardCounts(), self._next_row(step)

    def _next_row(self, step: int) -> float:
        return (step // self._every + 1) * self._every

    def _add(self, row: Row) -> None:
        table, (step, *_) = row
        if table in MEASURED and isinstance(step, int):
            self._last[table] = step
        with self._lock:
            full = len(self._rows) == WAITING_ROWS
            self._rows.append(row)
        if full and not self._lost:
            self._lost = True
            log.warning(
                "run %s: the disk is too slow for what is kept; the oldest of %d rows that wait for it are lost",
                self.run.folder,
                WAITING_ROWS,
            )

    # --- in the writer's thread ----------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._session is not None:
            self.run.tidy(self._step)
            self.run.summary_file.unlink(missing_ok=True)
            self.run.add_session({"step": self._step, **self._session})
            manifest.forget(self.run.folder, self.run.metrics.name)
        self._metrics = self._writer.unlocked(self._open_metrics, "training begins when that lets go of it")

    def _open_metrics(self) -> MetricsDatabase:
        """The curves; a run whose checkpoints are whole goes on with new ones where they are damaged."""
        try:
            metrics = MetricsDatabase(self.run.metrics, self._step)
            if any(step < self._last.get(table, 0) for table, step in metrics.last.items()):
                self.notes.append(
                    f"{self.run.metrics}: lacks curves (and perhaps faults) that were kept before: it was removed or"
                    " replaced; they are lost"
                )
            return metrics
        except sqlite3.Error as error:
            if self._session is None or not is_damaged(error):
                raise
            aside = self.run.set_metrics_aside()
            self.notes.append(f"{self.run.metrics}: is damaged ({error}); kept as {aside.name}, its curves begin anew")
            return MetricsDatabase(self.run.metrics, self._step)

    def _write(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, deque(maxlen=WAITING_ROWS)
            best, self._best = self._best, None
            saved, self._checkpoint = self._checkpoint, None
            summary, self._summary = self._summary, None
            self._taken_at = time.monotonic()
        metrics = self._metrics
        assert metrics is not None, "it is opened by the first job"
        if rows:
            about = "training goes on, and what is kept of it waits until that lets go of it"
            self._writer.unlocked(lambda: metrics.write(rows), about)
        if best is not None:  # before the checkpoint: who resumes from that does not evaluate what led to it again
            self.run.save_best(best)
        if saved is not None:  # rows first: a checkpoint must never be ahead of the curve that leads to it
            self.run.save(saved)
        if summary is not None:
            self.run.write_summary(summary)

    def _close(self) -> None:
        if self._metrics is None:
            return
        self._metrics.close()
        # A viewer that has the curves open leaves some of them in a log of SQLite's, to be taken over later.
        if not self.run.metrics.with_name(self.run.metrics.name + "-wal").exists():
            with contextlib.suppress(OSError):  # nothing is lost: nobody can tell then whether they are whole
                manifest.enter(self.run.folder, self.run.metrics.name)
