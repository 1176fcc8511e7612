"""Whether a program that used an instrument has ended without bringing it to its safe state."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from mgdhw.errors import ConfigError
from mgdhw.folders import cache_folder

FOLDER = "MGDHW_BENCHES"
"""Environment variable that names another folder for marks."""

log = logging.getLogger("mgdhw.device")


class CrashMarkers:
    """A file for each instrument, from before its first use until its safe state is confirmed.

    It survives a program that is killed. It is kept for each address: a rack described in another file finds it, too.

    Args:
        addresses: of VISA.
        rack: path of the rack file, for whoever looks.
    """

    def __init__(self, addresses: Iterable[str], rack: str) -> None:
        self._addresses, self._rack = tuple(addresses), rack

    def left(self) -> bool:
        """Whether any instrument was left in an unknown state."""
        return any(path.exists() for path in self._paths().values())

    def set(self) -> None:
        """The instruments are about to be used."""
        for address, path in self._paths().items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                entry = {"address": address, "rack": self._rack, "process": os.getpid(), "time": time.time()}
                path.write_text(json.dumps(entry), encoding="utf-8")
            except OSError as error:
                log.warning("%s: cannot be written, so a crash would not be noticed: %s", path, error)

    def clear(self) -> None:
        """They are in their safe state."""
        for path in self._paths().values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _paths(self) -> dict[str, Path]:
        named = os.environ.get(FOLDER)
        try:
            folder = Path(named) if named else cache_folder() / "benches"
        except ConfigError:  # no home folder
            return {}
        names = {one: hashlib.sha256(one.upper().encode()).hexdigest()[:24] for one in self._addresses}
        return {address: folder / name for address, name in names.items()}
