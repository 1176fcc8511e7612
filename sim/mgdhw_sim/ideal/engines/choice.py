"""Which engine runs a network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

from mgdhw.compiled.target import require_numba
from mgdhw.errors import ConfigError
from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.engines.reference import Reference
from mgdhw_sim.ideal.spec import IdealSpec

REMEDIES = {"jax": "pip install 'mgdhw[jax]'", "numba": "pip install numba"}
GPU_PACKAGES = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm60_plugin", "jax_rocm7_plugin")
"""With one of these JAX may have a GPU; without, it need not be imported to know."""

log = logging.getLogger("mgdhw.engine")


def _numba(spec: IdealSpec) -> Engine:
    require_numba()
    from mgdhw.compiled.cache import keep_on_disk
    from mgdhw_sim.ideal.engines.numba.engine import NumbaEngine  # numba is slow to import

    keep_on_disk("mgdhw.compiled", "mgdhw_sim.ideal")
    return NumbaEngine(spec)


def _jax(spec: IdealSpec) -> Engine:
    from mgdhw_sim.ideal.engines.jax.engine import JaxEngine  # slow to import, and an extra

    return JaxEngine(spec, lambda: _for_cpu(spec))


ENGINES: dict[str, Callable[[IdealSpec], Engine]] = {"jax": _jax, "numba": _numba, "reference": Reference}


def _for_cpu(spec: IdealSpec) -> Engine:
    """numba's, or the reference where that cannot be had."""
    return make_engine(replace(spec, engine="auto"), fastest="numba")


def make_engine(spec: IdealSpec, fastest: str | None = None) -> Engine:
    """The engine that a network asks for; "auto" is the fastest that can be had here, or the one given.

    Raises:
        ConfigError: it asks for one that is not installed, or does not work here.
    """
    name = (fastest or _fastest()) if spec.engine == "auto" else spec.engine
    try:
        return ENGINES[name](spec)
    except (ImportError, OSError, RuntimeError) as error:
        if spec.engine != "auto":
            raise ConfigError(f"engine={name} cannot be had here ({error}); {REMEDIES[name]}, or engine=auto") from None
        log.warning("%s cannot be had here (%s): the network runs in numpy, which is slower", name, error)
        return Reference(spec)


def _fastest() -> str:
    """JAX where it has a GPU, else numba."""
    if find_spec("jax") is None or not any(find_spec(package) for package in GPU_PACKAGES):
        return "numba"
    try:
        import jax

        return "jax" if jax.default_backend() != "cpu" else "numba"
    except (ImportError, OSError, RuntimeError):
        return "numba"
