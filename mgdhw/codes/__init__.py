"""Perturbation codes: which parameter is moved by how much at which step.

Every code is a pure function of (seed, step, index), an integer number of code units.
"""

from __future__ import annotations

from mgdhw.codes.base import CodeArray, CodeFamily, Group, Matrix
from mgdhw.codes.generator import Codes
from mgdhw.codes.registry import FAMILIES, family_of

__all__ = ["FAMILIES", "CodeArray", "CodeFamily", "Codes", "Group", "Matrix", "family_of"]
