"""Engines of ideal networks: the reference, and JAX."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from mgdhw.errors import ConfigError
from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.engines.reference import Reference
from mgdhw_sim.ideal.spec import IdealSpec

__all__ = ["Engine", "Reference", "make_engine"]

log = logging.getLogger("mgdhw.engine")
REMEDY = "pip install 'mgdhw[jax]'"


def make_engine(spec: IdealSpec) -> Engine:
    """The engine that a network asks for; "auto" is JAX where it is installed.

    Raises:
        ConfigError: it asks for JAX, which is not installed or does not work here.
    """
    if spec.engine == "reference":
        return Reference(spec)
    if spec.engine == "auto" and find_spec("jax") is None:
        log.warning("JAX is not installed: the network runs in numpy, which is slower (%s)", REMEDY)
        return Reference(spec)
    try:
        from mgdhw_sim.ideal.engines.jax.engine import JaxEngine  # slow to import, and an extra
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(f"engine=jax cannot be had here ({error}); {REMEDY}, or engine=reference") from None
    return JaxEngine(spec)
