"""The curves of a run, in SQLite: anybody's tool can read them, also while training goes on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

SCHEMA = """
BEGIN IMMEDIATE;
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
    accuracy REAL,                 -- 0 ... 1; NULL where outputs are no classes (regression)
    cost REAL NOT NULL,
    r2 REAL                        -- of regression: 1 is perfect, 0 as good as the targets' mean
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
VERSION = "2"

_FROM_1 = (
    "ALTER TABLE evaluation RENAME TO evaluation_1",
    "CREATE TABLE evaluation (step INTEGER PRIMARY KEY, evaluations INTEGER NOT NULL, seconds REAL NOT NULL,"
    " split TEXT NOT NULL, accuracy REAL, cost REAL NOT NULL, r2 REAL)",
    "INSERT INTO evaluation SELECT *, NULL FROM evaluation_1",
    "DROP TABLE evaluation_1",
)
"""From the first version, which knew no regression."""

_INSERT = {
    "meta": "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    "curve": "INSERT OR REPLACE INTO curve VALUES (?, ?, ?, ?, ?, ?)",
    "evaluation": "INSERT OR REPLACE INTO evaluation VALUES (?, ?, ?, ?, ?, ?, ?)",
    "fault": "INSERT INTO fault (step, seconds, attempt, kind, message) VALUES (?, ?, ?, ?, ?)",
}

Value = int | float | str | None
Row = tuple[str, Sequence[Value]]
"""A table's name and a row of it."""


class Store:
    """Writes the curves of one run, in the thread that made it.

    It waits for nobody: where another program holds the database, it raises at once and has written nothing.

    Args:
        path: the database; made if it isn't there.
        step: where the run goes on; what an earlier session wrote beyond it is removed.

    Raises:
        sqlite3.Error: here and in every method, where the file cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        try:
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                broken = sqlite3.DatabaseError(found)
                broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise broken
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What a checkpoint builds on outlasts a power failure, too; the fsync keeps nobody but the writer.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
            with self._transaction():
                columns = [row[1] for row in self._connection.execute("PRAGMA table_info(evaluation)")]
                for statement in () if "r2" in columns else _FROM_1:
                    self._connection.execute(statement)
                self._connection.execute(_INSERT["meta"], ("schema", VERSION))
                for table in ("curve", "evaluation", "fault"):
                    self._connection.execute(f"DELETE FROM {table} WHERE step > ?", (step,))
        except BaseException:
            self._connection.close()
            raise

    def write(self, rows: Iterable[Row]) -> None:
        """Make rows last, all of them or none; a row replaces that of the same step."""
        with self._transaction():
            for table, row in rows:
                self._connection.execute(_INSERT[table], row)

    def close(self) -> None:
        """Let go of the file. May be called more than once."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error on opening a store is the file's fault: no database, a broken one, or one of other tables."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
    )
