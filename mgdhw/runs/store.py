"""The curves of a run, in SQLite: anybody's tool can read them, also while training goes on."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS curve (
    step INTEGER PRIMARY KEY,      -- probes done
    evaluations INTEGER NOT NULL,  -- applications of a batch, probes and baselines
    seconds REAL NOT NULL,         -- spent on the run so far, without breaks
    cost REAL NOT NULL,            -- mean perturbed cost per sample since the row before
    eta REAL,                      -- of the last update
    gradient_norm REAL             -- of the last update
);
CREATE TABLE IF NOT EXISTS evaluation (
    step INTEGER PRIMARY KEY,
    evaluations INTEGER NOT NULL,
    seconds REAL NOT NULL,
    split TEXT NOT NULL,           -- "test" or "train"
    accuracy REAL NOT NULL,
    cost REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    seconds REAL NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
);
COMMIT;
"""
VERSION = "1"
COMMIT_SECONDS = 1.0
"""How much of a curve a crash may cost."""

_INSERT = {
    "meta": "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    "curve": "INSERT OR REPLACE INTO curve VALUES (?, ?, ?, ?, ?, ?)",
    "evaluation": "INSERT OR REPLACE INTO evaluation VALUES (?, ?, ?, ?, ?, ?)",
    "fault": "INSERT INTO fault (step, seconds, attempt, kind, message) VALUES (?, ?, ?, ?, ?)",
}

Value = int | float | str | None


class Store:
    """Writes the curves of one run.

    Rows gather in a transaction that is committed about once a second, so a row costs microseconds.

    Args:
        path: the database; made if it isn't there.
        step: where the run goes on; what an earlier session wrote beyond it is removed.

    Raises:
        sqlite3.Error: here and in every method, where the file cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self._committed = time.monotonic()
        try:
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                broken = sqlite3.DatabaseError(found)
                broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise broken
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A crash of the machine may cost the last rows, which the resumed run writes again; never the file.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(SCHEMA)
            self.add("meta", ("schema", VERSION))
            for table in ("curve", "evaluation", "fault"):
                self._connection.execute(f"DELETE FROM {table} WHERE step > ?", (step,))
            self.commit()
        except BaseException:
            self._connection.close()
            raise

    def add(self, table: str, row: Sequence[Value]) -> None:
        """Add a row, or replace the one of the same step."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        self._connection.execute(_INSERT[table], row)
        if time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make every row so far last."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._committed = time.monotonic()

    def close(self) -> None:
        """Keep what can be kept, and let go of the file. May be called more than once."""
        with contextlib.suppress(sqlite3.Error):
            self.commit()
        self._connection.close()


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error on opening a store is the file's fault: no database, a broken one, or one of other tables."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
    )
