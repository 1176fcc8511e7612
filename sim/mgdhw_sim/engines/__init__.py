"""Engines: ways to run a chip. The reference is the definition; others give the same bits, or say why they cannot."""

from __future__ import annotations

from mgdhw_sim.engines.base import Engine
from mgdhw_sim.engines.registry import ENGINES, choose

__all__ = ["ENGINES", "Engine", "choose"]
