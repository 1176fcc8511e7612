"""Processes that begin together compile each function once: one compiles it, the others wait for its machine code.

Waiting is a courtesy, and decides nothing: whoever has waited in vain compiles the function himself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from mgdhw.concurrency.file_lock import is_held, lock_file, unlock

LONGEST_WAIT = 120.0
"""Seconds, in all, that a process waits for others: one of them may have been stopped."""
POLL_SECONDS = 0.05


class Turns:
    """Who compiles which function. The operating system ends the turn of a process that dies."""

    def __init__(self) -> None:
        self._patience = LONGEST_WAIT
        self._held: tuple[Path, sqlite3.Connection] | None = None

    def take(self, name: str, folder: Path) -> bool:
        """Wait until no other process compiles a function, and have it be this one's turn.

        Args:
            name: of the function's machine code.
            folder: where that is kept; it is there.

        Returns:
            Whether another process had its turn meanwhile, so that the machine code may be there by now.
        """
        self.end()
        file = folder / f".{name}.lock"
        began, waited = time.monotonic(), False
        while self._patience > 0:
            try:
                self._held = file, lock_file(file)
            except sqlite3.Error as error:
                if not is_held(error):
                    break
                waited = True
                time.sleep(POLL_SECONDS)
                if time.monotonic() - began > self._patience:
                    self._patience = 0.0
            else:
                break
        self._patience -= time.monotonic() - began if waited else 0.0
        return waited

    def end(self) -> None:
        """It is no longer this process's turn; nothing if it was not."""
        held, self._held = self._held, None
        if held is not None:
            file, lock = held
            with contextlib.suppress(OSError):  # Windows keeps a file that is open
                file.unlink()
            unlock(lock)
