"""A folder of machine code: what is taken out of it is what this user has put in, under that very name.

The hash that a file begins with is one of its content, of its name and of all that decides it: what is cut, altered,
renamed or of another version is as good as absent. It says nothing about who has written it; `trusted_folders` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from mgdhw.compiled import trusted_folders
from mgdhw.compiled.trusted_folders import Refused
from mgdhw.compiled.turns import Turns

KEPT_FOLDERS = 6
"""Folders of this many versions are kept: several environments may be in use in turn."""
HASH_BYTES = 32
VERSION_DIGITS = 16
"""Of a version's hash, in its folder's name."""

_FOLDER = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}|\..+\.tmp")

log = logging.getLogger("mgdhw.engine")


class CodeFolder:
    """The machine code of one version, and what there is to say about it.

    Args:
        base: folder of all versions; None if there can be none.
        version: returns a hash, in hexadecimal digits, of all that decides every code in it; called when it is needed.
    """

    def __init__(self, base: Path | None, version: Callable[[], str]) -> None:
        self._base = base
        self._find_version = version
        self._broken = self._used = False
        self._warned: set[str] = set()
        self._compiling = 0
        self._turns = Turns()

    @cached_property
    def _version(self) -> str:
        return self._find_version()

    @cached_property
    def path(self) -> Path | None:
        """The folder, which may not be there yet."""
        return None if self._base is None else self._base / self._version[:VERSION_DIGITS]

    def read(self, name: str, decisive: str) -> bytes | None:
        """Content that this user has written with the same arguments; None if there is none, or it isn't whole.

        Args:
            name: of the file.
            decisive: what decides its content, besides the version.
        """
        if self.path is None or self._broken:
            return None
        file = self.path / name
        try:
            found = trusted_folders.read(file)
        except Refused as refusal:
            if refusal.path == file:
                self._warn_once(f"machine code that was kept is made anew: {refusal}")
            else:
                self._give_up(refusal)
            return None
        except OSError:  # there is none, or it cannot be read: it can be compiled
            return None
        if not self._used:
            self._used = True
            with contextlib.suppress(OSError):
                os.utime(self.path)  # the newest are kept
        content = found[HASH_BYTES:]
        return content if self._hash(name, decisive, content) == found[:HASH_BYTES] else None

    def write(self, name: str, decisive: str, content: bytes) -> None:
        """Keep content for `read` with the same arguments. Says so, once, if that cannot be done."""
        if self._broken:
            return
        try:
            if self.path is None:
                raise OSError("this user has no home folder")
            self._prepare(self.path)
            _replace(self.path / name, self._hash(name, decisive, content) + content)
        except Refused as refusal:
            self._give_up(refusal)
        except OSError as error:
            self._broken = True
            self._warn_once(
                f"what was compiled cannot be kept in {self.path or 'a cache'} ({error.strerror or error}): every start"
                " will compile anew; name a folder of your own by NUMBA_CACHE_DIR"
            )

    def begins(self, name: str) -> bool:
        """A function is about to be compiled, perhaps for the sake of another one.

        What other processes compile at this moment is waited for.

        Args:
            name: of the file that its machine code will be in.

        Returns:
            Whether it may be there by now.
        """
        self._compiling += 1
        if self._compiling > 1:
            return False
        log.info("compiling the chip for this machine (once)")
        if self.path is None or self._broken:
            return False
        try:
            self._prepare(self.path)
        except OSError:  # `write` will say so
            return False
        return self._turns.take(name, self.path)

    def ends(self) -> None:
        """A function has been compiled, and is kept if it can be."""
        self._compiling -= 1
        if self._compiling == 0:
            self._turns.end()

    def _prepare(self, path: Path) -> None:
        """Have a folder that is this user's. Raises OSError."""
        if not os.path.lexists(path):
            trusted_folders.make(path.parent)
            trusted_folders.check(path.parent)
            trusted_folders.make(path)
            _remove_old_versions(path)
        trusted_folders.check(path.parent, path)

    def _hash(self, name: str, decisive: str, content: bytes) -> bytes:
        seen = hashlib.sha256()
        for part in (self._version, name, decisive):
            seen.update(f"{len(part)} {part}\n".encode())
        seen.update(content)
        return seen.digest()

    def _give_up(self, refusal: Refused) -> None:
        self._broken = True
        self._warn_once(f"machine code is neither used nor kept, so every start will compile anew: {refusal}")

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)


def _remove_old_versions(newest: Path) -> None:
    """Remove all but the newest folders beside one, of those that were made here."""
    others = [other for other in newest.parent.iterdir() if other != newest and _FOLDER.fullmatch(other.name)]
    others = [other for other in others if trusted_folders.is_marked(other)]
    for old in sorted(others, key=lambda other: other.stat().st_mtime, reverse=True)[KEPT_FOLDERS - 1 :]:
        trusted_folders.remove(old)


def _replace(path: Path, content: bytes) -> None:
    """Write a file atomically: whoever reads meanwhile sees the old one or the new one."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
