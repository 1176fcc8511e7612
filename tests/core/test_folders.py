"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgdhw.folders import cache_folder


def test_same_as_pooch() -> None:
    pooch = pytest.importorskip("pooch", reason="pooch is optional")
    assert cache_folder() == pooch.os_cache("mgdhw")


def test_every_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    assert cache_folder("linux") == tmp_path / ".cache" / "mgdhw"
    assert cache_folder("darwin") == tmp_path / "Library" / "Caches" / "mgdhw"
    assert cache_folder("win32") == tmp_path / "AppData" / "Local" / "mgdhw" / "mgdhw" / "Cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder("linux") == tmp_path / "xdg" / "mgdhw"
    assert cache_folder("win32") == tmp_path / "local" / "mgdhw" / "mgdhw" / "Cache"
