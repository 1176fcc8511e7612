"""Engines by name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from mgdhw.errors import ConfigError
from mgdhw_sim.engines.engine import Engine
from mgdhw_sim.engines.reference import Reference


def _compiled() -> Engine:
    try:
        from mgdhw_sim.engines.compiled import Compiled  # numba is slow to import; a reference run needs none of it
    except ImportError as error:
        raise ConfigError(f"engine=numba cannot be had here ({error}); pip install 'mgdhw[fast]'") from None
    return Compiled()


ENGINES: dict[str, Callable[[], Engine]] = {"reference": Reference, "numba": _compiled}


@lru_cache
def choose(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ConfigError: it needs something that is not installed.
    """
    return ENGINES[name]()
