"""Machine code on disk: what was compiled once is there for every later process.

numba's own cache is not used: when two processes compile one function for different types at once, its index can come
to name the wrong code; it does not notice an edited helper in another file; and a damaged file or a full disk ends the
program. Here one file holds one function for one signature, only what this user has written is taken (`CodeFolder`),
and whatever goes wrong means that the function is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

from mgdhw.compiled.code_folder import CodeFolder
from mgdhw.compiled.target import settings
from mgdhw.errors import ConfigError
from mgdhw.folders import cache_folder, expanded

COMPILED_FROM = (
    *("block.py", "codes", "compiled", "learning", "optimizers", "random"),
    *("engines", "ideal", "nonidealities.py", "reference", "spec.py"),
)
"""Sources, within a package, that kernels are made from, or may take functions and constants from."""
FOLDER = "mgdhw-kernels"
"""Within the folder that NUMBA_CACHE_DIR names."""

_REBUILD: Any = CompileResult._rebuild
_DUMPS: Any = dumps

log = logging.getLogger("mgdhw.engine")


def keep_on_disk(*packages: str) -> None:
    """Give every compiled function in the loaded modules of some packages this cache."""
    made_from = sources(*{package.partition(".")[0] for package in packages})
    folder = CodeFolder(base_folder(), lambda: version(made_from))
    beginnings = tuple(f"{package}." for package in packages)
    for name, module in list(sys.modules.items()):
        if name.startswith(beginnings):
            for value in vars(module).values():
                if isinstance(value, Dispatcher):
                    dispatcher: Any = value
                    dispatcher._cache = FunctionCache(dispatcher.py_func, folder)


def base_folder(windows: bool = os.name == "nt") -> Path | None:
    """Where the machine code of all versions lies: in numba's folder where the user has named one, else in mgdhw's.

    Args:
        windows: whether folders say nothing about who may write there. Then those outside this user's own are not used.
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    try:
        if named and not (windows and not Path(named).resolve().is_relative_to(expanded("~").resolve())):
            return Path(named).absolute() / FOLDER
        own = cache_folder() / "kernels"
    except ConfigError:  # a user without a home
        return None
    if named:
        log.warning(
            "NUMBA_CACHE_DIR=%s is outside your own folder, where others may write: machine code is kept in %s",
            named, own,
        )  # fmt: skip
    return own


def version(files: Iterable[Path] = ()) -> str:
    """A hash of sources and of everything that turns them into machine code, processor and settings excepted."""
    parts = [sys.version, numba.__version__, llvmlite.__version__, np.__version__]
    seen = hashlib.sha256("\n".join(parts).encode())
    for source in sorted(set(files)):
        seen.update(source.name.encode() + b"\0" + source.read_bytes())
    return seen.hexdigest()


def sources(*packages: str) -> list[Path]:
    """What the kernels of these (loaded) packages are made from."""
    homes = [Path(str(sys.modules[package].__file__)).parent for package in packages]
    found = [home / name for home in homes for name in COMPILED_FROM]
    return [file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()]


class FunctionCache:
    """What numba asks for machine code of one function, and gives it to: takes the place of numba's own.

    Args:
        function: what is compiled.
        folder: where it is kept.
    """

    def __init__(self, function: Any, folder: CodeFolder) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._folder = folder

    @property
    def cache_path(self) -> str:
        """Shown in numba's statistics."""
        return str(self._folder.path)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The function compiled for a signature, or None: numba compiles it then."""
        target.refresh()
        name, decisive = self._key(signature, target.codegen())
        found = self._load(name, decisive, target)
        if found is None and self._folder.begins(name):  # another process has compiled it meanwhile
            found = self._load(name, decisive, target)
            if found is not None:
                self._folder.ends()
        return found

    def _load(self, name: str, decisive: str, target: Any) -> Any:
        content = self._folder.read(name, decisive)
        if content is not None:
            # numba's own form of a compiled function. This user has written it: see `CodeFolder`.
            with contextlib.suppress(Exception):  # whatever is wrong with it: it can be compiled
                return _REBUILD(target, *pickle.loads(content))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the function compiled for a signature."""
        try:
            # Numba says of some that they cannot be kept.
            if not compiled.lifted and not compiled.library.has_dynamic_globals:
                with contextlib.suppress(Exception):  # kept or not, it is compiled
                    self._folder.write(*self._key(signature, compiled.codegen), _DUMPS(compiled._reduce()))
        finally:
            self._folder.ends()

    def flush(self) -> None:
        """Part of numba's interface: called before everything is compiled anew, and so written anew."""

    def _key(self, signature: Any, codegen: Any) -> tuple[str, str]:
        """The name of a file, and what decides its content."""
        decisive = "\n".join((self._name, str(signature), repr(codegen.magic_tuple()), *settings()))
        return f"{self._name.rpartition('.')[2]}-{hashlib.sha256(decisive.encode()).hexdigest()[:24]}", decisive
