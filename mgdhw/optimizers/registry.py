"""Optimizers by name: every one that a module of this package defines."""

from __future__ import annotations

from mgdhw.optimizers.base import Optimizer
from mgdhw.variants import variants

OPTIMIZERS: dict[str, type[Optimizer]] = variants("mgdhw.optimizers", Optimizer)  # type: ignore[type-abstract]
