"""No two programs of one user at one instrument: two of them would read each other's answers, and both would steer."""

from __future__ import annotations

import hashlib
import sqlite3

from mgdhw.concurrency.file_lock import is_held, lock_file, unlock
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
            self._connection = lock_file(folder / name)
        except (OSError, sqlite3.Error) as error:
            if is_held(error):
                raise DeviceUnavailable(
                    f"{self._address} is used by another program, or elsewhere in this one; end that first",
                    uri=self._uri,
                ) from None
            # A file system that cannot be written keeps nobody from measuring.

    def release(self) -> None:
        """Let go of it. May be called more than once."""
        connection, self._connection = self._connection, None
        unlock(connection)
