"""SHA-256 of a run's files, in a file beside them: nothing that was edited or damaged decides anything unnoticed.

It has the form that `sha256sum -c` reads, and its last line proves it whole itself. A file that is replaced is entered
before it is written, beside what it was until then, so that a process may be killed at any point in between.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from mgdhw.errors import RunError
from mgdhw.runs.atomic import write_atomically

NAME = "SHA256SUMS"
ATTEMPTS = 3
"""How often a file is looked at that does not fit: somebody may be replacing it just now."""

_OWN = b"# the lines above: "
_LINE = re.compile(r"(?:# before: )?([0-9a-f]{64})  ([^/\n]+)")

Hashes = dict[str, list[str]]
"""By a file's name: what it is, and what it was before it was replaced last, in hexadecimal."""


def seal(folder: Path, names: list[str]) -> None:
    """Enter files as they are. Raises OSError."""
    _write(folder, {name: [_hash(folder / name)] for name in sorted(names)})


def entries(folder: Path) -> Hashes | None:
    """What is entered; None where there is no manifest: somebody has removed it, or the run is of an older mgdhw.

    Raises:
        RunError: the manifest is damaged.
    """
    path = folder / NAME
    try:
        lines, mark, own = path.read_bytes().rpartition(_OWN)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}; put that right") from None
    if not mark or own != _own(lines):
        raise RunError(
            f"{path}: was edited, or is damaged; restore it from a backup, or remove it: the run's files are then"
            " taken as they are"
        )
    found: Hashes = {}
    for line in lines.decode().splitlines():
        entry = _LINE.fullmatch(line)
        assert entry is not None, "its hash has proved it ours"
        found.setdefault(entry[2], []).append(entry[1])
    return found


def is_whole(folder: Path, name: str) -> bool:
    """Whether a file is as it was written; also true where nothing is entered of it.

    Raises:
        RunError: the manifest is damaged.
        OSError: the file cannot be read.
    """
    for _ in range(ATTEMPTS):
        found = _hash(folder / name)  # first: what replaces it is entered before it is written
        known = entries(folder)
        if known is None or found in known.get(name, [found]):
            return True
    return False


def replace(folder: Path, name: str, content: bytes) -> None:
    """Write a file, and enter it where there is a manifest. For one writer at a time. Raises OSError, RunError."""
    known = entries(folder)
    if known is not None:
        try:
            before = [_hash(folder / name)]
        except FileNotFoundError:
            before = []
        kept = [one for one in before if one in known.get(name, [])]
        _write(folder, {**known, name: [hashlib.sha256(content).hexdigest(), *kept]})
    write_atomically(folder / name, content)


def enter(folder: Path, name: str) -> None:
    """Enter a file that is not going to be written for a while, where there is a manifest. Raises OSError, RunError."""
    known = entries(folder)
    if known is not None:
        _write(folder, {**known, name: [_hash(folder / name)]})


def forget(folder: Path, name: str) -> None:
    """Know nothing of a file any more: it is going to be written. Raises OSError, RunError."""
    known = entries(folder)
    if known is not None and known.pop(name, None) is not None:
        _write(folder, known)


def _write(folder: Path, known: Mapping[str, list[str]]) -> None:
    lines = ""
    for name, (now, *before) in sorted(known.items()):
        lines += f"{now}  {name}\n" + "".join(f"# before: {one}  {name}\n" for one in before)
    write_atomically(folder / NAME, lines.encode() + _OWN + _own(lines.encode()))


def _own(lines: bytes) -> bytes:
    return hashlib.sha256(lines).hexdigest().encode() + b"\n"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
