"""Simulated chips."""

from mgdhw_sim import presets

__all__ = ["presets"]
