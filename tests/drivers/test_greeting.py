"""The greeting of TCP connections, and the secrets that it is about."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mgdhw.errors import ConfigError, DeviceUnavailable, LinkCorrupt
from mgdhw_drivers.protocol import greeting
from mgdhw_drivers.protocol.connection import HostConnection
from mgdhw_drivers.protocol.greeting import BUSY, BoardGreeting, HostGreeting
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import Type
from mgdhw_drivers.transports import secret

SECRET = bytes(range(32))
posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere a user's folders see to that")


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting.secrets, "token_bytes", lambda size: b"\xb0" * size)
    board = BoardGreeting(SECRET)
    monkeypatch.setattr(greeting.secrets, "token_bytes", lambda size: b"\x40" * size)
    host = HostGreeting(SECRET)

    def proof(end: bytes) -> bytes:
        return hmac.digest(SECRET, b"mgdhw " + end + b"\xb0" * 32 + b"\x40" * 32, hashlib.sha256).hex().encode()

    assert board.hello == b"mgdhw-link 1 " + b"b0" * 32 + b"\n"
    answer = host.receive(board.hello)
    assert answer == b"40" * 32 + b" " + proof(b"host") + b"\n"
    let_in = board.receive(answer)
    assert let_in == b"ok " + proof(b"board") + b"\n"
    assert host.receive(let_in + b"\x03fa\0") == b"\x03fa\0"
    assert host.proven


def test_a_byte_at_a_time() -> None:
    board, host = BoardGreeting(SECRET), HostGreeting(SECRET)
    answer = b"".join(host.receive(bytes([byte])) for byte in board.hello)
    let_in = [board.receive(bytes([byte])) for byte in answer]
    assert let_in[:-1] == [None] * 129
    assert let_in[-1] is not None
    assert b"".join(host.receive(bytes([byte])) for byte in let_in[-1]) == b""
    assert host.proven


def good_answer(board: BoardGreeting) -> bytes:
    return HostGreeting(SECRET).receive(board.hello)


def test_every_other_answer_is_refused() -> None:
    """One byte another one, at every place; too much; upper case; made with another secret, or for another greeting."""
    draw = random.Random(1)
    for place in range(130):
        board = BoardGreeting(SECRET)
        answer = bytearray(good_answer(board))
        answer[place] = draw.choice(sorted({*b"0123456789abcdef \n\0Ggz\xff"} - {answer[place]}))
        with pytest.raises(LinkCorrupt):
            board.receive(bytes(answer))
    recorded = good_answer(BoardGreeting(SECRET))
    others: list[Callable[[BoardGreeting], bytes]] = [
        lambda board: recorded,
        lambda board: good_answer(board).upper().replace(b"OK", b"ok"),
        lambda board: good_answer(board) + b"\0",
        lambda board: HostGreeting(SECRET[::-1]).receive(board.hello),
        lambda board: board.hello,
        lambda board: b"\0" * 10_000_000,
    ]
    for other in others:
        board = BoardGreeting(SECRET)
        with pytest.raises(LinkCorrupt):
            board.receive(other(board))


@pytest.mark.parametrize(
    "first",
    [
        b"P",
        b"GET / HTTP/1.1\r\n",
        b"\0",
        HostConnection(1).connect() + b"\x02",
        b"mgdhw-link 1 ",
        b"a" * 65,
        b" ",
        b"\n",
    ],
)
def test_the_first_byte_that_is_none_is_enough(first: bytes) -> None:
    with pytest.raises(LinkCorrupt):
        BoardGreeting(SECRET).receive(first)


def test_nonces_are_new_each_time() -> None:
    assert len({BoardGreeting(SECRET).hello for _ in range(50)}) == 50


def test_a_host_knows_its_server_too() -> None:
    host = HostGreeting(SECRET)
    board = BoardGreeting(SECRET)
    own = host.receive(board.hello)
    with pytest.raises(LinkCorrupt, match="does not know the secret"):  # its own proof, sent back to it
        host.receive(b"ok " + own[65:])
    for said in (b"mgdhw-link 2 " + board.hello[13:], board.hello[:-2] + b"\n", board.hello + b"x", b"\x01" * 81):
        with pytest.raises(LinkCorrupt, match="does not greet"):
            HostGreeting(SECRET).receive(said)
    host = HostGreeting(SECRET)
    host.receive(board.hello)
    with pytest.raises(DeviceUnavailable, match="in use"):
        host.receive(BUSY)


def test_no_frame_begins_like_a_greeting() -> None:
    connection = HostConnection(0x656D6764)
    connection.connect()
    _, frame = connection.send(Type.IDENTIFY, Identify(1, 0, 256, 1).pack())
    assert frame[1] == 1 != greeting.HELLO[1]


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a" / "secrets"
    monkeypatch.setenv(secret.FOLDER, str(folder))
    return folder


def test_a_secret_is_there_as_long_as_it_is_offered(folder: Path) -> None:
    assert secret.find(5510) is None
    with secret.offered(5510) as (first, path):
        assert path == folder / "tcp-5510" == secret.find(5510) == secret.sought(5510)
        assert secret.read(path) == first
        assert len(first) == 32
        if os.name == "posix":
            assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not path.exists()
    path.write_text("what a server that was killed has left\n")
    path.chmod(0o644)
    with secret.offered(5510) as (second, _):
        assert secret.read(path) == second != first
    assert not path.exists()


def test_where_secrets_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (secret.FOLDER, "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if os.name == "posix":
        assert secret.folders() == [Path.home() / ".cache" / "mgdhw" / "secrets"]
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert secret.folders() == [tmp_path / "mgdhw" / "secrets"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert secret.folders()[0] != tmp_path / "run" / "mgdhw"  # it is not there
    (tmp_path / "run").mkdir()
    both = secret.folders()
    assert both[0] == tmp_path / "run" / "mgdhw"
    # A server that was killed has left one, and another one has been started where there is no such folder.
    for age, where in ((1000, both[0]), (2000, both[1])):
        where.mkdir(parents=True)
        (where / "tcp-7").write_text("")
        os.utime(where / "tcp-7", (age, age))
    assert secret.find(7) == both[1] / "tcp-7"


@posix
def test_a_secret_that_others_could_know_is_not_used(folder: Path) -> None:
    with secret.offered(5510) as (_, path):
        for mode in (0o640, 0o604, 0o620, 0o666):
            path.chmod(mode)
            with pytest.raises(ConfigError, match=r"tcp-5510: others may read or write this secret.*chmod 600"):
                secret.read(path)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
            with pytest.raises(ConfigError, match="belongs to another user"):
                secret.read(path)


@posix
def test_what_is_no_secret(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        secret.read(tmp_path / "none")
    with pytest.raises(ConfigError, match="directory"):
        secret.read(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is no file"):  # and it isn't waited for
        secret.read(tmp_path / "pipe")
    short = tmp_path / "short"
    for content in (b"", b"12", b"g" * 64, b"a" * 65, os.urandom(200)):
        short.write_bytes(content)
        short.chmod(0o600)
        with pytest.raises(ConfigError, match="holds no secret"):
            secret.read(short)


@posix
def test_a_folder_where_others_may_write_keeps_no_secret(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o770)
    with pytest.raises(ConfigError, match="chmod 700"), secret.offered(5510):
        pass
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        with pytest.raises(ConfigError, match="belongs to another user"), secret.offered(5510):
            pass
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(ConfigError, match="MGDHW_SECRETS"), secret.offered(5510):
        pass
