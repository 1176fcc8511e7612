"""Folders and files that only this user could have written, and folders that bear our mark.

What is unpickled becomes code of this process. So of a file, of the folder that it lies in and of the one above is
asked whose they are (this user's, or root's, who could do anything anyway) and who may write there (nobody else); and
it is asked of what is open, not of a name, which could come to mean something else meanwhile. Windows has no owners and
modes of this kind; there, `cache.base_folder` takes only folders inside the user's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

TAG = "CACHEDIR.TAG"
MARK = b"""Signature: 8a477f597d28d172789f06886806bc55
# mgdhw has made this folder for machine code, and may remove it. Backups leave it out: https://bford.info/cachedir/
"""
"""What is in the file `TAG` of every folder that `make` makes. The first line is a standard's."""

_POSIX = os.name == "posix"
_OTHERS_WRITE = 0o022
_LEFT_BY_US = re.compile(r"(.+-[0-9a-f]{24}|\..+\.(tmp|lock))")
"""Names of files of machine code, whole and unfinished ones, and of locks."""


class Refused(OSError):
    """A file or folder is not to be used: says which and why, and what to do.

    Args:
        path: of it.
        why: a sentence about it.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path


def read(file: Path) -> bytes:
    """Content of a file two folders down, as only this user could have written it. Raises Refused, OSError."""
    if not _POSIX:
        return file.read_bytes()
    with _opened_folders(file.parent.parent, file.parent) as folder, _opened(file, folder, os.O_NONBLOCK) as number:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Refused(file, f"{file} is no file; remove it")
        with open(number, "rb", closefd=False) as stream:
            return stream.read()


def check(*folders: Path) -> None:
    """Make sure that only this user could have put files into folders, each in the one before.

    Raises:
        Refused: others could have.
        OSError: one is not there, or no folder.
    """
    if _POSIX:
        with _opened_folders(*folders):
            pass


def make(folder: Path) -> None:
    """Make a folder that bears our mark, or leave what is there. It appears with its mark, and is this user's alone.

    Raises:
        OSError: it cannot be made.
        Refused: there is something of that name which was not made here.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(folder):
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=".tmp"))
        try:
            (made / TAG).write_bytes(MARK)
            made.rename(folder)
        except OSError:
            remove(made)
            if not os.path.lexists(folder):  # else another process was faster
                raise
    if not is_marked(folder):
        raise Refused(folder, f"{folder} is there, and no folder that mgdhw has made; remove it, or name another place")


def is_marked(folder: Path) -> bool:
    """Whether a folder was made by `make`."""
    try:
        return stat.S_ISDIR(folder.lstat().st_mode) and (folder / TAG).read_bytes() == MARK
    except OSError:
        return False


def remove(folder: Path) -> None:
    """Remove a folder that bears our mark, as far as what is in it was written here."""
    if not is_marked(folder):
        return
    with contextlib.suppress(OSError):
        for file in list(folder.iterdir()):
            if _LEFT_BY_US.fullmatch(file.name):
                file.unlink()
        if [file.name for file in folder.iterdir()] == [TAG]:
            (folder / TAG).unlink()
            folder.rmdir()


@contextlib.contextmanager
def _opened_folders(*folders: Path) -> Iterator[int | None]:
    """Folders, each in the one before; the last one's number."""
    with contextlib.ExitStack() as stack:
        number = None
        for folder in folders:
            number = stack.enter_context(_opened(folder, number, os.O_DIRECTORY))
        yield number


@contextlib.contextmanager
def _opened(path: Path, folder: int | None, flags: int) -> Iterator[int]:
    """A file or folder that only this user could have written, open; found in an open folder where there is one."""
    number = os.open(path if folder is None else path.name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    try:
        found = os.fstat(number)
        if found.st_uid not in (0, os.geteuid()):
            raise Refused(path, f"{path} belongs to another user; name a folder of your own by NUMBA_CACHE_DIR")
        if found.st_mode & _OTHERS_WRITE:
            raise Refused(path, f"others may write {path}: chmod go-w it, or name another folder by NUMBA_CACHE_DIR")
        yield number
    finally:
        os.close(number)
