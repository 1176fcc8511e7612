"""Listens to a set of replicas and keeps what came of each."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, fields
from types import TracebackType
from typing import Any, Self

from mgdhw.checkpoint import write_atomically
from mgdhw.errors import RunError
from mgdhw.events import ReplicaFinished, ReplicasEvent
from mgdhw.outcome import ReplicaResult
from mgdhw.runs.folder import Run

WRITE_SECONDS = 1.0
"""How much of the replicas' work a crash may cost: the file is written whole, so not for each of them."""


class ReplicasRecorder:
    """Keeps a set of replicas: a row for each that is finished. Give it every event; use it as a context manager.

    Args:
        run: where; the caller holds its lock.
        finished: what earlier sessions have finished.
        session: what is different from the session before, if the run is resumed; goes into its provenance.

    Raises (on entering, and whenever something cannot be written):
        RunError: names the folder, the reason, and how to go on. What was written before stays.
    """

    def __init__(
        self, run: Run, finished: Iterable[ReplicaResult] = (), session: Mapping[str, Any] | None = None
    ) -> None:
        self.run = run
        self._rows = list(finished)
        self._session = session
        self._written = 0
        self._written_at = 0.0

    def __enter__(self) -> Self:
        if self._session is not None:
            with self._writing():
                self.run.tidy(0)
                self.run.summary_file.unlink(missing_ok=True)
                self.run.add_session({"finished": len(self._rows), **self._session})
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written == len(self._rows):
            return
        if error is None:
            self._write()
            return
        with contextlib.suppress(Exception):  # what ended the work is more worth telling
            self._write()

    def __call__(self, event: ReplicasEvent) -> None:
        """Keep an event."""
        if isinstance(event, ReplicaFinished):
            self._rows.append(event.result)
            if time.monotonic() - self._written_at >= WRITE_SECONDS:
                self._write()

    def finish(self, summary: dict[str, Any]) -> None:
        """Keep how it ended."""
        self._write()
        with self._writing():
            self.run.write_summary(summary)

    def _write(self) -> None:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(field.name for field in fields(ReplicaResult))
        rows.writerows(astuple(row) for row in sorted(self._rows, key=lambda row: row.replica))
        with self._writing():
            write_atomically(self.run.replicas_file, text.getvalue().encode())
        self._written, self._written_at = len(self._rows), time.monotonic()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.run.cannot_write(error) from error


def read_replicas(run: Run) -> tuple[ReplicaResult, ...]:
    """What came of the finished replicas of a set. Raises RunError if the file is damaged."""
    try:
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
        accuracy=float(row["accuracy"]),
        cost=float(row["cost"]),
        probes=int(row["probes"]),
        evaluations=int(row["evaluations"]),
        updates=int(row["updates"]),
        digest=bytes.fromhex(row["digest"]).hex(),
    )
