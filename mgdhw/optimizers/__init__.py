"""Optimizers: from a gradient to new parameters. Any of them takes any gradient."""

from __future__ import annotations

from mgdhw.optimizers.adam import Adam, AdamW
from mgdhw.optimizers.base import Optimizer, State
from mgdhw.optimizers.momentum import Momentum, Nesterov
from mgdhw.optimizers.registry import OPTIMIZERS
from mgdhw.optimizers.rmsprop import Rmsprop
from mgdhw.optimizers.sgd import Sgd

__all__ = ["OPTIMIZERS", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "Rmsprop", "Sgd", "State"]
