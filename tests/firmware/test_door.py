"""Where the host port lets hosts in: its secret, its Unix socket, and what it does not replace."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mgdhw_drivers.transports import secret

from .talk import board, line


def test_its_secret_is_where_a_servers_is(sanitized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says; and it is there as long as the board is served."""
    for name, folder in {
        "MGDHW_SECRETS": "a/b",
        "XDG_RUNTIME_DIR": "mgdhw",
        "XDG_CACHE_HOME": "mgdhw/secrets",
        "HOME": ".cache/mgdhw/secrets",
    }.items():
        for other in ("MGDHW_SECRETS", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(other, raising=False)
        home = tmp_path / name
        home.mkdir()
        monkeypatch.setenv(name, str(home / folder if name == "MGDHW_SECRETS" else home))
        with board(sanitized, "--tcp", "0") as (_, address):
            port = int(address.rpartition(":")[2])
            path = secret.find(port)
            assert path == home / folder / f"tcp-{port}" == secret.sought(port)
            assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
            with line(address) as talk:
                talk.identify()
        assert not path.exists()


def test_it_makes_another_secret_at_each_start(sanitized: Path) -> None:
    with board(sanitized, "--tcp", "0") as (_, address):
        port = address.rpartition(":")[2]
        path = secret.find(int(port))
        assert path is not None
        first = secret.read(path)
    path.write_text("what a server that was killed has left")
    path.chmod(0o644)
    with board(sanitized, "--tcp", port), line(address) as talk:
        assert secret.read(path) != first
        talk.identify()


def fails(program: Path, *options: str) -> str:
    """What it says when it does not begin."""
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    return done.stderr


def test_a_folder_where_others_may_write_keeps_no_secret(
    sanitized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGDHW_SECRETS", str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert "others may write there" in fails(sanitized, "--tcp", "0")
    if os.geteuid() == 0:
        (tmp_path / "open").chmod(0o700)
        os.chown(tmp_path / "open", 65534, 65534)
        assert "belongs to another user" in fails(sanitized, "--tcp", "0")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MGDHW_SECRETS", str(tmp_path / "file"))
    assert "no folder" in fails(sanitized, "--tcp", "0")
    monkeypatch.setenv("MGDHW_SECRETS", "/" + "x" * 5000)
    assert "too long" in fails(sanitized, "--tcp", "0")


def test_its_socket_is_this_users_alone(sanitized: Path, tmp_path: Path) -> None:
    path = tmp_path / "board"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))  # what a board that was killed has left
    with board(sanitized, "--unix", str(path)) as (_, address):
        assert address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        assert "in use" in fails(sanitized, "--unix", str(path))
        with line(address) as talk:
            talk.identify()
    assert not path.exists()
    path.write_text("somebody's")
    assert "exists" in fails(sanitized, "--unix", str(path))
    assert path.read_text() == "somebody's"
    assert "too long" in fails(sanitized, "--unix", str(tmp_path / ("x" * 200)))
