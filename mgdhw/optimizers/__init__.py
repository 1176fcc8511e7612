"""Optimizers: from a gradient to new parameters. Any of them takes any gradient."""

from __future__ import annotations

from mgdhw.optimizers.adam import Adam, AdamW
from mgdhw.optimizers.momentum import Momentum, Nesterov
from mgdhw.optimizers.optimizer import Optimizer, State
from mgdhw.optimizers.rmsprop import Rmsprop
from mgdhw.optimizers.sgd import Sgd

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": Sgd,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "rmsprop": Rmsprop,
    "adam": Adam,
    "adamw": AdamW,
}

__all__ = ["OPTIMIZERS", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "Rmsprop", "Sgd", "State"]
