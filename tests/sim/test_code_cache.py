"""Machine code on disk: found again, never mixed up, and no reason to fail."""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core import config
from numba.core.dispatcher import Dispatcher

from mgdhw.compiled import cache, trusted_folders
from mgdhw.compiled.cache import FunctionCache
from mgdhw.compiled.code_folder import KEPT_FOLDERS, VERSION_DIGITS, CodeFolder
from mgdhw.errors import ConfigError
from mgdhw_sim.engines import choose


def helper(x: Any) -> Any:
    return 3 * x


def compiled(base: Path | None) -> Any:
    """A function as a process that has just begun has it."""
    function = njit(nogil=True)(helper)
    function._cache = FunctionCache(helper, CodeFolder(base, cache.version))
    return function


def folder_in(base: Path) -> Path:
    return base / cache.version()[:VERSION_DIGITS]


def kept(base: Path) -> list[Path]:
    return sorted(file for file in folder_in(base).iterdir() if file.name != trusted_folders.TAG)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where caches of all versions lie, which is not there yet."""
    return tmp_path / "user" / "kernels"


def test_what_was_compiled_is_found(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mgdhw")
    first, second = compiled(base), compiled(base)
    assert first(7) == 21
    assert caplog.messages == ["compiling the chip for this machine (once)"]
    assert first(0.5) == 1.5
    assert len(kept(base)) == 2
    assert (second(7), second(0.5)) == (21, 1.5)
    assert sum(second.stats.cache_hits.values()) == 2
    assert len(caplog.messages) == 2  # of the first one's two
    assert str(base) in second.stats.cache_path


def test_nobody_else_may_write_there(base: Path) -> None:
    before = os.umask(0)
    try:
        assert compiled(base)(7) == 21
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (base, folder_in(base), *kept(base))}
    assert modes == {0o700, 0o600}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def flip_in_the_hash(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def nothing(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, flip, flip_in_the_hash, nothing])
def test_a_damaged_file_is_written_anew(base: Path, damage: Any) -> None:
    assert compiled(base)(7) == 21
    (file,) = kept(base)
    file.write_bytes(damage(file.read_bytes()))
    assert_written_anew(base)


def assert_written_anew(base: Path) -> None:
    again = compiled(base)
    assert again(7) == 21
    assert not again.stats.cache_hits
    third = compiled(base)
    assert third(7) == 21
    assert sum(third.stats.cache_hits.values()) == 1


def test_no_bit_and_no_length_is_overlooked(base: Path) -> None:
    folder = CodeFolder(base, lambda: "0" * 64)
    folder.write("helper", "all that decides it", b"what was compiled")
    file = base / ("0" * VERSION_DIGITS) / "helper"
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        assert folder.read("helper", "all that decides it") is None
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert folder.read("helper", "all that decides it") is None
    file.write_bytes(whole)
    assert folder.read("helper", "all that decides it") == b"what was compiled"
    assert folder.read("helper", "all that decides another") is None
    file.rename(file.with_name("other"))
    assert folder.read("other", "all that decides it") is None


def test_another_form_of_content_is_written_anew(base: Path) -> None:
    """What is whole, but was never a function."""
    function = compiled(base)
    assert function(7) == 21
    (file,) = kept(base)
    key = function._cache._key(function.signatures[0], function.targetctx.codegen())
    assert key[0] == file.name
    CodeFolder(base, cache.version).write(*key, b"(1, 2)")
    assert_written_anew(base)


def test_a_file_of_another_name_is_another_function(base: Path) -> None:
    function = compiled(base)
    assert function(7) == 21
    (whole,) = kept(base)
    assert function(0.5) == 1.5
    (real,) = set(kept(base)) - {whole}
    real.write_bytes(whole.read_bytes())
    again = compiled(base)
    assert again(0.5) == 1.5
    assert not again.stats.cache_hits


def test_a_file_of_another_version_is_none_of_this_one(base: Path) -> None:
    assert compiled(base)(7) == 21
    folder_in(base).rename(base / ("0" * VERSION_DIGITS))
    function = njit(nogil=True)(helper)
    function._cache = FunctionCache(helper, CodeFolder(base, lambda: "0" * 64))
    assert function(7) == 21
    assert not function.stats.cache_hits


def test_code_for_other_settings_is_other_code(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(base)(7) == 21
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)
    function = compiled(base)
    assert function(7) == 21
    assert not function.stats.cache_hits
    assert len(kept(base)) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    function = compiled(tmp_path / "file" / "kernels")
    assert (function(7), function(0.5)) == (21, 1.5)
    (message,) = caplog.messages
    assert "cannot be kept in" in message
    assert "every start will compile anew" in message


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def no_home() -> Path:
        raise ConfigError("there is no such home folder here")

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "cache_folder", no_home)
    assert cache.base_folder() is None
    function = compiled(None)
    assert function(7) == 21
    assert "no home folder" in caplog.text


def test_a_full_disk(base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    function = compiled(base)
    assert (function(7), function(0.5)) == (21, 1.5)
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.text
    assert kept(base) == []


def test_the_caches_of_old_versions_go(base: Path) -> None:
    old = [base / f"{age:016x}" for age in range(10)]
    trusted_folders.make(base)
    for age, folder in enumerate(old):
        trusted_folders.make(folder)
        (folder / f"helper-{age:024x}").write_bytes(b"")
        (folder / ".unfinished.tmp").write_bytes(b"")
        os.utime(folder, (1e9 - age, 1e9 - age))
    compiled(base)(7)
    left = {path for path in base.iterdir() if path.is_dir()}
    assert left == {folder_in(base), *old[: KEPT_FOLDERS - 1]}


def test_what_is_not_ours_stays(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's project of the cache's name, folders of its folders' names, and files in those that are ours."""
    mine = [base / ".git", *(base / f"{number:016x}" for number in range(10))]
    for folder in mine:
        folder.mkdir(parents=True)
        (folder / "work.py").write_text("years = 3\n")
        os.utime(folder, (1e9, 1e9))
    assert compiled(base)(7) == 21
    (message,) = caplog.messages
    assert f"{base} is there, and no folder that mgdhw has made" in message
    (base / trusted_folders.TAG).write_bytes(trusted_folders.MARK)  # even so
    ours = base / ("f" * VERSION_DIGITS)
    trusted_folders.make(ours)
    (ours / "notes.txt").write_text("mine")
    os.utime(ours, (1e8, 1e8))
    for number in range(KEPT_FOLDERS):
        trusted_folders.make(base / f"{0xA0 + number:016x}")
    assert compiled(base)(7) == 21
    assert len(kept(base)) == 1
    assert all((folder / "work.py").is_file() for folder in mine)
    assert {path.name for path in ours.iterdir()} == {"notes.txt", trusted_folders.TAG}


def test_a_cache_belongs_to_its_sources(tmp_path: Path) -> None:
    source = tmp_path / "kernels.py"
    source.write_text("SHIFT = 1\n")
    before = cache.version([source])
    assert cache.version([source]) == before
    source.write_text("SHIFT = 2\n")
    assert cache.version([source]) != before


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "ours")
    assert cache.base_folder() == tmp_path / "ours" / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "theirs"))
    assert cache.base_folder(windows=False) == tmp_path / "theirs" / "mgdhw-kernels"
    # Where nobody can tell who may write, only what lies in the user's own folder is used.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert caplog.messages == []
    assert cache.base_folder(windows=True) == tmp_path / "ours" / "kernels"
    assert "is outside your own folder" in caplog.text
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "home" / "cache"))
    assert cache.base_folder(windows=True) == tmp_path / "home" / "cache" / "mgdhw-kernels"


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
        assert isinstance(kernel._cache, FunctionCache)  # numba's own would unpickle an index before anybody has looked
        assert Path(kernel.py_func.__code__.co_filename).resolve() in sources
    assert np.all([source.is_file() for source in sources])
