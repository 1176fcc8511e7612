"""Where mgdhw keeps what can be made or fetched again: downloads, compiled chips; and folders of users by `~`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mgdhw.errors import ConfigError


def cache_folder(platform: str = sys.platform) -> Path:
    """This user's cache folder for mgdhw: as `pooch.os_cache("mgdhw")` has it, without importing pooch.

    Raises:
        ConfigError: the user has no home folder, and the environment names no other place.
    """
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else expanded("~") / "AppData" / "Local"
        return base / "mgdhw" / "mgdhw" / "Cache"
    if platform == "darwin":
        return expanded("~") / "Library" / "Caches" / "mgdhw"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else expanded("~") / ".cache") / "mgdhw"


def expanded(path: str | Path) -> Path:
    """A path with `~` replaced by the home folder that it stands for.

    Raises:
        ConfigError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # neither HOME says where it is, nor does the system know this user
        raise ConfigError(f"{path}: there is no such home folder here; write out the path, or set HOME") from None
