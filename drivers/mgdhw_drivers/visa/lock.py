"""No two programs of one user at one instrument: two of them would read each other's answers, and both would steer."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3

from mgdhw.errors import DeviceUnavailable
from mgdhw.folders import cache_folder


class AddressLock:
    """Holds an address for this process. The operating system lets go of it when the process dies, however it does.

    Serial ports are locked by the system as well, for all users; a socket of an instrument may let in anybody.

    Args:
        address: of VISA.
        uri: of the device, for errors.
    """

    def __init__(self, address: str, uri: str) -> None:
        self._address, self._uri = address, uri
        self._connection: sqlite3.Connection | None = None

    def take(self) -> None:
        """Take the address. Raises DeviceUnavailable where another program has it."""
        if self._connection is not None:
            return
        folder = cache_folder() / "instruments"
        name = hashlib.sha256(self._address.upper().encode()).hexdigest()[:24]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(folder / name, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error):
            return  # a file system that cannot be written keeps nobody from measuring
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise DeviceUnavailable(
                    f"{self._address} is used by another program, or elsewhere in this one; end that first",
                    uri=self._uri,
                ) from None
            return
        self._connection = connection

    def release(self) -> None:
        """Let go of it. May be called more than once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            connection.close()
