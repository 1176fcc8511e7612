"""Simulated chips that each break one clause of the contract, as drivers do: a file for each family of clauses.

Every mutant is marked with the clause that must catch it.
"""

from . import data, leaks, learning, levels, lifecycle, limits, motion, nodes, parameters, probing
from .mark import MUTANTS
from .sound import SOUND

__all__ = [
    "MUTANTS",
    "SOUND",
    "data",
    "leaks",
    "learning",
    "levels",
    "lifecycle",
    "limits",
    "motion",
    "nodes",
    "parameters",
    "probing",
]
