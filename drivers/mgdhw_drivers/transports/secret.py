"""The secret of a server at a TCP port: in a file that only its user can read, found by the port's number."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mgdhw.errors import ConfigError
from mgdhw.folders import cache_folder, expanded

SECRET_BYTES = 32
FOLDER = "MGDHW_SECRETS"
"""Environment variable that names the folder of secrets."""
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def folders() -> list[Path]:
    """Where secrets may be; servers put theirs into the first. There is none for a user without a home."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return [Path(chosen)]
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(Path(runtime)):
        found.append(Path(runtime) / "mgdhw")
    with contextlib.suppress(ConfigError):
        if os.name == "posix":
            cache = os.environ.get("XDG_CACHE_HOME")
            found.append((Path(cache) if cache else expanded("~") / ".cache") / "mgdhw" / "secrets")
        else:
            found.append(cache_folder() / "secrets")
    return found


@contextmanager
def offered(port: int) -> Iterator[tuple[bytes, Path]]:
    """A new secret for the server at a TCP port, and its file, which is there as long as this lasts.

    The port has to be this process's for as long: whatever an earlier server has left is replaced. Raises ConfigError.
    """
    folder = next(iter(folders()), None)
    if folder is None:
        raise ConfigError(
            "the secret that hosts must know cannot be kept: this user has no home folder; name a folder of your own by"
            f" {FOLDER}, or serve with --unix"
        )
    path = folder / _name(port)
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(folder)
        path.unlink(missing_ok=True)
        with open(path, "x", encoding="ascii", opener=_for_us) as file:
            file.write(secret.hex() + "\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: the secret that hosts must know cannot be kept there: {error.strerror or error}; name a folder of"
            f" your own by {FOLDER}, or serve with --unix"
        ) from None
    try:
        yield secret, path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def find(port: int) -> Path | None:
    """The newest file of a secret of this user's server at a TCP port of this machine; None: there is none."""
    found = []
    for folder in folders():
        path = folder / _name(port)
        with contextlib.suppress(OSError):
            found.append((path.lstat().st_mtime, path))
    return max(found)[1] if found else None


def sought(port: int) -> Path:
    """Where the secret of a server at a TCP port is put first."""
    return next(iter(folders()), Path(f"${FOLDER}")) / _name(port)


def read(path: Path) -> bytes:
    """The secret in a file.

    Raises:
        ConfigError: there is no such file, it holds none, or others could have read or written it.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            _check_file(path, os.fstat(file.fileno()))
            content = file.read(4 * SECRET_BYTES).decode("ascii", errors="replace").strip()
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: the secret cannot be read: {reason}") from None
    if re.fullmatch(r"[0-9a-f]{64}", content) is None:
        raise ConfigError(f"{path}: holds no secret; expected 64 hexadecimal digits, as `mgdhw serve` writes them")
    return bytes.fromhex(content)


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _at_once(path: str, flags: int) -> int:
    """A pipe that has no writer is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _name(port: int) -> str:
    return f"tcp-{port}"


def _is_ours(path: Path) -> bool:
    try:
        return os.name != "posix" or path.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _check_folder(folder: Path) -> None:
    """Nobody else may put files there, or remove them. Elsewhere than on POSIX the system protects a user's folders."""
    if os.name != "posix":
        return
    if not _is_ours(folder):
        raise ConfigError(f"{folder}: belongs to another user; name a folder of your own by {FOLDER}")
    if folder.stat().st_mode & _OTHERS_WRITE:
        raise ConfigError(f"{folder}: others may write there, so secrets cannot be kept there; chmod 700 it")


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path}: is no file")
    if os.name != "posix":
        return
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path}: the secret belongs to another user, and is not used; copy it to a file of your own")
    if found.st_mode & _OTHERS:
        raise ConfigError(f"{path}: others may read or write this secret, so it is not used; chmod 600 it")
