"""Listens to a set of replicas and keeps what came of each, and what went wrong."""

from __future__ import annotations

import csv
import io
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from types import TracebackType
from typing import Any, Self

from mgdhw.device.readings import GuardCounts
from mgdhw.errors import RunError
from mgdhw.runs import manifest
from mgdhw.runs.folder import Run
from mgdhw.runs.metrics import MetricsDatabase, Row, is_damaged
from mgdhw.runs.writer import Writer
from mgdhw.training.events import Faulted, Guarded, ReplicaFinished, ReplicasEvent
from mgdhw.training.results import ReplicaResult

DIGEST_BYTES = 32
WRITE_SECONDS = 1.0
"""How much of the replicas' work a crash may cost: the file is written whole, so not for each of them."""
WAITING_FAULTS = 10_000
"""So many wait for a slow disk at most; if there are more, the oldest are lost."""

log = logging.getLogger("mgdhw.runs")


class ReplicasRecorder:
    """Keeps a set of replicas: a row for each that is finished. Give it every event; use it as an asynchronous context
    manager. Taking an event never waits for a file: a thread writes.

    Args:
        run: where; the caller holds its lock.
        finished: what earlier sessions have finished.
        seconds: what they have taken.
        session: what is different from the session before, if the run is resumed; goes into its provenance.

    Raises (on entering and leaving, and with the next event after something could not be written):
        RunError: names the folder, the reason, and how to go on. What was written before stays.
    """

    def __init__(
        self,
        run: Run,
        finished: Iterable[ReplicaResult] = (),
        seconds: float = 0.0,
        session: Mapping[str, Any] | None = None,
    ) -> None:
        self.run = run
        self.notes: list[str] = []
        """What the user should know."""
        self._rows = list(finished)
        self._start = time.monotonic() - seconds
        self._session = session
        self._writer = Writer(run, begin=self._begin, write=self._write, end=self._close)
        self._metrics: MetricsDatabase | None = None
        self._faults: deque[Row] = deque(maxlen=WAITING_FAULTS)
        self._guarded = GuardCounts()
        self._summary: dict[str, Any] | None = None
        self._written = -1
        self._written_at = 0.0

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.__aexit__(kind, error, trace)

    def __call__(self, event: ReplicasEvent) -> None:
        """Keep an event, soon."""
        self._writer.check()
        if isinstance(event, ReplicaFinished):
            self._rows.append(event.result)
        elif isinstance(event, Faulted):
            what = (type(event.error).__name__, str(event.error))
            self._faults.append(("fault", (event.step, time.monotonic() - self._start, event.attempt, *what)))
        elif isinstance(event, Guarded):
            self._guarded += event.counts
            return
        else:
            return
        if time.monotonic() - self._written_at >= WRITE_SECONDS:
            self._writer.soon()

    async def kept(self) -> None:
        """Wait until all so far is on disk. Raises RunError."""
        await self._writer.kept()

    def finish(self, summary: dict[str, Any]) -> None:
        """Keep how it ended, on leaving."""
        if self._guarded:
            self._faults.append(("fault", (0, time.monotonic() - self._start, 0, "Guarded", str(self._guarded))))
        self._summary = summary

    # --- in the writer's thread ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._session is not None:
            self.run.tidy(0)
            self.run.summary_file.unlink(missing_ok=True)
            self.run.add_session({"finished": len(self._rows), **self._session})
        self._write()

    def _write(self) -> None:
        summary, finished = self._summary, list(self._rows)  # in this order: a summary comes after the last row
        if len(finished) != self._written:
            text = io.StringIO()
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(field.name for field in fields(ReplicaResult))
            rows.writerows(astuple(row) for row in sorted(finished, key=lambda row: row.replica))
            manifest.replace(self.run.folder, self.run.replicas_file.name, text.getvalue().encode())
            self._written = len(finished)
        self._written_at = time.monotonic()
        self._write_faults()
        if summary is not None:
            self.run.write_summary(summary)

    def _write_faults(self) -> None:
        """A set that has none has no database."""
        faults = [self._faults.popleft() for _ in range(len(self._faults))]
        if not faults:
            return
        about = "training goes on, and what went wrong waits until that lets go of it"
        metrics = self._metrics or self._writer.unlocked(self._open_metrics, about)
        self._metrics = metrics
        self._writer.unlocked(lambda: metrics.write(faults), about)

    def _open_metrics(self) -> MetricsDatabase:
        try:
            return MetricsDatabase(self.run.metrics, 0)
        except sqlite3.Error as error:
            if not is_damaged(error):
                raise
            aside = self.run.set_metrics_aside()
            log.warning("%s: is damaged (%s); kept as %s", self.run.metrics, error, aside.name)
            return MetricsDatabase(self.run.metrics, 0)

    def _close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()


def read_replicas(run: Run) -> tuple[ReplicaResult, ...]:
    """What came of the finished replicas of a set. Raises RunError if the file was edited, or is damaged."""
    try:
        if not manifest.is_whole(run.folder, run.replicas_file.name):
            raise ValueError("it was edited, or is damaged")
        with run.replicas_file.open(newline="", encoding="utf-8") as file:
            return tuple(_row(row) for row in csv.DictReader(file))
    except FileNotFoundError:  # the run was ended while it began
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{run.replicas_file}: cannot be read ({error}); restore it, or remove it to train all replicas again"
        ) from error


def _row(row: Mapping[str, str]) -> ReplicaResult:
    return ReplicaResult(
        replica=int(row["replica"]),
        seed=int(row["seed"]),
        reason=row["reason"],
        accuracy=_number(row["accuracy"]),
        cost=float(row["cost"]),
        probes=int(row["probes"]),
        evaluations=int(row["evaluations"]),
        updates=int(row["updates"]),
        digest=_digest(row["digest"]),
        r2=_number(row.get("r2", "")),
    )


def _number(cell: str) -> float | None:
    """What csv made of a number, or of None."""
    return None if cell == "" else float(cell)


def _digest(cell: str) -> str:
    digest = bytes.fromhex(cell)
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"{cell!r} is no digest")
    return digest.hex()
