"""Machine code on disk: found again, never mixed up, and no reason to fail."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.dispatcher import Dispatcher

from mgdhw.compiled import cache
from mgdhw.compiled.cache import Folder, FunctionCache
from mgdhw_sim.engines import choose


def helper(x: Any) -> Any:
    return 3 * x


def compiled(base: Path | None) -> Any:
    """A function as a process that has just begun has it."""
    function = njit(nogil=True)(helper)
    function._cache = FunctionCache(helper, Folder(base))
    return function


def kept(base: Path) -> list[Path]:
    return sorted((base / cache.version()).iterdir())


def test_what_was_compiled_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mgdhw")
    first, second = compiled(tmp_path), compiled(tmp_path)
    assert first(7) == 21
    assert caplog.messages == ["compiling the chip for this machine (once)"]
    assert first(0.5) == 1.5
    assert len(kept(tmp_path)) == 2
    assert (second(7), second(0.5)) == (21, 1.5)
    assert sum(second.stats.cache_hits.values()) == 2
    assert len(caplog.messages) == 2  # of the first one's two
    assert str(tmp_path) in second.stats.cache_path


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def nothing(content: bytes) -> bytes:
    return b""


def another_form(content: bytes) -> bytes:
    return hashlib.sha256(b"(1, 2)").digest() + b"(1, 2)"


@pytest.mark.parametrize("damage", [cut, flip, nothing, another_form])
def test_a_damaged_file_is_written_anew(tmp_path: Path, damage: Any) -> None:
    assert compiled(tmp_path)(7) == 21
    (file,) = kept(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    again = compiled(tmp_path)
    assert again(7) == 21
    assert not again.stats.cache_hits
    third = compiled(tmp_path)
    assert third(7) == 21
    assert sum(third.stats.cache_hits.values()) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    function = compiled(tmp_path / "file" / "numba")
    assert (function(7), function(0.5)) == (21, 1.5)
    (message,) = caplog.messages
    assert "cannot be kept in" in message
    assert "every start will compile anew" in message


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "cache_folder", no_home)
    assert cache.base_folder() is None
    function = compiled(None)
    assert function(7) == 21
    assert "no home folder" in caplog.text


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    function = compiled(tmp_path)
    assert (function(7), function(0.5)) == (21, 1.5)
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.text
    assert kept(tmp_path) == []


def test_the_caches_of_old_versions_go(tmp_path: Path) -> None:
    for age in range(10):
        old = tmp_path / f"version{age}"
        old.mkdir()
        os.utime(old, (1e9 - age, 1e9 - age))
    compiled(tmp_path)(7)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {cache.version(), *(f"version{age}" for age in range(cache.KEPT_FOLDERS - 1))}


def test_a_cache_belongs_to_its_sources(tmp_path: Path) -> None:
    source = tmp_path / "kernels.py"
    source.write_text("SHIFT = 1\n")
    before = cache.version([source])
    assert cache.version([source]) == before
    source.write_text("SHIFT = 2\n")
    assert cache.version([source]) != before


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "ours")
    assert cache.base_folder() == tmp_path / "ours" / "numba"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "theirs"))
    assert cache.base_folder() == tmp_path / "theirs" / "mgdhw"


def test_every_kernel_has_it_and_every_source_of_theirs_counts() -> None:
    choose("numba")
    sources = {source.resolve() for source in cache.sources("mgdhw", "mgdhw_sim")}
    kernels = []
    for name, module in list(sys.modules.items()):
        if name.startswith(("mgdhw_sim.engines.", "mgdhw.compiled.")):
            assert Path(str(module.__file__)).resolve() in sources
            kernels += [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    assert len(kernels) > 5
    for kernel in kernels:
        assert isinstance(kernel._cache, FunctionCache)
        assert Path(kernel.py_func.__code__.co_filename).resolve() in sources
    assert np.all([source.is_file() for source in sources])
