"""No two processes on one run."""

from __future__ import annotations

import contextlib
import sqlite3
from types import TracebackType
from typing import Self

from mgdhw.errors import RunError
from mgdhw.runs.folder import Run


class RunLock:
    """Holds a run for one writer, for as long as the `with` lasts.

    An exclusive transaction on a little SQLite file: it works on every system that SQLite works on, and the
    operating system ends it when the process dies, so no stale lock is ever left behind.

    Raises (on entering):
        RunError: somebody else holds the run, or its folder cannot be written.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        connection = None
        try:
            # It may be taken in a thread: the disk may be slow, and a device be open.
            connection = sqlite3.connect(self._run.lock, timeout=0.0, isolation_level=None, check_same_thread=False)
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise RunError(
                    f"run {self._run.folder} is being written by another process; wait for it, or stop it first"
                ) from None
            raise self._run.cannot_write(error) from error
        self._connection = connection
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            connection.close()
