"""Engines by name. A new one is one file and one line here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from mgdhw.compiled.target import Unusable, require_numba
from mgdhw.errors import ConfigError
from mgdhw_sim.engines.base import Engine
from mgdhw_sim.engines.reference import Reference

log = logging.getLogger("mgdhw.engine")


def _compiled() -> Engine:
    require_numba()
    from mgdhw.compiled.cache import keep_on_disk
    from mgdhw_sim.engines.numba.engine import NumbaEngine  # numba is slow to import; a reference run needs none of it

    keep_on_disk("mgdhw.compiled", "mgdhw_sim.engines")
    return NumbaEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"numba": _compiled, "reference": Reference}


@lru_cache
def choose(name: str) -> Engine:
    """The engine of that name; "auto" is the fastest that can be had here.

    Raises:
        ConfigError: it needs something that is not installed, or does not work.
    """
    try:
        return ENGINES["numba" if name == "auto" else name]()
    except (ImportError, OSError, RuntimeError) as error:  # not installed, of another machine, not allowed to work
        if name != "auto":
            installed = isinstance(error, Unusable) and not isinstance(error.__cause__, ImportError)
            remedy = "engine=auto does without" if installed else "pip install numba"
            raise ConfigError(f"engine={name} cannot be had here ({error}); {remedy}") from None
        log.warning("numba cannot be had here (%s): the chip runs on the reference engine, which is slower", error)
        return choose("reference")
