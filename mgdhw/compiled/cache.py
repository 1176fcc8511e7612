"""Machine code on disk: what was compiled once is there for every later process.

numba's own cache is not used: when two processes compile one function for different types at once, its index can come
to name the wrong code; it does not notice an edited helper in another file; and a damaged file or a full disk ends the
program. Here one file holds one function for one signature. Its name says all that decides its content, a hash proves
it whole, it is replaced in one stroke; and whatever goes wrong means that the function is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

from mgdhw.folders import cache_folder

COMPILED_FROM = (
    *("block.py", "codes", "compiled", "gradient.py", "loop.py", "noise.py", "noise_tables.py", "optimizers"),
    *("order.py", "philox.py", "schedule.py"),
    *("cells.py", "chip.py", "datapath.py", "effects.py", "engines", "mismatch.py", "spec.py", "tables.py"),
)
"""Sources, within a package, that kernels are made from, or may take functions and constants from."""
KEPT_FOLDERS = 6
"""Caches of this many versions are kept: several environments may be in use in turn."""
HASH_BYTES = 32

_REBUILD: Any = CompileResult._rebuild
_DUMPS: Any = dumps

log = logging.getLogger("mgdhw.engine")


def keep_on_disk(*packages: str) -> None:
    """Give every compiled function in the loaded modules of some packages this cache."""
    folder = Folder(base_folder(), sources(*{package.partition(".")[0] for package in packages}))
    beginnings = tuple(f"{package}." for package in packages)
    for name, module in list(sys.modules.items()):
        if name.startswith(beginnings):
            for value in vars(module).values():
                if isinstance(value, Dispatcher):
                    dispatcher: Any = value
                    dispatcher._cache = FunctionCache(dispatcher.py_func, folder)


def base_folder() -> Path | None:
    """Where the caches of all versions lie: in numba's folder where the user has named one, else in mgdhw's."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named) / "mgdhw"
    try:
        return cache_folder() / "numba"
    except RuntimeError:  # a user without a home
        return None


def version(files: Iterable[Path] = ()) -> str:
    """A hash of sources and of everything that turns them into machine code, the processor excepted."""
    parts = [sys.version, numba.__version__, llvmlite.__version__, np.__version__]
    seen = hashlib.sha256("\n".join(parts).encode())
    for source in sorted(set(files)):
        seen.update(source.name.encode() + b"\0" + source.read_bytes())
    return seen.hexdigest()[:16]


def sources(*packages: str) -> list[Path]:
    """What the kernels of these (loaded) packages are made from."""
    homes = [Path(str(sys.modules[package].__file__)).parent for package in packages]
    found = [home / name for home in homes for name in COMPILED_FROM]
    return [file for path in found for file in (path.glob("*.py") if path.is_dir() else [path]) if file.is_file()]


class Folder:
    """The cache of this version, and what there is to say about it.

    Args:
        base: folder of the caches of all versions; None if there can be none.
        files: sources of what is kept.
    """

    def __init__(self, base: Path | None, files: Iterable[Path] = ()) -> None:
        self._base = base
        self._files = files
        self._broken = False
        self._compiling = 0

    @cached_property
    def path(self) -> Path | None:
        """The folder, which may not be there yet."""
        if self._base is None:
            return None
        path = self._base / version(self._files)
        with contextlib.suppress(OSError):
            os.utime(path)  # used: the newest are kept
        return path

    def read(self, name: str) -> bytes | None:
        """Content that was written under a name; None if it isn't there, or isn't whole."""
        if self.path is None:
            return None
        try:
            found = (self.path / name).read_bytes()
        except OSError:
            return None
        content = found[HASH_BYTES:]
        return content if hashlib.sha256(content).digest() == found[:HASH_BYTES] else None

    def write(self, name: str, content: bytes) -> None:
        """Keep content under a name. Says so, once, if that cannot be done."""
        if self._broken:
            return
        try:
            if self.path is None:
                raise OSError("this user has no home folder")
            if not self.path.is_dir():
                self._make(self.path)
            _replace(self.path / name, hashlib.sha256(content).digest() + content)
        except OSError as error:
            self._broken = True
            log.warning(
                "what was compiled cannot be kept in %s (%s): every start will compile anew; set NUMBA_CACHE_DIR",
                self.path or "a cache", error.strerror or error,
            )  # fmt: skip

    def begins(self) -> None:
        """A function is about to be compiled, perhaps for the sake of another one."""
        if self._compiling == 0:
            log.info("compiling the chip for this machine (once)")
        self._compiling += 1

    def ends(self) -> None:
        """A function has been compiled."""
        self._compiling -= 1

    def _make(self, path: Path) -> None:
        """Make the folder, and let go of all but the newest of its like."""
        path.mkdir(parents=True, exist_ok=True)
        others = [other for other in path.parent.iterdir() if other.is_dir() and other != path]
        for old in sorted(others, key=lambda other: other.stat().st_mtime, reverse=True)[KEPT_FOLDERS - 1 :]:
            shutil.rmtree(old, ignore_errors=True)


class FunctionCache:
    """What numba asks for machine code of one function, and gives it to: takes the place of numba's own.

    Args:
        function: what is compiled.
        folder: where it is kept.
    """

    def __init__(self, function: Any, folder: Folder) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._folder = folder

    @property
    def cache_path(self) -> str:
        """Shown in numba's statistics."""
        return str(self._folder.path)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The function compiled for a signature, or None: numba compiles it then."""
        target.refresh()
        content = self._folder.read(self._file(signature, target.codegen()))
        if content is not None:
            # numba's own form of a compiled function, from this user's own cache folder and proven whole.
            with contextlib.suppress(Exception):  # whatever is wrong with it: it can be compiled
                return _REBUILD(target, *pickle.loads(content))
        self._folder.begins()
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the function compiled for a signature."""
        self._folder.ends()
        if compiled.lifted or compiled.library.has_dynamic_globals:  # numba says that these cannot be kept
            return
        with contextlib.suppress(Exception):  # kept or not, it is compiled
            self._folder.write(self._file(signature, compiled.codegen), _DUMPS(compiled._reduce()))

    def flush(self) -> None:
        """Part of numba's interface: called before everything is compiled anew, and so written anew."""

    def _file(self, signature: Any, codegen: Any) -> str:
        decisive = "\n".join((self._name, str(signature), repr(codegen.magic_tuple())))
        return f"{self._name.rpartition('.')[2]}-{hashlib.sha256(decisive.encode()).hexdigest()[:24]}"


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one stroke: whoever reads meanwhile sees the old one or the new one."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
