"""Exclusive locks on files, which the operating system ends when the process dies, however it does.

A lock is an exclusive transaction on an empty SQLite file: that works on every system that SQLite works on, and leaves
no stale lock behind.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def lock_file(path: Path) -> sqlite3.Connection:
    """Lock a file; it is made if there is none. May be called, and undone, in any thread.

    Raises:
        sqlite3.Error: it cannot be locked; see `is_held`.
    """
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = OFF")  # nothing is ever written; no file is to lie beside it
        connection.execute("BEGIN EXCLUSIVE")
    except BaseException:
        connection.close()
        raise
    return connection


def is_held(error: Exception) -> bool:
    """Whether a file could not be locked because somebody else holds the lock."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def unlock(connection: sqlite3.Connection | None) -> None:
    """Undo `lock_file`; nothing for None."""
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        connection.close()
