"""Which clause must find a mutant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mgdhw_sim.device import SimDevice

Kind = TypeVar("Kind", bound=type[SimDevice])

LEVELS = ("levels-agree", "late-steps-agree")
CUTS = ("cuts-change-nothing",)
HELD = ("held-baseline-is-carried",)
NODES = ("node-blocks-give-sums",)
REPEATED = (
    "write-is-done-when-it-answers",
    "data-can-be-replaced",
    "infer-disturbs-nothing",
    "probe-has-no-side-effects",
    "steps-come-in-any-order",
    "cancelled-blocks-leave-theta",
)
"""Clauses that repeat a request and compare."""
LEFT = ("no-descriptor-is-left-open", "no-task-is-left-running", "no-thread-is-left-running")

MUTANTS: dict[type[SimDevice], frozenset[str]] = {}
"""Every mutant, and all clauses that fail on it."""


def caught_by(clause: str, *others: str) -> Callable[[Kind], Kind]:
    """Mark a mutant.

    Args:
        clause: which the mutant breaks, by name: the one that must catch it.
        others: which do not hold without that one.
    """

    def mark(kind: Kind) -> Kind:
        MUTANTS[kind] = frozenset((clause, *others))
        return kind

    return mark
