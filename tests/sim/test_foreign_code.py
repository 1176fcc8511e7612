"""Machine code that somebody else could have written: it is never unpickled, and that is told."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba import njit

from mgdhw.compiled import cache, trusted_folders
from mgdhw.compiled.cache import FunctionCache
from mgdhw.compiled.code_folder import VERSION_DIGITS, CodeFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no owners and modes of this kind")

STRANGER = 54321
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def helper(x: Any) -> Any:
    return 3 * x


def compiled(base: Path) -> Any:
    """A function as a process that has just begun has it."""
    function = njit(nogil=True)(helper)
    function._cache = FunctionCache(helper, CodeFolder(base, cache.version))
    return function


class Poison:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What the poison leaves when it works."""
    return tmp_path / "it has worked"


@pytest.fixture
def poisoned(base: Path, trace: Path) -> Path:
    """A cache file by somebody who knows how they are made: right name, right hash, evil content."""
    function = compiled(base)
    assert function(7) == 21
    key = function._cache._key(function.signatures[0], function.targetctx.codegen())
    CodeFolder(base, cache.version).write(*key, pickle.dumps(Poison(trace)))
    return base / cache.version()[:VERSION_DIGITS] / key[0]


def test_it_would_work(base: Path, poisoned: Path, trace: Path) -> None:
    """Whoever may write this user's files needs no cache; so this is a test of the poison."""
    assert compiled(base)(7) == 21
    assert trace.exists()


def assert_not_used(base: Path, trace: Path, caplog: pytest.LogCaptureFixture, *words: str) -> None:
    assert compiled(base)(7) == 21
    assert not trace.exists()
    (message,) = caplog.messages
    assert all(word in message for word in words), message


@pytest.mark.parametrize("mode", [0o002, 0o020, 0o022], ids=["anybody", "group", "both"])
@pytest.mark.parametrize("depth", [0, 1, 2], ids=["file", "folder", "base"])
def test_where_others_may_write(
    base: Path, poisoned: Path, trace: Path, caplog: pytest.LogCaptureFixture, depth: int, mode: int
) -> None:
    path = (poisoned, *poisoned.parents)[depth]
    path.chmod(path.stat().st_mode | mode)
    assert_not_used(base, trace, caplog, f"others may write {path}", "chmod go-w it")
    caplog.clear()
    if depth == 0:  # the folder is this user's: the file was replaced
        again = compiled(base)
        assert again(7) == 21
        assert sum(again.stats.cache_hits.values()) == 1
    else:  # and nothing was written there
        path.chmod(path.stat().st_mode & ~0o022)
        assert compiled(base)(7) == 21
        assert trace.exists()


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
@pytest.mark.parametrize("depth", [0, 1, 2], ids=["file", "folder", "base"])
def test_what_is_another_users(
    base: Path, poisoned: Path, trace: Path, caplog: pytest.LogCaptureFixture, depth: int
) -> None:
    path = (poisoned, *poisoned.parents)[depth]
    os.chown(path, STRANGER, STRANGER)
    assert_not_used(base, trace, caplog, f"{path} belongs to another user", "NUMBA_CACHE_DIR")


@pytest.mark.skipif(IS_ROOT, reason="what is root's is trusted")
def test_what_was_this_users(
    base: Path, poisoned: Path, trace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert_not_used(base, trace, caplog, f"{base} belongs to another user")


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["file", "folder", "base"])
def test_links_are_not_followed(
    base: Path, poisoned: Path, trace: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path, depth: int
) -> None:
    path = (poisoned, *poisoned.parents)[depth]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert compiled(base)(7) == 21
    assert not trace.exists()
    assert (tmp_path / "elsewhere").exists()
    if depth > 0:
        assert "cannot be kept" in caplog.text
        assert path.is_symlink()


def test_a_pipe_is_not_waited_for(base: Path, poisoned: Path, trace: Path, caplog: pytest.LogCaptureFixture) -> None:
    poisoned.unlink()
    os.mkfifo(poisoned, 0o600)
    assert_not_used(base, trace, caplog, f"{poisoned} is no file")
    assert poisoned.is_file()


def test_nothing_is_made_in_what_is_not_to_be_used(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    trusted_folders.make(base)
    base.chmod(0o777)
    assert compiled(base)(7) == 21
    assert [path.name for path in base.iterdir()] == [trusted_folders.TAG]
    assert "neither used nor kept" in caplog.text


PROGRAM = """
from numba import njit
from mgdhw.compiled import cache
from mgdhw.compiled.code_folder import CodeFolder

function = njit(lambda x: 3 * x)
function._cache = cache.FunctionCache(function.py_func, CodeFolder(cache.base_folder(), cache.version))
print(function(7), sum(function.stats.cache_hits.values()))
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_process_in_a_folder_for_everybody(tmp_path: Path) -> None:
    """NUMBA_CACHE_DIR may be one; whose turn it is there first decides nothing."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    first = run(shared)
    assert (first.returncode, first.stdout, first.stderr) == (0, "21 0\n", "")
    assert run(shared).stdout == "21 1\n"
    (file,) = shared.glob("mgdhw-kernels/*/*-*")
    file.parent.chmod(0o777)
    refused = run(shared)
    assert (refused.returncode, refused.stdout) == (0, "21 0\n")
    assert f"others may write {file.parent}" in refused.stderr
