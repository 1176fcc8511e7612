"""Where mgdhw keeps what can be made or fetched again: downloads, compiled chips."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder(platform: str = sys.platform) -> Path:
    """This user's cache folder for mgdhw: as `pooch.os_cache("mgdhw")` has it, without importing pooch."""
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "mgdhw" / "mgdhw" / "Cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mgdhw"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "mgdhw"
