"""No two processes on one run."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from mgdhw.concurrency.file_lock import is_held, lock_file, unlock
from mgdhw.errors import RunError
from mgdhw.runs.folder import Run
from mgdhw.runs.metrics import is_damaged


class RunLock:
    """Holds a run for one writer, for as long as the `with` lasts.

    Raises (on entering):
        RunError: somebody else holds the run, its file system has no locks, or its folder cannot be written.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        run = self._run
        run.check_places()
        try:
            try:
                self._connection = lock_file(run.lock)
            except sqlite3.Error as error:
                if not is_damaged(error):
                    raise
                # Who holds it would have kept us from seeing that. It is emptied, not removed: those who do so at the
                # same time still meet at one file.
                os.truncate(run.lock, 0)
                self._connection = lock_file(run.lock)
        except sqlite3.Error as error:
            without_locks = None
            with contextlib.suppress(OSError):
                without_locks = why_no_locks(run.folder)
            if without_locks is not None:
                raise RunError(
                    f"run {run.folder}: its file system has no locks ({without_locks}), so that nothing would keep two"
                    " processes from writing it; copy the folder to another disk, and go on there"
                ) from error
            if is_held(error):
                raise RunError(
                    f"run {run.folder} is being written by another process; wait for it, or stop it first"
                ) from None
            raise run.cannot_write(error, run.lock) from error
        except OSError as error:
            raise run.cannot_write(error, run.lock) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the run. May be called more than once."""
        connection, self._connection = self._connection, None
        unlock(connection)


def why_no_locks(folder: Path) -> str | None:
    """What the system says where the file system of a folder has no locks; None where it has.

    SQLite takes what some of them say (ENOLCK) for a lock of somebody else's.

    Raises:
        OSError: no file can be made there.
    """
    try:
        import fcntl
    except ImportError:  # Windows' file systems have locks
        return None
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):  # a lock of somebody else's, so there are some
                return None
            return error.strerror or str(error)
    return None
