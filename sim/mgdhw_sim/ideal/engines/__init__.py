"""Engines of ideal networks: the reference, numba for CPUs, and JAX for GPUs. docs/decisions/0047-ideal-networks.md."""

from __future__ import annotations

from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.engines.choice import ENGINES, make_engine

__all__ = ["ENGINES", "Engine", "make_engine"]
