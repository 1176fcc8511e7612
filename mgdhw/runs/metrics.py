"""The curves of a run, in SQLite: anybody's tool can read them, also while training goes on."""

from __future__ import annotations

import contextlib
import functools
import os
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
CREATE TABLE IF NOT EXISTS interlock (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    seconds REAL NOT NULL,
    name TEXT NOT NULL,
    event TEXT NOT NULL,           -- "opened" or "closed"
    message TEXT NOT NULL          -- what was wrong
);
COMMIT;
"""
MEASURED = ("curve", "evaluation")
"""Tables of what a repeated stretch of training measures again."""
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
    "interlock": "INSERT INTO interlock (step, seconds, name, event, message) VALUES (?, ?, ?, ?, ?)",
}

Value = int | float | str | None
Row = tuple[str, Sequence[Value]]
"""A table's name and a row of it."""


class MetricsDatabase:
    """Writes the curves of one run, in the thread that made it.

    It waits for nobody: where another program holds the database, it raises at once and has written nothing.

    Args:
        path: the database; made if it isn't there.
        step: where the run goes on; what an earlier session measured beyond it is measured again, and removed. Faults
            have happened, and stay.

    Raises:
        sqlite3.Error: here and in every method, where the file cannot be written.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.last: dict[str, int] = {}
        """Of each table of what was measured, the last step that it has at first; 0 where it is empty."""
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        try:
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _broken(found)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What a checkpoint builds on outlasts a power failure, too; the fsync keeps nobody but the writer.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
            with self._transaction():
                columns = [row[1] for row in self._connection.execute("PRAGMA table_info(evaluation)")]
                for statement in () if "r2" in columns else _FROM_1:
                    self._connection.execute(statement)
                if not _tables(self._connection) >= _expected():
                    raise _broken("its tables are not those of a run")
                self._connection.execute(_INSERT["meta"], ("schema", VERSION))
                for table in MEASURED:
                    self._connection.execute(f"DELETE FROM {table} WHERE step > ?", (step,))
                    (last,) = self._connection.execute(f"SELECT max(step) FROM {table}").fetchone()
                    self.last[table] = last or 0
        except BaseException as error:
            self._connection.close()
            if _code(error) == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
                raise _broken("it says itself that it is not to be written") from error
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
    """Whether an error on opening a database is the file's fault: it is none, a broken one, or one of other tables."""
    return _code(error) in (
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
    )


def _code(error: BaseException) -> int:
    """SQLite's primary code of an error; the module's own have none."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _broken(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _tables(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    """Of each table of a run, each column: its name, type, and whether it has to have a value."""
    return {(name, *row[1:4]) for name in _INSERT for row in connection.execute(f"PRAGMA table_info({name})")}


@functools.cache
def _expected() -> frozenset[tuple[object, ...]]:
    """Those that a run has."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        return frozenset(_tables(connection))
