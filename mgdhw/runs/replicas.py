"""Listens to a set of replicas and keeps what came of each."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from types import TracebackType
from typing import Any, Self

from mgdhw.checkpoint import write_atomically
from mgdhw.errors import RunError
from mgdhw.events import ReplicaFinished, ReplicasEvent
from mgdhw.outcome import ReplicaResult
from mgdhw.runs.folder import Run
from mgdhw.runs.writer import Writer

DIGEST_BYTES = 32
WRITE_SECONDS = 1.0
"""How much of the replicas' work a crash may cost: the file is written whole, so not for each of them."""


class ReplicasRecorder:
    """Keeps a set of replicas: a row for each that is finished. Give it every event; use it as an asynchronous context
    manager. Taking an event never waits for a file: a thread writes.

    Args:
        run: where; the caller holds its lock.
        finished: what earlier sessions have finished.
        session: what is different from the session before, if the run is resumed; goes into its provenance.

    Raises (on entering and leaving, and with the next event after something could not be written):
        RunError: names the folder, the reason, and how to go on. What was written before stays.
    """

    def __init__(
        self, run: Run, finished: Iterable[ReplicaResult] = (), session: Mapping[str, Any] | None = None
    ) -> None:
        self.run = run
        self._rows = list(finished)
        self._session = session
        self._writer = Writer(run, begin=self._begin, write=self._write, end=lambda: None)
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
            if time.monotonic() - self._written_at >= WRITE_SECONDS:
                self._writer.soon()

    def finish(self, summary: dict[str, Any]) -> None:
        """Keep how it ended, on leaving."""
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
            write_atomically(self.run.replicas_file, text.getvalue().encode())
            self._written, self._written_at = len(finished), time.monotonic()
        if summary is not None:
            self.run.write_summary(summary)


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
